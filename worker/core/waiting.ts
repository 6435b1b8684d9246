/** Runs that wait on this worker for a short retry delay. They hold no slot, but count as held. */
import { Heap } from '../../shared/core/heap.ts';
import type { Run } from './held.ts';

type Item = { run: Run; dueMonoMs: number };

export class Waiting {
  readonly #heap = new Heap<Item>((a, b) => a.dueMonoMs - b.dueMonoMs);
  #due: Run[] = [];

  get size(): number {
    return this.#heap.size + this.#due.length;
  }

  get nextMs(): number | undefined {
    return this.#heap.peek()?.dueMonoMs;
  }

  add(run: Run, dueMonoMs: number): void {
    this.#heap.push({ run, dueMonoMs });
  }

  /** Moves what is due to where `next` finds it. */
  wake(nowMs: number): void {
    for (let top = this.#heap.peek(); top && top.dueMonoMs <= nowMs; top = this.#heap.peek()) {
      this.#heap.pop();
      this.#due.push(top.run);
    }
  }

  /** The next run whose delay is over. */
  next(): Run | undefined {
    return this.#due.shift();
  }

  /** Takes out the runs that `wanted` picks, with the time they were due. */
  take(wanted: (run: Run) => boolean, nowMs: number): Item[] {
    const taken = this.#due.filter(wanted).map((run) => ({ run, dueMonoMs: nowMs }));
    this.#due = this.#due.filter((run) => !wanted(run));
    const kept: Item[] = [];
    for (let item = this.#heap.pop(); item; item = this.#heap.pop())
      (wanted(item.run) ? taken : kept).push(item);
    for (const item of kept) this.#heap.push(item);
    return taken;
  }
}
