/**
 * Notices that the event loop was blocked: a clock whose timers, which are there anyway, say how late they come. Owns
 * when that is worth a word; the word is its owner's.
 */
import type { Clock } from './clock.ts';

/** Least time between two warnings. */
const TELL_EVERY_MS = 60_000;

export type LoopWatchOptions<T extends { ms: number }> = {
  clock: Clock;
  /** How long the loop may be blocked without a word. */
  limitMs: number;
  /** What is known to have kept the loop longest since this was last asked. */
  longest: () => T;
  /** Told how long it was, and what kept it longest. */
  tell: (ms: number, longest: T) => void;
};

export class LoopWatch<T extends { ms: number }> implements Clock {
  readonly #options: LoopWatchOptions<T>;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(options: LoopWatchOptions<T>) {
    this.#options = options;
  }

  wallMs(): number {
    return this.#options.clock.wallMs();
  }

  monoMs(): number {
    return this.#options.clock.monoMs();
  }

  setTimer(ms: number, fn: () => void): () => void {
    const dueMs = this.monoMs() + ms;
    return this.#options.clock.setTimer(ms, () => {
      this.#look(this.monoMs() - dueMs);
      fn();
    });
  }

  #look(lateMs: number): void {
    const longest = this.#options.longest();
    const ms = Math.max(lateMs, longest.ms);
    const nowMs = this.monoMs();
    if (ms <= this.#options.limitMs || nowMs - this.#toldMs < TELL_EVERY_MS) return;
    this.#toldMs = nowMs;
    this.#options.tell(Math.round(ms), longest);
  }
}
