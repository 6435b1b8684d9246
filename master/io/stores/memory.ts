/** A store that lives and dies with the process: for tests and measurements. */
import type { EpicRecord } from '../../core/records.ts';
import type { Opened, Store } from '../store.ts';

export class MemoryStore implements Store {
  readonly kind = 'memory';
  readonly description = 'memory (not durable)';
  #records: EpicRecord[] = [];
  #term = 0;

  open(): Promise<Opened> {
    this.#term += 1;
    return Promise.resolve({ term: this.#term, records: [...this.#records] });
  }

  append(records: readonly EpicRecord[]): Promise<void> {
    for (const record of records) this.#records.push(record);
    return Promise.resolve();
  }

  checkpoint(records: readonly EpicRecord[]): Promise<void> {
    this.#records = [...records];
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
