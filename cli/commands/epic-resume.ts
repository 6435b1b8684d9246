/** `gimme epic resume`: has a paused epic go on. */
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { print, say, story } from '../output.ts';
import { CLIENT } from '../settings.ts';

export function addResume(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic.command('resume <epic>').summary('have a paused epic go on');
  addSettings(command, CLIENT);
  example(command, 'gimme epic resume weekly-47');
  command.action(async (idOrName: string, flags: Record<string, unknown>) => {
    const { master, output } = readConfig(CLIENT, flags);
    const status = await new Client({ master }).resume(idOrName);
    if (output === 'text') for (const line of story(status)) print(line);
    else print(JSON.stringify(status));
    if (output === 'text') say(`Next: gimme epic watch ${status.id}`);
    ended(0);
  });
}
