/**
 * A set of numbers that lie scattered over a long line, as parked units do: hardly any of them touch, so that kept as
 * intervals they are as many as they are. Owns how they are spread over small interval sets; what they mean is the
 * caller's.
 *
 * S1: a stretch has the numbers of one multiple of STRETCH up to the next; none is empty.
 * S2: what one change costs depends on its stretch, not on the set: a single list of 100,000 intervals was moved in
 *     memory for each unit that left it, and copied again and again while it grew.
 */
import type { Ranges } from '../protocol/messages.ts';
import { IntervalSet } from './intervalSet.ts';

const STRETCH = 2 ** 14;

export class ScatteredSet {
  /** By their number: the multiple of STRETCH that they begin at. */
  readonly #stretches = new Map<number, IntervalSet>();
  #count = 0;

  /** Number of members. */
  get count(): number {
    return this.#count;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Tells whether `n` is a member. */
  has(n: number): boolean {
    return this.#stretches.get(Math.floor(n / STRETCH))?.has(n) ?? false;
  }

  /** Adds all members of `ranges` and returns how many were new. */
  addAll(ranges: Ranges): number {
    let added = 0;
    eachStretch(ranges, (number, from, to) => {
      let stretch = this.#stretches.get(number);
      if (!stretch) this.#stretches.set(number, (stretch = new IntervalSet()));
      added += stretch.add(from, to);
    });
    this.#count += added;
    return added;
  }

  /** Removes all members of `ranges` and returns how many were there. */
  removeAll(ranges: Ranges): number {
    let removed = 0;
    eachStretch(ranges, (number, from, to) => {
      const stretch = this.#stretches.get(number);
      if (!stretch) return;
      removed += stretch.remove(from, to);
      if (stretch.isEmpty) this.#stretches.delete(number);
    });
    this.#count -= removed;
    return removed;
  }

  clear(): void {
    this.#stretches.clear();
    this.#count = 0;
  }

  /** The members of `ranges` that are in the set. */
  intersect(ranges: Ranges): number[] {
    const found: number[] = [];
    if (this.#count === 0) return found;
    eachStretch(ranges, (number, from, to) => {
      appendAll(found, this.#stretches.get(number)?.intersect([from, to]) ?? []);
    });
    return found;
  }

  /** A copy of the members as ranges. */
  ranges(): number[] {
    const all: number[] = [];
    for (const number of [...this.#stretches.keys()].sort((a, b) => a - b)) {
      appendAll(all, (this.#stretches.get(number) as IntervalSet).ranges());
    }
    return all;
  }
}

/** Calls `fn` with the part of each range that lies in each stretch, ascending. */
function eachStretch(ranges: Ranges, fn: (number: number, from: number, to: number) => void): void {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    const to = ranges[i + 1] as number;
    for (let from = ranges[i] as number; from < to; ) {
      const number = Math.floor(from / STRETCH);
      const end = Math.min(to, (number + 1) * STRETCH);
      fn(number, from, end);
      from = end;
    }
  }
}

/** Appends ranges to a list that ends at or before them; those that touch become one. */
function appendAll(list: number[], ranges: Ranges): void {
  let i = 0;
  if (list.length > 0 && list[list.length - 1] === ranges[0]) {
    list[list.length - 1] = ranges[1] as number;
    i = 2;
  }
  for (; i < ranges.length; i++) list.push(ranges[i] as number);
}
