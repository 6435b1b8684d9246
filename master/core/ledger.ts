/**
 * All epics by id: what a replay of the journal gives. The core has one (ahead by what is not yet
 * synced) and the shell has one of only synced records, which is what every reader sees.
 */
import { assert } from '../../shared/core/errors.ts';
import { EPICS_FINISHED_KEPT_MAX } from '../../shared/core/limits.ts';
import { Epic } from './epic.ts';
import type { EpicRecord } from './records.ts';

export class Ledger {
  /** By id, in the order they were submitted. */
  readonly epics = new Map<string, Epic>();
  readonly #finished: string[] = [];
  #active = 0;

  get activeCount(): number {
    return this.#active;
  }

  /** Returns the id of the epic that this forgets, if any: who keeps something by epic forgets it too. */
  apply(record: EpicRecord): string | undefined {
    if (record.k === 'epic-submitted' || record.k === 'epic-checkpoint') {
      this.#enter(new Epic(record));
      return undefined;
    }
    const epic = this.epics.get(record.epic);
    assert(epic, `record ${record.k} of an unknown epic ${record.epic}`);
    epic.apply(record);
    return record.k === 'epic-finished' ? this.#retire(epic.id) : undefined;
  }

  /** One record for each epic: a replay of these gives this ledger. */
  checkpoint(): EpicRecord[] {
    return [...this.epics.values()].map((epic) => epic.checkpoint());
  }

  #enter(epic: Epic): void {
    assert(!this.epics.has(epic.id), `epic ${epic.id} submitted twice`);
    this.epics.set(epic.id, epic);
    if (epic.active) this.#active += 1;
    else this.#finished.push(epic.id);
  }

  /** Remembers the newest finished epics and forgets the oldest beyond the limit. */
  #retire(id: string): string | undefined {
    this.#active -= 1;
    this.#finished.push(id);
    if (this.#finished.length <= EPICS_FINISHED_KEPT_MAX) return undefined;
    const oldest = this.#finished.shift();
    if (oldest !== undefined) this.epics.delete(oldest);
    return oldest;
  }
}
