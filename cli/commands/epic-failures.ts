/** `gimme epic failures`: what went wrong in an epic, by code. */
import type { Command } from 'commander';
import { Client, type FailureGroup } from '../../client/index.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, cut, print, say, table } from '../output.ts';
import { CLIENT } from '../settings.ts';
import { failureHint } from '../unitWords.ts';

export function addFailures(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('failures <epic>')
    .summary('show failed and unknown units by code, with an example of each');
  addSettings(command, CLIENT);
  example(command, 'gimme epic failures weekly-47');
  command.action(async (idOrName: string, flags: Record<string, unknown>) => {
    const { master, output } = readConfig(CLIENT, flags);
    const client = new Client({ master });
    const status = await client.status(idOrName);
    const failures = await client.failures(status.id);
    if (output === 'json') print(JSON.stringify({ failures }));
    else if (output === 'jsonl') for (const group of failures) print(JSON.stringify(group));
    else for (const line of failureLines(failures)) print(line);
    if (failures.length === 0) say(`no unit of ${status.name} has failed or is unknown`);
    else say(`Next: ${failureHint(status, failures)}`);
    ended(0);
  });
}

/** A table with a line for each code; nothing where there is none. */
export function failureLines(failures: readonly FailureGroup[]): string[] {
  if (failures.length === 0) return [];
  const rows = failures.map(({ code, count: units, example: first }) => [
    ...[code, count(units), first ? String(first.unit) : '', first?.key ?? ''],
    cut(first?.message ?? ''),
  ]);
  return table(['CODE', 'UNITS', 'FIRST', 'KEY', 'WHAT IT SAYS'], rows);
}
