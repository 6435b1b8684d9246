/**
 * The `Store` seam: where records are made durable. Owns the journal, its checkpoint, and the rows of units kept one
 * by one; what a record does to the rows is `master/core/rows.ts`, beyond that it knows nothing of records.
 *
 * What every implementation keeps (test/conformance/store.ts):
 * J1: records come back in the order they were appended, whole or not at all.
 * J2: `append` resolves only when the records are as durable as this store gets.
 * J3: `checkpoint` replaces everything appended before it; it is as atomic as an append, and comes back in its order.
 * J4: rows change in the append of the record that changes them (`rowChanges`), and a checkpoint leaves them alone.
 * J5: what was appended stays in the history, also after a checkpoint, as long as an epic of its time is known.
 */

import type { EpicRecord } from '../core/records.ts';
import type { RowState, UnitRow } from '../core/rows.ts';

export type Opened = {
  /** Fencing number of this process's ownership: larger than any before on this store. */
  term: number;
  /** The checkpoint and what was appended since. */
  records: readonly EpicRecord[];
};

/** A page of rows, in the order of their units. */
export type RowsQuery = {
  epic: string;
  states?: readonly RowState[];
  code?: string;
  key?: string;
  /** Only units above this one; −1 or absent: from the first. */
  after?: number;
  limit: number;
  /** Without their bytes. */
  bare?: true;
};

/** Parked rows of an epic that are due, the longest due first: at most `limit` of them and about `bytes` bytes. */
export type DueQuery = { epic: string; dueWallMs: number; limit: number; bytes: number };
export type DuePage = {
  /** With their data. */
  rows: UnitRow[];
  /** When the first parked one that is not among them falls due; absent when there is none. */
  nextDueWallMs?: number;
};

/** One append of the past. */
export type HistoryEntry = { seq: number; wallMs: number; records: EpicRecord[] };

export type Store = {
  readonly kind: 'memory' | 'sqlite';
  /** How a person is told what this store survives. */
  readonly description: string;
  open(): Promise<Opened>;
  append(records: readonly EpicRecord[]): Promise<void>;
  checkpoint(records: readonly EpicRecord[]): Promise<void>;
  /** Rows without their states, but with their bytes unless it is asked for `bare` ones. */
  units(query: RowsQuery): Promise<UnitRow[]>;
  due(query: DueQuery): Promise<DuePage>;
  /** What was appended after entry number `after`, oldest first, at most `limit` entries, without the data of units. */
  history(query: { after: number; limit: number }): Promise<HistoryEntry[]>;
  close(): Promise<void>;
};
