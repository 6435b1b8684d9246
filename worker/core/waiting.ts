/** Runs that wait on this worker for a short retry delay. They hold no slot, but count as held. */
import { Heap } from '../../shared/core/heap.ts';
import type { Run } from './held.ts';
import type { Retry } from './outcomes.ts';

export type Item = { run: Run; retry: Retry; dueMonoMs: number };

export class Waiting {
  readonly #heap = new Heap<Item>((a, b) => a.dueMonoMs - b.dueMonoMs);
  #due: Item[] = [];

  get size(): number {
    return this.#heap.size + this.#due.length;
  }

  get nextMs(): number | undefined {
    return this.#heap.peek()?.dueMonoMs;
  }

  add(item: Item): void {
    this.#heap.push(item);
  }

  /** Moves what is due to where `next` finds it. */
  wake(nowMs: number): void {
    for (let top = this.#heap.peek(); top && top.dueMonoMs <= nowMs; top = this.#heap.peek()) {
      this.#heap.pop();
      this.#due.push(top);
    }
  }

  /** The next run whose delay is over. */
  next(): Run | undefined {
    return this.#due.shift()?.run;
  }

  /** Takes out up to `count` of the runs that `wanted` picks, with the time they were due. */
  take(wanted: (run: Run) => boolean, count = Number.POSITIVE_INFINITY): Item[] {
    let left = count;
    const isTaken = ({ run }: Item): boolean => left > 0 && wanted(run) && left-- > 0;
    const taken: Item[] = [];
    const due: Item[] = [];
    for (const item of this.#due) (isTaken(item) ? taken : due).push(item);
    this.#due = due;
    const kept: Item[] = [];
    for (let item = this.#heap.pop(); item; item = this.#heap.pop())
      (isTaken(item) ? taken : kept).push(item);
    for (const item of kept) this.#heap.push(item);
    return taken;
  }
}
