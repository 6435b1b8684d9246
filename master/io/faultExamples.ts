/**
 * The first few failed or unknown units of each epic, so that a person sees what is wrong with the source or
 * the work. The counts are exact, these are only examples: the first that ended so, after a restart those with
 * the lowest numbers.
 */
import type { EpicStatus } from '../../shared/protocol/api.ts';
import type { Ledger } from '../core/ledger.ts';
import type { EpicRecord } from '../core/records.ts';
import type { Store } from './store.ts';

/** Examples kept of one epic. */
const EXAMPLES_MAX = 5;

export class FaultExamples {
  readonly #epics = new Map<string, NonNullable<EpicStatus['examples']>>();

  take(record: EpicRecord): void {
    if (record.k !== 'settled' || (!record.failed && !record.unknown)) return;
    this.#add(record.epic, [...(record.failed ?? []), ...(record.unknown ?? [])]);
  }

  /** Fetches those of epics that have none: a checkpoint has only their counts. */
  async recall(store: Pick<Store, 'units'>, { epics }: Ledger): Promise<void> {
    for (const { id, faults } of [...epics.values()]) {
      if (faults.size === 0 || this.#epics.has(id)) continue;
      const found = await store.units({ epic: id, states: ['failed', 'unknown'], limit: EXAMPLES_MAX });
      if (epics.has(id) && !this.#epics.has(id)) this.#add(id, found);
    }
  }

  of(epic: string): EpicStatus['examples'] {
    return this.#epics.get(epic);
  }

  forget(epic: string): void {
    this.#epics.delete(epic);
  }

  #add(epic: string, faults: readonly { unit: number; code: string; message: string }[]): void {
    const known = this.#epics.get(epic) ?? [];
    const room = EXAMPLES_MAX - known.length;
    for (const { unit, code, message } of faults.slice(0, Math.max(0, room))) {
      known.push({ record: unit + 1, code, message });
    }
    if (known.length > 0) this.#epics.set(epic, known);
  }
}
