/** `gimme epic pause`: no more of an epic is begun until it is resumed. */
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { print, say, story } from '../output.ts';
import { CLIENT } from '../settings.ts';

export function addPause(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('pause <epic>')
    .summary('begin no more of an epic until it is resumed')
    .description(
      'Begins no more of an epic until it is resumed. What workers have begun, they end and report.',
    )
    .option('--reason <text>', 'why; shown with the epic');
  addSettings(command, CLIENT);
  example(command, 'gimme epic pause weekly-47 --reason "the link in the footer is wrong"');
  command.action(async (idOrName: string, flags: { reason?: string }) => {
    const { master, output } = readConfig(CLIENT, flags);
    const status = await new Client({ master }).pause(idOrName, flags.reason);
    if (output === 'text') for (const line of story(status)) print(line);
    else print(JSON.stringify(status));
    if (output === 'text') say(`Next: gimme epic resume ${status.id}`);
    ended(0);
  });
}
