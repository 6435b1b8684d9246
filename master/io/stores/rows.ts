/**
 * The rows of units in memory, by epic: what a store that does not last keeps of them. It only applies what
 * `master/core/rows.ts` decides, at once and without a clock.
 *
 * R1: bytes that are kept are copied: those that come are parts of a frame, which would be kept whole.
 * R2: every parked row has an entry in `due` with its time; entries that no longer fit their row are passed over.
 */
import { unreachable } from '../../../shared/core/errors.ts';
import { Heap } from '../../../shared/core/heap.ts';
import { eachOf } from '../../../shared/core/intervalSet.ts';
import type { EpicRecord, UnitData } from '../../core/records.ts';
import { type RowChange, rowChanges, type UnitRow } from '../../core/rows.ts';
import type { DuePage, DueQuery, RowsQuery } from '../store.ts';

type Due = { dueWallMs: number; unit: number };
type EpicRows = {
  rows: Map<number, UnitRow>;
  due: Heap<Due>;
  /** Units of the rows, ascending; made when it is asked for, and again after some have come or gone. */
  order: number[] | undefined;
};

export class Rows {
  readonly #epics = new Map<string, EpicRows>();

  /** Does to the rows what this record does to them. */
  apply(record: EpicRecord): void {
    for (const change of rowChanges(record)) this.#change(change);
  }

  units({ epic, states, code, key, after = -1, limit, bare }: RowsQuery): UnitRow[] {
    const page: UnitRow[] = [];
    const of = this.#epics.get(epic);
    if (!of) return page;
    of.order ??= [...of.rows.keys()].sort((a, b) => a - b);
    for (let at = firstAfter(of.order, after); at < of.order.length; at++) {
      const row = of.rows.get(of.order[at] as number) as UnitRow;
      if (states && !states.includes(row.state)) continue;
      if ((code !== undefined && row.code !== code) || (key !== undefined && row.key !== key)) continue;
      if (page.length >= limit) break;
      const { data, ...rest } = row;
      page.push({ ...rest, ...(data && !bare && { data: { bytes: data.bytes } }) });
    }
    return page;
  }

  due({ epic, dueWallMs, limit, bytes }: DueQuery): DuePage {
    const of = this.#epics.get(epic);
    if (!of) return { rows: [] };
    const rows: UnitRow[] = [];
    const taken = new Map<number, Due>();
    let left = bytes;
    for (let next = of.due.peek(); next; next = of.due.peek()) {
      const row = of.rows.get(next.unit);
      const isStale = row?.state !== 'parked' || row.dueWallMs !== next.dueWallMs || taken.has(next.unit);
      if (!isStale) {
        left -= sizeOf(row.data);
        if (next.dueWallMs > dueWallMs || rows.length >= limit || (left < 0 && rows.length > 0)) break;
        rows.push({ ...row });
        taken.set(next.unit, next);
      }
      of.due.pop();
    }
    const first = of.due.peek();
    for (const entry of taken.values()) of.due.push(entry);
    return { rows, ...(first && { nextDueWallMs: first.dueWallMs }) };
  }

  #change(change: RowChange): void {
    const { op } = change;
    switch (op) {
      case 'put':
        return this.#put(change.row);
      case 'run': {
        const rows = this.#epics.get(change.epic)?.rows;
        return eachOf(change.units, (unit) => {
          const row = rows?.get(unit);
          if (row?.state === 'parked') row.state = 'running';
        });
      }
      case 'drop': {
        const of = this.#epics.get(change.epic);
        return eachOf(change.units, (unit) => of && remove(of, unit));
      }
      case 'drop-parked': {
        const of = this.#epics.get(change.epic);
        for (const [unit, { state }] of of?.rows ?? []) if (of && state === 'parked') remove(of, unit);
        return;
      }
      case 'drop-all':
        this.#epics.delete(change.epic);
        return;
      default:
        return unreachable(op);
    }
  }

  #put(row: UnitRow): void {
    let of = this.#epics.get(row.epic);
    if (!of) {
      of = {
        rows: new Map(),
        due: new Heap((a, b) => a.dueWallMs - b.dueWallMs || a.unit - b.unit),
        order: undefined,
      };
      this.#epics.set(row.epic, of);
    }
    const before = of.rows.get(row.unit);
    if (!before) of.order = undefined;
    const data = row.data ? copyOf(row.data) : before?.data;
    const { data: _, ...rest } = row;
    of.rows.set(row.unit, { ...rest, key: row.key || (before?.key ?? ''), ...(data && { data }) });
    if (row.state === 'parked') of.due.push({ dueWallMs: row.dueWallMs, unit: row.unit }); // R2
  }
}

function remove(of: EpicRows, unit: number): void {
  if (of.rows.delete(unit)) of.order = undefined;
}

/** Where the first number above `after` is in an ascending list. */
function firstAfter(list: readonly number[], after: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as number) > after) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Bytes that a row costs a page. */
function sizeOf(data: UnitData | undefined): number {
  return (data?.bytes.length ?? 0) + (data?.state?.length ?? 0);
}

/** R1 */
function copyOf({ bytes, state }: UnitData): UnitData {
  return { bytes: new Uint8Array(bytes), ...(state && { state: new Uint8Array(state) }) };
}
