/** How full each of the master's queues is and was at most, beside the limit it has by name (promise G6). */
import {
  BRIEF_ASKS_MAX,
  GATHER_BYTES_MAX,
  GATHER_SCATTER_BYTES_MAX,
  HELD_UNITS_MAX,
  JOURNAL_RECORDS_MAX,
  LOOK_AHEAD_BYTES,
  LOOK_AHEAD_UNITS,
  NATS_BUFFER_BYTES_MAX,
  PARKED_MAX,
  PEER_BUFFER_BYTES_MAX,
  READ_BYTES,
  READ_UNITS_MAX,
  RETURNS_MAX,
  UNIT_BYTES_MAX,
} from '../../shared/core/limits.ts';
import type { Bus } from '../../shared/io/bus.ts';
import type { MasterState } from '../core/state.ts';

export type Depth = { depth: number; max: number; limit: number };

export class Depths {
  readonly #state: MasterState;
  readonly #bus: Bus;
  readonly #queues = new Map<string, Depth>();
  #owed = (): number => 0;

  constructor(state: MasterState, bus: Bus) {
    this.#state = state;
    this.#bus = bus;
  }

  /** Notes what changes with every step and every append. */
  observe({ records, messages }: { records: number; messages: number }): void {
    this.#note('journal_records', records, JOURNAL_RECORDS_MAX);
    this.#note('waiting_messages', messages, JOURNAL_RECORDS_MAX);
  }

  /** Has the queue of who is still to be told of an end watched, too. */
  watchReturns(owed: () => number): void {
    this.#owed = owed;
  }

  /** Notes what costs a look at every peer or epic, now and then, and what waits elsewhere in the shell. */
  sample({ briefAsks, gatherBytes }: { briefAsks: number; gatherBytes: number }): void {
    this.#note('gather_bytes', gatherBytes, GATHER_BYTES_MAX + GATHER_SCATTER_BYTES_MAX);
    this.#note('brief_asks', briefAsks, BRIEF_ASKS_MAX);
    this.#note('owed_returns', this.#owed(), RETURNS_MAX);
    this.#note('link_bytes', this.#bus.buffered(), this.#linkLimit);
    this.observeEpics();
  }

  /** Notes the queues that each epic has by the fullest of them: after a read, and now and then. */
  observeEpics(): void {
    let ready = 0;
    let bytes = 0;
    let parked = 0;
    let leased = 0;
    for (const live of this.#state.live.values()) {
      ready = Math.max(ready, live.readyCount);
      bytes = Math.max(bytes, live.loadedBytes);
      parked = Math.max(parked, live.epic.parked.count);
      leased += live.leased;
    }
    const sessions = this.#sessions;
    this.#note('ready_units', ready, LOOK_AHEAD_UNITS + READ_UNITS_MAX + sessions * HELD_UNITS_MAX);
    this.#note('loaded_bytes', bytes, LOOK_AHEAD_BYTES + READ_BYTES + UNIT_BYTES_MAX);
    this.#note('parked_units', parked, PARKED_MAX + sessions * HELD_UNITS_MAX);
    this.#note('leased_units', leased, sessions * HELD_UNITS_MAX);
  }

  report(): Record<string, Depth> {
    return Object.fromEntries(this.#queues);
  }

  /** Over NATS one connection carries what is for all workers; a hub has one for each of them. */
  get #linkLimit(): number {
    return this.#bus.kind === 'nats' ? NATS_BUFFER_BYTES_MAX : this.#sessions * PEER_BUFFER_BYTES_MAX;
  }

  get #sessions(): number {
    return Math.max(1, this.#state.sessions.size);
  }

  #note(name: string, depth: number, limit: number): void {
    const known = this.#queues.get(name);
    if (!known) {
      this.#queues.set(name, { depth, max: depth, limit });
      return;
    }
    known.depth = depth;
    known.limit = limit;
    if (depth > known.max) known.max = depth;
  }
}
