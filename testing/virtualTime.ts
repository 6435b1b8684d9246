/**
 * The time of a test cluster that does not pass by itself: it goes straight from one timer to the next. Owns when it may;
 * the timers of steps, and what they wait for, are of the real world and none of its.
 *
 * T1: it moves only once nothing is under way: no message, no file being read, no turn of a master or a worker.
 * T2: each timer runs at its own time, and what it causes has ended before the next one runs.
 */
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { type Clock, FakeClock } from '../shared/io/clock.ts';

/** Where it begins: the same in every run. */
const START_MS = Date.UTC(2026, 0, 1);
/** Turns of the loop in which nobody asked for the time, after which nothing is under way. */
const QUIET_TURNS = 3;
/** How often one looks whether a step has ended. */
const LOOK_MS = 1;
/** What is not there by then never comes. */
const UNTIL_MS_MAX = 7 * 86_400_000;

export class VirtualTime implements Clock {
  readonly #clock = new FakeClock(START_MS);
  /** Masters and workers ask for the time with everything that they do. */
  #asked = 0;
  #advancing = 0;
  #over = false;

  wallMs(): number {
    this.#asked += 1;
    return this.#clock.wallMs();
  }

  monoMs(): number {
    this.#asked += 1;
    return this.#clock.monoMs();
  }

  setTimer(ms: number, fn: () => void): () => void {
    return this.#clock.setTimer(ms, fn);
  }

  /** Lets so much time pass, whether steps run or not. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#clock.monoMs() + ms;
    this.#advancing += 1;
    try {
      for (let moved = true; moved; ) {
        await this.settled();
        moved = this.#next(untilMs);
      }
      this.#clock.advance(Math.max(0, untilMs - this.#clock.monoMs()));
    } finally {
      this.#advancing -= 1;
    }
  }

  /** Lets time pass until something is so, but none while `isBusy`, or while somebody else moves it. */
  async until(isSo: () => boolean, isBusy: () => boolean): Promise<void> {
    const latestMs = this.#clock.monoMs() + UNTIL_MS_MAX;
    while (!this.#over) {
      await this.settled();
      if (isSo()) return;
      if (this.#advancing > 0 || isBusy()) await pause(LOOK_MS);
      else if (!this.#next(latestMs))
        throw new Error('nothing more happens in 7 days of the time of the cluster');
    }
  }

  /** Nobody waits for it any more. */
  end(): void {
    this.#over = true;
  }

  /** Goes to the next timer that is due by then, and runs it; false where there is none. */
  #next(untilMs: number): boolean {
    const dueMs = this.#clock.nextMs();
    if (dueMs === undefined || dueMs > untilMs) return false;
    this.#clock.advance(Math.max(0, dueMs - this.#clock.monoMs()));
    return true;
  }

  /** Resolves once nothing is under way (T1). */
  async settled(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; ) {
      const asked = this.#asked;
      await turn();
      quiet = asked === this.#asked && !isReading() ? quiet + 1 : 0;
    }
  }
}

/** Whether a file is being read or written somewhere in this process. */
function isReading(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq') || name === 'CloseReq');
}
