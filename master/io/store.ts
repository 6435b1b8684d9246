/**
 * The `Store` seam: where records are made durable. Owns the journal and its checkpoint; it knows
 * nothing of what a record means.
 *
 * What every implementation keeps (test/conformance/store.ts):
 * J1: records come back in the order they were appended, whole or not at all.
 * J2: `append` resolves only when the records are as durable as this store gets.
 * J3: `checkpoint` replaces everything appended before it; it is as atomic as an append, and comes back in its order.
 */
import type { EpicRecord } from '../core/records.ts';

export type Opened = {
  /** Fencing number of this process's ownership: larger than any before on this store. */
  term: number;
  /** The checkpoint and what was appended since. */
  records: readonly EpicRecord[];
};

export type Store = {
  readonly kind: 'memory' | 'sqlite';
  /** How a person is told what this store survives. */
  readonly description: string;
  open(): Promise<Opened>;
  append(records: readonly EpicRecord[]): Promise<void>;
  checkpoint(records: readonly EpicRecord[]): Promise<void>;
  close(): Promise<void>;
};
