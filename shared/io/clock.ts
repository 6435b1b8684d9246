/**
 * Time as an input: whoever needs the time or a timer is given a `Clock`. Owns the system's clock and
 * the fake one of the tests.
 *
 * Wall time is for deadlines and for people, monotonic time for leases and everything measured.
 */

export type Clock = {
  /** Milliseconds since 1970. May jump. */
  wallMs(): number;
  /** Milliseconds since some moment in the past. Never jumps, never goes back. */
  monoMs(): number;
  /** Runs `fn` once after `ms`; returns the cancel, which may be called at any time. */
  setTimer(ms: number, fn: () => void): () => void;
};

/** A longer delay would make Node's timer fire at once; it fires after 24 days instead, which is early. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  setTimer(ms, fn) {
    const timer = setTimeout(fn, Math.min(ms, TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
};

/** The system's clock, but so many times as fast, for its timers too: a test of what takes minutes. */
export function spedUp(speed: number): Clock {
  const startedMs = Date.now();
  const origin = performance.now();
  const monoMs = (): number => performance.now() * speed;
  return {
    monoMs,
    wallMs: () => startedMs + Math.round(monoMs() - origin * speed),
    setTimer: (ms, fn) => systemClock.setTimer(ms / speed, fn),
  };
}

type FakeTimer = { dueMs: number; fn: () => void };

/** A clock that a test moves by hand. Both times start at `startMs` and move together. */
export class FakeClock implements Clock {
  #nowMs: number;
  /** In the order they were set, which decides between two that are due at once. */
  readonly #timers = new Set<FakeTimer>();

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  monoMs(): number {
    return this.#nowMs;
  }

  setTimer(ms: number, fn: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, ms), fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that wait. */
  timers(): number {
    return this.#timers.size;
  }

  /** When the next of them is due. */
  nextMs(): number | undefined {
    return this.#next(Number.POSITIVE_INFINITY)?.dueMs;
  }

  /** Moves time on and runs what falls due on the way, each at its own time, also what those timers set. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let timer = this.#next(untilMs); timer; timer = this.#next(untilMs)) {
      this.#timers.delete(timer);
      this.#nowMs = timer.dueMs;
      timer.fn();
    }
    this.#nowMs = untilMs;
  }

  #next(untilMs: number): FakeTimer | undefined {
    let next: FakeTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= untilMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}
