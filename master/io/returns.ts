/**
 * Returns: has everyone told whose epic is over, at least once. Owns who is still to be told and when that is tried
 * again; how it is told is `returnAddresses.ts`, that it was is the master's to remember.
 *
 * A return is `waiting` (for its next attempt), `queued` (its time has come) or `sending`.
 *
 * U1: one attempt of an epic at a time, RETURNS_AT_ONCE of all.
 * U2: `delivered` is called once for each, when nobody is to be told any more: it was told, or given up.
 * U3: an epic is told of for RETURN_FOR_MS from its end, also over a restart.
 * U4: at most RETURNS_MAX are owed; beyond it whoever has waited longest is given up.
 */
import {
  RETURN_FOR_MS,
  RETURN_RETRY_FIRST_MS,
  RETURN_RETRY_MAX_MS,
  RETURNS_AT_ONCE,
  RETURNS_MAX,
} from '../../shared/core/limits.ts';
import { backoffMs } from '../../shared/core/retry.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import type { EpicStatus, Reply } from '../../shared/protocol/api.ts';
import type { ReturnAddresses, Told } from './returnAddresses.ts';

export type ReturnsParts = {
  addresses: Pick<ReturnAddresses, 'send'>;
  clock: Clock;
  log: Log;
  /** From 0 up to, not including, 1. Defaults to Math.random. */
  random?: () => number;
  /** Nobody is to be told of this epic any more; `outcome` says why. */
  delivered(epic: string, outcome: Told | 'given-up'): void;
};

type Return = {
  id: string;
  address: string;
  body: string;
  endMs: number;
  attempt: number;
  cancel: () => void;
};

const BACKOFF = { firstMs: RETURN_RETRY_FIRST_MS, factor: 2, maxMs: RETURN_RETRY_MAX_MS };

export class Returns {
  readonly #parts: ReturnsParts;
  /** All that are owed, also those under way. */
  readonly #owed = new Map<string, Return>();
  readonly #queue: Return[] = [];
  #sending = 0;
  #open = true;

  constructor(parts: ReturnsParts) {
    this.#parts = parts;
  }

  /** How many are still to be told. */
  get depth(): number {
    return this.#owed.size;
  }

  /** Has the return address of an epic that is over told. Told of twice, it is still owed once. */
  owe(epic: EpicStatus): void {
    const address = epic.gather?.replyTo ?? epic.replyTo;
    const { id } = epic;
    if (!this.#open || address === undefined || this.#owed.has(id)) return;
    const endedMs = Date.parse(epic.finishedAt ?? epic.submittedAt);
    const body = JSON.stringify(replyOf(epic));
    const one: Return = { id, address, body, endMs: endedMs + RETURN_FOR_MS, attempt: 0, cancel: () => {} };
    this.#owed.set(id, one);
    this.#queue.push(one);
    if (this.#owed.size > RETURNS_MAX) this.#forgetOldest(); // U4
    this.#next();
  }

  /** Tells nobody any more; what is owed is owed again to the next master. */
  close(): void {
    this.#open = false;
    this.#queue.length = 0;
    for (const { cancel } of this.#owed.values()) cancel();
  }

  #next(): void {
    while (this.#open && this.#sending < RETURNS_AT_ONCE) {
      const one = this.#queue.shift();
      if (!one) return;
      this.#sending += 1;
      void this.#try(one).finally(() => {
        this.#sending -= 1;
        this.#next();
      });
    }
  }

  async #try(one: Return): Promise<void> {
    const { id, address, body } = one;
    one.attempt += 1;
    try {
      const told = await this.#parts.addresses.send(address, id, body);
      this.#end(one, told);
    } catch (error) {
      this.#failed(one, error);
    }
  }

  #failed(one: Return, error: unknown): void {
    const { clock, log, random = Math.random } = this.#parts;
    const { id, attempt, endMs } = one;
    const story = { epic: id, attempt, why: error instanceof Error ? error.message : String(error) };
    if (!this.#open || !this.#owed.has(id)) return;
    const delayMs = backoffMs(BACKOFF, attempt, random());
    if (clock.wallMs() + delayMs > endMs) {
      log.warn('a return address was not told that its epic is over; it is given up', story);
      return this.#end(one, 'given-up');
    }
    log[attempt === 1 ? 'warn' : 'debug']('a return address could not be told; it is tried again', story);
    one.cancel = clock.setTimer(delayMs, () => {
      this.#queue.push(one);
      this.#next();
    });
  }

  #forgetOldest(): void {
    const [oldest] = this.#owed.values();
    if (!oldest) return;
    const { id, attempt, cancel } = oldest;
    cancel();
    const at = this.#queue.indexOf(oldest);
    if (at >= 0) this.#queue.splice(at, 1);
    this.#parts.log.warn('too many return addresses are still to be told; one is given up', {
      epic: id,
      attempt,
    });
    this.#end(oldest, 'given-up');
  }

  #end({ id }: Return, outcome: Told | 'given-up'): void {
    if (this.#owed.delete(id) && this.#open) this.#parts.delivered(id, outcome);
  }
}

/** What an address is told: how the epic ended, and where the result of a gather is. */
function replyOf(epic: EpicStatus): Reply {
  const { id, name, work, state, totals, gather, fault, links, finishedAt, submittedAt } = epic;
  const end = state === 'failed' || state === 'cancelled' ? state : 'finished';
  const { self } = links;
  return {
    type: `${gather ? 'gather' : 'epic'}.${end}`,
    timestamp: finishedAt ?? submittedAt,
    data: {
      ...{ id, name, work, state, totals },
      ...(gather && { complete: gather.complete ?? false }),
      ...(fault && { fault }),
      links: gather ? { self, result: `${self}/result`, results: `${self}/results` } : { self },
    },
  };
}
