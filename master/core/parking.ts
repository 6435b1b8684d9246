/**
 * Parking: units that wait in the store and not in memory, until they are due and somebody wants them.
 *
 * A1: a parked unit may be granted only once the `unparked` record that names it is durable, like one below the
 *     horizon (R1): what a crash finds parked nobody can hold.
 * A2: one page at a time is asked for, and only while little is ready: memory holds a page, whatever is parked.
 * A3: a unit that the store has goes back there, due at once, when it comes back without an outcome.
 */
import { appendRange } from '../../shared/core/intervalSet.ts';
import { DUE_BYTES, DUE_UNITS_MAX } from '../../shared/core/limits.ts';
import type { LiveEpic } from './live.ts';
import { lookAheadOf } from './reading.ts';
import type { ParkedUnit } from './records.ts';
import type { UnitRow } from './rows.ts';
import type { MasterState } from './state.ts';

/** Rows of an epic that were due, and when the first of the others is. */
export type DueRows = { rows: readonly UnitRow[]; nextDueWallMs?: number };

/** Parks units that a worker has given up for now; `live` no longer has them anywhere. */
export function park(s: MasterState, live: LiveEpic, units: ParkedUnit[]): void {
  if (units.length === 0) return;
  s.record({ k: 'parked', epic: live.epic.id, units });
  live.noteDue(units.reduce((first, { dueWallMs }) => Math.min(first, dueWallMs), Number.POSITIVE_INFINITY));
  s.touched.add(live);
}

/** Whether a page of parked units is due (A2). */
export function isDue(s: MasterState, live: LiveEpic): boolean {
  const { epic, nextDueWallMs, fetching } = live;
  if (!epic.active || epic.closing !== undefined || epic.paused !== undefined) return false;
  if (nextDueWallMs === undefined || nextDueWallMs > s.now.wallMs || fetching) return false;
  return live.readyCount < lookAheadOf(s, live).units && live.fetchedCount < DUE_UNITS_MAX / 2;
}

/** Asks for the parked units that are due. */
export function wantDue(s: MasterState, live: LiveEpic): void {
  if (!isDue(s, live) || !s.isOffered(live)) return;
  live.fetching = { nextDueWallMs: undefined };
  const query = { epic: live.epic.id, dueWallMs: s.now.wallMs, limit: DUE_UNITS_MAX, bytes: DUE_BYTES };
  s.fetchDue(query);
}

/** Takes in the parked units that were asked for. */
export function takeDue(s: MasterState, id: string, due: DueRows): void {
  const live = s.liveOf(id);
  const asked = live?.fetching;
  if (!live || !asked) return;
  live.fetching = undefined;
  live.nextDueWallMs = due.nextDueWallMs;
  if (asked.nextDueWallMs !== undefined) live.noteDue(asked.nextDueWallMs);
  s.touched.add(live);
  if (live.epic.closing !== undefined || !live.epic.active) return;
  // One that was settled meanwhile by a token that had lost it is not parked any more.
  const rows = due.rows.filter(({ unit, data }) => data !== undefined && live.epic.parked.has(unit));
  if (rows.length === 0) return;
  const inOrder = [...rows].sort((a, b) => a.unit - b.unit);
  const units: number[] = [];
  for (const { unit } of inOrder) appendRange(units, unit, unit + 1);
  const resume = inOrder.flatMap(({ unit, attempt, step }) => [unit, attempt, Math.max(0, step)]);
  s.record({ k: 'unparked', epic: id, units, resume });
  for (const { unit, data } of rows) if (data) live.fetch(unit, data, s.recorded, s.listenedMs); // A1
}

/** The store could not tell what is due: it is asked again with the next tick. */
export function dueFailed(s: MasterState, id: string): void {
  const live = s.liveOf(id);
  if (!live?.fetching) return;
  const { nextDueWallMs } = live.fetching;
  live.fetching = undefined;
  if (nextDueWallMs !== undefined) live.noteDue(nextDueWallMs);
}
