/** `gimme epic units`: the units that are kept one by one: they wait, are tried again, have failed or are unknown. */
import type { Command } from 'commander';
import { Client, type UnitFilter, type UnitView } from '../../client/index.ts';
import { PAGE_UNITS_MAX } from '../../shared/core/limits.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, cut, print, say, table } from '../output.ts';
import { CLIENT } from '../settings.ts';
import { quoted } from '../unitWords.ts';

const FILTER = {
  state: {
    kind: 'choice',
    flag: '--state <state>',
    choices: ['parked', 'running', 'failed', 'unknown'],
    sentence: 'only units in this state; parked ones wait for a retry, running ones are tried again',
  },
  code: { kind: 'text', flag: '--code <code>', sentence: 'only units of this code' },
  key: { kind: 'text', flag: '--key <key>', sentence: 'only units of this key, such as an address' },
  limit: {
    kind: 'count',
    flag: '--limit <n>',
    default: '50',
    min: 1,
    max: PAGE_UNITS_MAX,
    sentence: 'units on one page',
  },
  cursor: { kind: 'text', flag: '--cursor <cursor>', sentence: 'where the page before ended' },
} as const satisfies Settings;
const TABLE = { ...FILTER, ...CLIENT };

export function addUnits(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic
    .command('units <epic>')
    .summary('list units that wait for a retry, have failed or are unknown')
    .description(
      'Lists units that wait for a retry, have failed or are unknown. Those that went well are only counted.',
    );
  addSettings(command, TABLE);
  example(command, 'gimme epic units weekly-47 --state failed --code smtp_rejected');
  command.action(async (idOrName: string, flags: Record<string, unknown>) =>
    ended(await units(idOrName, flags)),
  );
}

async function units(idOrName: string, flags: Record<string, unknown>): Promise<number> {
  const { master, output, state, code, key, limit, cursor } = readConfig(TABLE, flags);
  const filter: UnitFilter = { limit };
  if (state !== undefined) filter.state = state as UnitView['state'];
  if (code !== undefined) filter.code = code;
  if (key !== undefined) filter.key = key;
  if (cursor !== undefined) filter.cursor = cursor;
  const page = await new Client({ master }).unitPage(idOrName, filter);
  if (output === 'json') print(JSON.stringify(page));
  else if (output === 'jsonl') for (const unit of page.units) print(JSON.stringify(unit));
  else if (page.units.length === 0) say('no unit is kept that fits; those that went well are only counted');
  else for (const line of unitLines(page.units)) print(line);
  if (page.next !== undefined) say(`Next: ${nextPage(idOrName, { state, code, key, limit }, page.next)}`);
  else if (page.units[0]) say(`Next: gimme epic why ${idOrName} ${page.units[0].unit}`);
  return 0;
}

function unitLines(page: readonly UnitView[]): string[] {
  const rows = page.map(({ unit, record, state, code, step = '', attempt, key = '', message }) => [
    ...[String(unit), count(record), state, code, step, String(attempt), key, cut(message)],
  ]);
  return table(['UNIT', 'RECORD', 'STATE', 'CODE', 'STEP', 'ATTEMPT', 'KEY', 'WHAT IT SAYS'], rows);
}

function nextPage(
  idOrName: string,
  filter: Record<string, string | number | undefined>,
  cursor: string,
): string {
  const flags = Object.entries({ ...filter, cursor })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `--${name} ${quoted(String(value))}`);
  return `gimme epic units ${idOrName} ${flags.join(' ')}`;
}
