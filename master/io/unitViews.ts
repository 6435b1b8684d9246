/**
 * What readers are told of the units that the store keeps one by one: those that wait for a retry, are tried
 * again, have failed or are unknown. Units that went well have no row: they are ranges in the journal.
 *
 * U1: rows are taken from the store by few, so that a long list of large units is never in memory at once; by more
 *     where they come without their bytes.
 */
import { ROWS_READ_MAX, STORE_READ_ROWS, UNIT_SHOWN_CHARS_MAX } from '../../shared/core/limits.ts';
import type { FailureGroup, UnitPage, UnitView } from '../../shared/protocol/api.ts';
import type { Epic } from '../core/epic.ts';
import type { UnitRow } from '../core/rows.ts';
import type { RowsQuery, Store } from './store.ts';

export type UnitsFilter = {
  state?: UnitView['state'];
  code?: string;
  key?: string;
  /** The last unit of the page before. */
  after?: number;
  limit: number;
};

const ENDED_BADLY = ['failed', 'unknown'] as const;
/** What is listed where nothing else is asked for: answers are results, and not units to look after. */
const LISTED = ['parked', 'running', 'failed', 'unknown'] as const;

type Rows = Pick<Store, 'units'>;

/** A page of units in the order of their numbers. */
export async function unitPage(store: Rows, epic: Epic, filter: UnitsFilter): Promise<UnitPage> {
  const { state, limit, ...rest } = filter;
  const units: UnitView[] = [];
  for await (const row of rowsOf(store, { epic: epic.id, ...rest, states: state ? [state] : LISTED })) {
    if (units.length === limit) return { units, next: String(units.at(-1)?.unit) };
    units.push(unitView(epic, row));
  }
  return { units };
}

/**
 * Failed and unknown units by code, the most frequent first. Counts are exact; codes beyond those that an epic counts
 * by name are one, `other`, which has no example.
 */
export async function failureGroups(store: Rows, epic: Epic): Promise<FailureGroup[]> {
  const groups: FailureGroup[] = [...epic.faults]
    .map(([code, count]) => ({ code, count }))
    .sort((a, b) => b.count - a.count);
  for (const group of groups) {
    const query = { epic: epic.id, states: ENDED_BADLY, code: group.code, limit: 1 };
    const [row] = await store.units(query);
    if (row) group.example = unitView(epic, row);
  }
  return groups;
}

/** All rows that a query is about, in the order of their units (U1). */
export async function* rowsOf(store: Rows, query: Omit<RowsQuery, 'limit'>): AsyncGenerator<UnitRow> {
  const limit = query.bare ? STORE_READ_ROWS : ROWS_READ_MAX;
  for (let after = query.after ?? -1; ; ) {
    const rows = await store.units({ ...query, after, limit });
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < limit) return;
    after = last.unit;
  }
}

/** A row as a person reads it. */
export function unitView(epic: Epic, row: UnitRow): UnitView {
  const { unit, state, code, message, attempt, dueWallMs, key, data } = row;
  const step = epic.manifest?.steps[row.step]?.name;
  return {
    unit,
    record: unit + 1,
    state,
    code,
    message,
    ...(step !== undefined && { step }),
    attempt,
    ...(key !== '' && { key }),
    ...(state === 'parked' && { dueAt: new Date(dueWallMs).toISOString() }),
    ...(data && { data: shown(data.bytes) }),
  };
}

/** Bytes as text, cut; a character takes four of them at most. */
function shown(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4 * UNIT_SHOWN_CHARS_MAX));
  const text = head.toString('utf8').slice(0, UNIT_SHOWN_CHARS_MAX);
  return text.length < UNIT_SHOWN_CHARS_MAX && head.length === bytes.length ? text : `${text.slice(0, -1)}…`;
}
