/** Virtual time: what is to happen, in order. Two things due at once happen in the order they were planned. */
import { Heap } from '../../shared/core/heap.ts';

type Planned = { atMs: number; order: number; run: () => void };

export class Timeline {
  nowMs = 1;
  readonly #planned = new Heap<Planned>((a, b) => a.atMs - b.atMs || a.order - b.order);
  #order = 0;

  after(ms: number, run: () => void): void {
    this.#planned.push({ atMs: this.nowMs + Math.max(0, ms), order: this.#order++, run });
  }

  at(atMs: number, run: () => void): void {
    this.after(atMs - this.nowMs, run);
  }

  /** Lets everything happen that is due until `untilMs`, or until `done`. */
  runUntil(untilMs: number, done: () => boolean = () => false): void {
    for (let next = this.#planned.peek(); next && next.atMs <= untilMs; next = this.#planned.peek()) {
      if (done()) return;
      this.#planned.pop();
      this.nowMs = next.atMs;
      next.run();
    }
    if (!done()) this.nowMs = untilMs;
  }
}
