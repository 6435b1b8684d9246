/** A store that lives and dies with the process: for tests and measurements. */
import { HISTORY_MEMORY_ENTRIES_MAX } from '../../../shared/core/limits.ts';
import { systemClock } from '../../../shared/io/clock.ts';
import type { EpicRecord } from '../../core/records.ts';
import { journaled, type UnitRow } from '../../core/rows.ts';
import type { DuePage, DueQuery, HistoryEntry, Opened, RowsQuery, Store } from '../store.ts';
import { Rows } from './rows.ts';

export class MemoryStore implements Store {
  readonly kind = 'memory';
  readonly description = 'memory (not durable)';
  readonly #wallMs: () => number;
  readonly #rows = new Rows();
  /** Known epics, and the entry that each was submitted in. */
  readonly #since = new Map<string, number>();
  #records: EpicRecord[] = [];
  #history: HistoryEntry[] = [];
  #seq = 0;
  #term = 0;

  constructor(wallMs: () => number = () => systemClock.wallMs()) {
    this.#wallMs = wallMs;
  }

  open(): Promise<Opened> {
    this.#term += 1;
    return Promise.resolve({ term: this.#term, records: [...this.#records] });
  }

  append(records: readonly EpicRecord[]): Promise<void> {
    const seq = ++this.#seq;
    const entry = { seq, wallMs: this.#wallMs(), records: records.map(journaled) };
    for (const record of entry.records) this.#records.push(record);
    for (const record of records) {
      this.#rows.apply(record);
      if (record.k === 'epic-submitted') this.#since.set(record.epic, seq);
    }
    this.#history.push(entry);
    return Promise.resolve();
  }

  checkpoint(records: readonly EpicRecord[]): Promise<void> {
    this.#records = [...records];
    const known = new Set(records.map(({ epic }) => epic));
    for (const epic of this.#since.keys()) if (!known.has(epic)) this.#since.delete(epic);
    const first = Math.min(this.#seq + 1, ...this.#since.values());
    const kept = this.#history.findIndex(({ seq }) => seq >= first);
    this.#history = kept === -1 ? [] : this.#history.slice(kept).slice(-HISTORY_MEMORY_ENTRIES_MAX);
    return Promise.resolve();
  }

  units(query: RowsQuery): Promise<UnitRow[]> {
    return Promise.resolve(this.#rows.units(query));
  }

  due(query: DueQuery): Promise<DuePage> {
    return Promise.resolve(this.#rows.due(query));
  }

  history({ after, limit }: { after: number; limit: number }): Promise<HistoryEntry[]> {
    const from = this.#history.findIndex(({ seq }) => seq > after);
    return Promise.resolve(from === -1 ? [] : this.#history.slice(from, from + limit));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
