/**
 * Which units of an epic that is over are to be tried again, and as which epic: one over the same source, under the
 * effect keys of the first of them, so that a mail keeps its Message-ID. It submits nothing itself.
 *
 * All epics that try units of one source again for each other are a family, known by their effect keys.
 *
 * Y1: a unit is left out where an epic of the family that was submitted later has it, unless it certainly did
 *     nothing there: it failed, or it was cancelled before it began. What is not known counts as done.
 * Y2: one retry takes the first RETRY_RANGES_MAX ranges; by Y1 the next takes the rest.
 * Y3: from the look at the family to the submit nothing is waited for, so that two retries cannot both have a unit.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { ID_CHARS_MAX } from '../../shared/core/ids.ts';
import { countOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { RETRY_RANGES_MAX } from '../../shared/core/limits.ts';
import type { RetryBody } from '../../shared/protocol/api.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';
import type { Epic } from '../core/epic.ts';
import type { Ledger } from '../core/ledger.ts';
import type { EpicRecordOf } from '../core/records.ts';
import { rereadOf } from '../core/source.ts';
import { pastOf } from './history.ts';
import type { Store } from './store.ts';
import { rowsOf } from './unitViews.ts';

type Rows = Pick<Store, 'units' | 'history'>;
export type Submission = Omit<EpicRecordOf<'epic-submitted'>, 'k' | 'wallMs' | 'epic'>;

/** What the store says: the units that are asked for, and what did nothing in each later epic of the family. */
export type Candidates = { units: IntervalSet; undone: ReadonlyMap<string, IntervalSet> };

/** Throws wrong_state while the epic runs, and bad_request where doubtful units are not confirmed. */
export function checkRetry(epic: Epic, { states = ['failed'], confirm, dryRun }: RetryBody): void {
  if (epic.gather) {
    throw new GimmeError('wrong_state', `epic ${epic.name} is a gather: ask it again as a new one`);
  }
  if (epic.active) {
    const cure = 'its units can be tried again once it is over';
    throw new GimmeError('wrong_state', `epic ${epic.name} is still running: ${cure}`);
  }
  if (!states.includes('unknown') || dryRun || confirm === epic.name) return;
  const why = 'what is unknown may have happened, and a second try can do it twice';
  throw new GimmeError('bad_request', `${why}: confirm it with the name of the epic, ${epic.name}`);
}

export async function candidatesOf(
  store: Rows,
  ledger: Ledger,
  epic: Epic,
  { states = ['failed'], code }: RetryBody,
): Promise<Candidates> {
  const units = await unitsOf(store, { epic: epic.id, states, ...(code !== undefined && { code }) });
  const undone = new Map<string, IntervalSet>();
  for (const later of laterOf(ledger, epic)) {
    const free = await unitsOf(store, { epic: later.id, states: ['failed'] });
    if (later.counts.cancelled > 0) free.addAll(await cancelledIn(store, later));
    undone.set(later.id, free);
  }
  return { units, undone };
}

/** The units that may be tried again now (Y1, Y2), how many are for another retry, and which epics have the others. */
export function retriable(
  ledger: Ledger,
  epic: Epic,
  { units, undone }: Candidates,
): { only: Ranges; leftOut: number; rest: number; elsewhere: Epic[] } {
  const left = IntervalSet.of(units.ranges());
  const elsewhere: Epic[] = [];
  for (const later of laterOf(ledger, epic)) {
    const theirs = later.only?.intersect(units.ranges()) ?? [];
    const taken = undone.get(later.id)?.missingFrom(theirs) ?? theirs;
    if (taken.length > 0) elsewhere.push(later);
    left.removeAll(taken);
  }
  const only = left.ranges().slice(0, 2 * RETRY_RANGES_MAX);
  const rest = left.count - countOf(only);
  return { only, leftOut: units.count - left.count, rest, elsewhere };
}

/** The refusal of a retry that would try nothing. */
export function nothingToRetry(
  epic: Epic,
  { states = ['failed'], code }: RetryBody,
  elsewhere: readonly Epic[],
): GimmeError {
  const which = `${states.join(' or ')} unit${code === undefined ? '' : ` of code ${code}`}`;
  const names = elsewhere.map(({ id, name }) => `${name} (${id})`).join(', ');
  const why = names === '' ? `it has no ${which}` : `each ${which} is tried, or was, by ${names}`;
  return new GimmeError('wrong_state', `nothing of epic ${epic.name} is to be tried again: ${why}`);
}

export function submissionOf(ledger: Ledger, epic: Epic, only: Ranges): Submission {
  const { id, work, brief, retryOf } = epic;
  const source = rereadOf(epic.source, epic.offset);
  const effects = retryOf?.effects ?? id;
  return { name: nameOf(ledger, epic), work, source, brief, retryOf: { epic: id, effects, only } };
}

/** `weekly-retry`, `weekly-retry-2`, …: the first that no epic has. */
function nameOf({ epics }: Ledger, { name, retryOf }: Epic): string {
  const taken = new Set([...epics.values()].map((epic) => epic.name));
  const base = retryOf ? name.replace(/-retry(-\d+)?$/, '') : name;
  for (let n = 1; ; n++) {
    const end = n === 1 ? '-retry' : `-retry-${n}`;
    const full = `${base.slice(0, ID_CHARS_MAX - end.length)}${end}`;
    if (!taken.has(full)) return full;
  }
}

function laterOf({ epics }: Ledger, { id, retryOf }: Epic): Epic[] {
  const effects = retryOf?.effects ?? id;
  const order = [...epics.values()];
  const own = order.findIndex((epic) => epic.id === id);
  return order.slice(own + 1).filter((epic) => epic.retryOf?.effects === effects);
}

async function unitsOf(store: Rows, query: Parameters<typeof rowsOf>[1]): Promise<IntervalSet> {
  const units = new IntervalSet();
  for await (const { unit } of rowsOf(store, { ...query, bare: true })) units.add(unit, unit + 1);
  return units;
}

/** Units that the history says were cancelled. */
async function cancelledIn(store: Rows, epic: Epic): Promise<Ranges> {
  const cancelled = new IntervalSet();
  const parked = new IntervalSet();
  await pastOf(store, epic, ({ record }) => {
    if (record.k === 'settled' && record.cancelled) cancelled.addAll(record.cancelled);
    else if (record.k === 'parked') for (const { unit } of record.units) parked.add(unit, unit + 1);
    else if (record.k === 'unparked') parked.removeAll(record.units);
    else if (record.k === 'parked-cancelled') cancelled.addAll(parked.ranges());
  });
  return cancelled.ranges();
}
