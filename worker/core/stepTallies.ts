/** Counters of this worker's steps by epic, for display: what its heartbeats tell of them. */
import type { StepCounters } from '../../shared/protocol/messages.ts';

/** Epics told of in one heartbeat; with more, they take turns. */
const EPICS_TOLD_MAX = 64;

export class StepTallies {
  /** The next to be told of first. */
  readonly #epics = new Map<string, StepCounters>();

  /** The counters of an epic, to be counted in. */
  of(epic: string): StepCounters {
    const known = this.#epics.get(epic);
    if (known) return known;
    const counters: StepCounters = {};
    this.#epics.set(epic, counters);
    return counters;
  }

  /** What one heartbeat tells. Epics of which nothing is held are told of once more and then forgotten. */
  tell(held: ReadonlySet<string>): Record<string, StepCounters> {
    const told: Record<string, StepCounters> = {};
    const crowded = this.#epics.size > EPICS_TOLD_MAX;
    for (const [epic, counters] of [...this.#epics].slice(0, EPICS_TOLD_MAX)) {
      told[epic] = counters;
      this.#epics.delete(epic);
      if (!crowded || held.has(epic)) this.#epics.set(epic, counters);
    }
    return told;
  }
}
