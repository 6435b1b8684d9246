/** A submitted epic as a program holds it: ask, follow, wait, steer, look at units. Holds no connection of its own. */
import { GimmeError } from '../shared/core/errors.ts';
import {
  type EpicStatus,
  type FailureGroup,
  type GatherAnswer,
  isOver,
  type RetryAnswer,
  type RetryBody,
  type UnitResult,
  type UnitStory,
  type UnitView,
} from '../shared/protocol/api.ts';
import type { Client, UnitFilter } from './client.ts';
import { followEpic, type WatchOptions } from './events.ts';

export class Epic {
  readonly id: string;
  readonly name: string;
  readonly work: string;
  /** What the master said when this handle was made. */
  readonly first: EpicStatus;
  readonly #client: Client;

  constructor(client: Client, status: EpicStatus) {
    this.#client = client;
    this.first = status;
    this.id = status.id;
    this.name = status.name;
    this.work = status.work;
  }

  status(): Promise<EpicStatus> {
    return this.#client.status(this.id);
  }

  cancel(reason: string): Promise<EpicStatus> {
    return this.#client.cancel(this.id, reason);
  }

  pause(reason?: string): Promise<EpicStatus> {
    return this.#client.pause(this.id, reason);
  }

  resume(): Promise<EpicStatus> {
    return this.#client.resume(this.id);
  }

  /** What a gather came to, once it is over. */
  result<Value = unknown>(): Promise<GatherAnswer<Value>> {
    return this.#client.result<Value>(this.id);
  }

  /** The answers of a gather by unit, as far as they are there. */
  results(): AsyncGenerator<UnitResult> {
    return this.#client.results(this.id);
  }

  /** All units that are kept one by one: they wait, are tried again, have failed or are unknown. */
  units(filter?: UnitFilter): AsyncGenerator<UnitView> {
    return this.#client.units(this.id, filter);
  }

  failures(): Promise<FailureGroup[]> {
    return this.#client.failures(this.id);
  }

  story(unit: number | { key: string }): Promise<UnitStory> {
    return this.#client.story(this.id, unit);
  }

  /** Has failed units (or unknown ones) tried again as a new epic, once this one is over. */
  retry(body?: RetryBody): Promise<RetryAnswer> {
    return this.#client.retry(this.id, body);
  }

  /**
   * Follows the epic: its state now, then its newest state each time it changed, the last one being
   * its end. A consumer that is slow misses states in between, never the last. Goes on when the master is
   * lost and comes back (`onMaster` is told); one absent for five minutes ends it with `master_unreachable`.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<EpicStatus> {
    return followEpic(this.#client, this.id, options);
  }

  /** Resolves with the end state, or throws `wait_timeout`; the epic goes on then. */
  async wait({ timeoutMs }: { timeoutMs?: number } = {}): Promise<EpicStatus> {
    const stop = new AbortController();
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => stop.abort(), timeoutMs);
    let last = this.first;
    try {
      for await (const status of this.watch({ signal: stop.signal })) last = status;
    } finally {
      clearTimeout(timer);
    }
    if (isOver(last.state)) return last;
    const { read, outstanding } = last.totals;
    const done = `${read - outstanding} of ${last.total} units done`;
    throw new GimmeError('wait_timeout', `epic ${this.name} still runs after ${timeoutMs} ms, ${done}`);
  }
}
