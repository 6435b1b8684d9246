/**
 * The first few failed or unknown units of each epic, so that a person sees what is wrong with the source or
 * the work. Kept since this master was started; the counts are exact, these are only examples.
 */
import type { EpicStatus } from '../../shared/protocol/api.ts';
import type { EpicRecord } from '../core/records.ts';

/** Examples kept of one epic. */
const EXAMPLES_MAX = 5;

export class FaultExamples {
  readonly #epics = new Map<string, NonNullable<EpicStatus['examples']>>();

  take(record: EpicRecord): void {
    if (record.k !== 'settled' || (!record.failed && !record.unknown)) return;
    const known = this.#epics.get(record.epic) ?? [];
    if (known.length >= EXAMPLES_MAX) return;
    for (const { unit, code, message } of [...(record.failed ?? []), ...(record.unknown ?? [])]) {
      if (known.length < EXAMPLES_MAX) known.push({ record: unit + 1, code, message });
    }
    this.#epics.set(record.epic, known);
  }

  of(epic: string): EpicStatus['examples'] {
    return this.#epics.get(epic);
  }

  forget(epic: string): void {
    this.#epics.delete(epic);
  }
}
