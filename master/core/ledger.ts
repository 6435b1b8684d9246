/**
 * All epics by id: what a replay of the journal gives. The core has one (ahead by what is not yet
 * synced) and the shell has one of only synced records, which is what every reader sees.
 */
import { assert } from '../../shared/core/errors.ts';
import { Epic } from './epic.ts';
import { checkpointOf } from './epicCheckpoint.ts';
import type { EpicRecord } from './records.ts';

export class Ledger {
  /** By id, in the order they were submitted. */
  readonly epics = new Map<string, Epic>();
  /** Ids of those that are over, the first to end first. */
  readonly finished = new Set<string>();

  get activeCount(): number {
    return this.epics.size - this.finished.size;
  }

  apply(record: EpicRecord): void {
    if (record.k === 'epic-submitted' || record.k === 'epic-checkpoint') return this.#enter(new Epic(record));
    const epic = this.epics.get(record.epic);
    assert(epic, `record ${record.k} of an unknown epic ${record.epic}`);
    if (record.k === 'purged') return this.#forget(epic);
    epic.apply(record);
    if (!epic.active) this.finished.add(epic.id);
  }

  /** One record for each epic: a replay of these gives this ledger. */
  checkpoint(): EpicRecord[] {
    return [...this.epics.values()].map(checkpointOf);
  }

  #enter(epic: Epic): void {
    assert(!this.epics.has(epic.id), `epic ${epic.id} submitted twice`);
    this.epics.set(epic.id, epic);
    if (!epic.active) this.finished.add(epic.id);
  }

  #forget(epic: Epic): void {
    assert(!epic.active, `epic ${epic.id} is purged while it runs`);
    this.epics.delete(epic.id);
    this.finished.delete(epic.id);
  }
}
