/** `gimme epic cancel`: closes an epic; what was not done is counted as cancelled. */
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { isClosing, print, say, story } from '../output.ts';
import { CLIENT } from '../settings.ts';

export function addCancel(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('cancel <epic>')
    .summary('cancel what is not done yet')
    .requiredOption('--reason <text>', 'why; kept with the epic');
  addSettings(command, CLIENT);
  example(command, 'gimme epic cancel weekly-47 --reason "wrong subject"');
  command.action(async (idOrName: string, flags: { reason: string }) => {
    const { master, output } = readConfig(CLIENT, flags);
    const status = await new Client({ master }).cancel(idOrName, flags.reason);
    if (output === 'text') for (const line of story(status)) print(line);
    else print(JSON.stringify(status));
    const verb = isClosing(status) ? 'watch' : 'get';
    if (output === 'text') say(`Next: gimme epic ${verb} ${status.id}`);
    ended(0);
  });
}
