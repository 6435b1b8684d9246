/** `gimme worker ls`: the workers that a master knows. */
import type { Command } from 'commander';
import { Client } from '../../client/index.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, print, say, span, table } from '../output.ts';
import { CLIENT } from '../settings.ts';

const HEAD = ['NAME', 'ID', 'STATE', 'SLOTS', 'HELD', 'WORKS', 'VERSION', 'HEARD'];

export function addWorkerLs(worker: Command, ended: (exitCode: number) => void): void {
  const command = worker.command('ls').summary('list workers: what they offer and hold');
  addSettings(command, CLIENT);
  example(command, 'gimme worker ls -o json');
  command.action(async (flags: Record<string, unknown>) => ended(await ls(flags)));
}

async function ls(flags: Record<string, unknown>): Promise<number> {
  const { master, output } = readConfig(CLIENT, flags);
  const workers = await new Client({ master }).workers();
  workers.sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
  if (output === 'json') print(JSON.stringify({ workers }));
  else if (output === 'jsonl') for (const worker of workers) print(JSON.stringify(worker));
  else {
    const rows = workers.map(({ name, id, state, slots, held, works, version, lastHeardMs }) => [
      ...[name, id, state, count(slots), count(held)],
      ...[works.join(','), version, `${span(lastHeardMs)} ago`],
    ]);
    for (const line of table(HEAD, rows)) print(line);
    if (workers.length === 0) say(`no worker is known to ${master}; start one with \`gimme worker\``);
  }
  return 0;
}
