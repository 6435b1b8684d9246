/** `gimme epic get`: how one epic stands now. */
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { details, print } from '../output.ts';
import { CLIENT } from '../settings.ts';

export function addGet(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic.command('get <epic>').summary('show how an epic stands, by id or newest of a name');
  addSettings(command, CLIENT);
  example(command, 'gimme epic get weekly-47 -o json');
  command.action(async (idOrName: string, flags: Record<string, unknown>) => {
    const { master, output } = readConfig(CLIENT, flags);
    const status = await new Client({ master }).status(idOrName);
    if (output === 'text') for (const line of details(status)) print(line);
    else print(JSON.stringify(status));
    ended(0);
  });
}
