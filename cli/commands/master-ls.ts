/** `gimme master ls`: the masters that the asked one knows. */
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, print, storeWords, table } from '../output.ts';
import { CLIENT } from '../settings.ts';

export function addMasterLs(master: Command, ended: (exitCode: number) => void): void {
  const command = master.command('ls').summary('list masters: what they are and how many epics they run');
  addSettings(command, CLIENT);
  example(command, 'gimme master ls -o json');
  command.action(async (flags: Record<string, unknown>) => ended(await ls(flags)));
}

async function ls(flags: Record<string, unknown>): Promise<number> {
  const { master, output } = readConfig(CLIENT, flags);
  const masters = await new Client({ master }).masters();
  if (output === 'json') print(JSON.stringify({ masters }));
  else if (output === 'jsonl') for (const one of masters) print(JSON.stringify(one));
  else {
    const rows = masters.map(({ id, term, store, link, epics }) => [
      ...[id, count(term), storeWords(store), link, count(epics)],
    ]);
    for (const line of table(['ID', 'TERM', 'STORE', 'LINK', 'EPICS'], rows)) print(line);
  }
  return 0;
}
