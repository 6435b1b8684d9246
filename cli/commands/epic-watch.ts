/** `gimme epic watch` follows for a person; `gimme epic wait` waits for a script. */
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { exitCodeOf, type Output } from '../output.ts';
import { watchEpic } from '../progress.ts';
import { CLIENT } from '../settings.ts';

const WAIT = {
  timeout: {
    kind: 'duration',
    flag: '--timeout <duration>',
    min: 1,
    max: 2_147_483_647,
    sentence: 'how long to wait, such as 5m; without it, to the end',
  },
  ...CLIENT,
} as const satisfies Settings;

export function addWatch(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic.command('watch <epic>').summary('follow an epic to its end; Ctrl-C detaches');
  addSettings(command, CLIENT);
  example(command, 'gimme epic watch weekly-47');
  command.action(async (idOrName: string, flags: Record<string, unknown>) => {
    const { master, output } = readConfig(CLIENT, flags);
    const followed = await new Client({ master }).epic(idOrName);
    ended(exitCodeOf(await watchEpic(followed, output as Output)));
  });
}

export function addWait(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('wait <epic>')
    .summary('wait for the end of an epic')
    .description(
      'Exits 0 when all went well, 3 at the timeout, 5 failed or cancelled, 6 with failed or unknown units.',
    );
  addSettings(command, WAIT);
  example(command, 'gimme epic wait weekly-47 --timeout 5m');
  command.action(async (idOrName: string, flags: Record<string, unknown>) => {
    const { master, output, timeout } = readConfig(WAIT, flags);
    const followed = await new Client({ master }).epic(idOrName);
    ended(exitCodeOf(await watchEpic(followed, output as Output, timeout)));
  });
}
