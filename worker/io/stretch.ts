/**
 * How long steps keep the event loop for themselves. Owns the longest stretch since it was last taken; whether that is
 * too long is the loop watch's business. Times are monotonic milliseconds.
 */

export type Stretch = { work: string; step: string; ms: number };

export class Stretches {
  /** The newest time that it was told: as exact as the last step that ended. */
  nowMs = 0;
  #longest: Stretch = { work: '', step: '', ms: 0 };

  /** The loop was free until now. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
  }

  /** A step gave the loop back, having had it since the last time that was told. */
  end(work: string, step: string, nowMs: number): void {
    const ms = nowMs - this.nowMs;
    this.nowMs = nowMs;
    if (ms > this.#longest.ms) this.#longest = { work, step, ms };
  }

  /** The longest stretch since this was last asked. */
  take(): Stretch {
    const longest = this.#longest;
    this.#longest = { work: '', step: '', ms: 0 };
    return longest;
  }
}
