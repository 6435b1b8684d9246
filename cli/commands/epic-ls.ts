/** `gimme epic ls`: the epics of a master, newest first. */
import type { Command } from 'commander';
import { Client, type EpicFilter, type EpicState, type EpicStatus, isOver } from '../../client/index.ts';
import { PAGE_EPICS_MAX } from '../../shared/core/limits.ts';
import { readConfig, type Settings } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { count, cut, print, say, table } from '../output.ts';
import { CLIENT } from '../settings.ts';

const FILTER = {
  state: {
    kind: 'choice',
    flag: '--state <state>',
    choices: ['running', 'finished', 'failed', 'cancelled'],
    sentence: 'only epics in this state',
  },
  work: { kind: 'name', flag: '--work <work>', sentence: 'only epics of this work' },
  limit: {
    kind: 'count',
    flag: '--limit <n>',
    default: '50',
    min: 1,
    max: PAGE_EPICS_MAX,
    sentence: 'epics on one page',
  },
  cursor: { kind: 'name', flag: '--cursor <cursor>', sentence: 'where the page before ended' },
} as const satisfies Settings;
const TABLE = { ...FILTER, ...CLIENT };

export function addLs(epic: Command, ended: (exitCode: number) => void): void {
  const command = epic.command('ls').summary('list epics, newest first');
  addSettings(command, TABLE);
  example(command, 'gimme epic ls --state running');
  command.action(async (flags: Record<string, unknown>) => ended(await ls(flags)));
}

async function ls(flags: Record<string, unknown>): Promise<number> {
  const { master, output, state, work, limit, cursor } = readConfig(TABLE, flags);
  const filter: EpicFilter = { limit };
  if (state !== undefined) filter.state = state as EpicState;
  if (work !== undefined) filter.work = work;
  if (cursor !== undefined) filter.cursor = cursor;
  const page = await new Client({ master }).epics(filter);
  if (output === 'json') print(JSON.stringify(page));
  else if (output === 'jsonl') for (const epic of page.epics) print(JSON.stringify(epic));
  else {
    const rows = page.epics.map((epic) => {
      const { id, name, work: of, totals } = epic;
      const counts = [totals.read, totals.succeeded, totals.failed, totals.unknown, totals.outstanding];
      return [id, name, of, stateWord(epic), ...counts.map(count), note(epic)];
    });
    const head = ['ID', 'NAME', 'WORK', 'STATE', 'READ', 'SUCCEEDED', 'FAILED', 'UNKNOWN', 'OUTSTANDING', ''];
    for (const line of table(head, rows)) print(line);
  }
  if (page.next !== undefined) say(`Next: gimme epic ls --limit ${limit} --cursor ${page.next}`);
  return 0;
}

function stateWord({ state, paused }: EpicStatus): string {
  return !isOver(state) && paused !== undefined ? 'paused' : state;
}

/** What the numbers do not say. */
function note({ state, paused, delayed, retryOf }: EpicStatus): string {
  const notes = [
    ...(!isOver(state) && paused !== undefined ? [`paused: ${cut(paused)}`] : []),
    ...(delayed > 0 ? [`${count(delayed)} waiting for a retry`] : []),
    ...(retryOf === undefined ? [] : [`retry of ${retryOf}`]),
  ];
  return notes.join('; ');
}
