/**
 * A set of non-negative safe integers kept as half-open intervals, for unit numbers: settled, held and
 * ready units come and go in runs, so the set stays small however many members it has. Owns the set
 * and the functions over `Ranges`; what the numbers mean is the caller's.
 *
 * I1: edges are strictly ascending, so intervals are disjoint, non-empty and never touch.
 * I2: `count` is always the number of members.
 * I3: work at the first and the last interval is O(1); elsewhere O(log n) and one splice.
 */
import type { Ranges } from '../protocol/messages.ts';

export class IntervalSet {
  /** `[from, to, from, to, …]` (I1). */
  #edges: number[] = [];
  #count = 0;

  /** Makes a set of the members of these ranges. */
  static of(ranges: Ranges): IntervalSet {
    const set = new IntervalSet();
    set.addAll(ranges);
    return set;
  }

  /** Number of members. */
  get count(): number {
    return this.#count;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Number of intervals: what the set costs in memory. */
  get intervalCount(): number {
    return this.#edges.length / 2;
  }

  /** Smallest member. */
  get first(): number | undefined {
    return this.#edges[0];
  }

  /** Largest member. */
  get last(): number | undefined {
    const edges = this.#edges;
    return edges.length === 0 ? undefined : (edges[edges.length - 1] as number) - 1;
  }

  /** Tells whether `n` is a member. */
  has(n: number): boolean {
    const at = this.#endingAfter(n);
    return at < this.#edges.length && (this.#edges[at] as number) <= n;
  }

  /** Lowest number from `from` on that is not a member. */
  firstGap(from: number): number {
    return this.has(from) ? (this.#edges[this.#endingAfter(from) + 1] as number) : from;
  }

  /** Lowest member from `from` on; undefined where there is none. */
  firstFrom(from: number): number | undefined {
    const low = this.#edges[this.#endingAfter(from)];
    return low === undefined ? undefined : Math.max(low, from);
  }

  /** The lowest members from `from` on that `other` has, too: at most `count`, in at most `ranges` ranges. */
  common(other: IntervalSet, from: number, { count, ranges }: { count: number; ranges: number }): number[] {
    const [own, theirs] = [this.#edges, other.#edges];
    const found: number[] = [];
    let left = count;
    let at = this.#endingAfter(from);
    let to = other.#endingAfter(from);
    while (at < own.length && to < theirs.length && left > 0 && found.length < 2 * ranges) {
      const low = Math.max(own[at] as number, theirs[to] as number, from);
      const [ownEnd, theirEnd] = [own[at + 1] as number, theirs[to + 1] as number];
      const high = Math.min(ownEnd, theirEnd, low + left);
      append(found, low, high);
      left -= Math.max(0, high - low);
      // Whichever ends first goes on, to where the other has something.
      if (ownEnd <= theirEnd) {
        at += 2;
        if (at < own.length && (own[at + 1] as number) <= (theirs[to] as number))
          at = this.#endingAfter(theirs[to] as number);
      } else {
        to += 2;
        if (to < theirs.length && (theirs[to + 1] as number) <= (own[at] as number))
          to = other.#endingAfter(own[at] as number);
      }
    }
    return found;
  }

  /** A copy of the members as ranges. */
  ranges(): number[] {
    return this.#edges.slice();
  }

  /** Adds `from` to `to − 1` and returns how many of them were new. */
  add(from: number, to: number): number {
    checkEdges(from, to);
    if (from >= to) return 0;
    const edges = this.#edges;
    // The intervals that overlap or touch the new one become one with it: edges[start … end).
    const start = this.#endingAfter(from - 1);
    let end = start;
    let present = 0;
    while (end < edges.length && (edges[end] as number) <= to) {
      present += (edges[end + 1] as number) - (edges[end] as number);
      end += 2;
    }
    if (end === start) {
      if (start === edges.length) edges.push(from, to);
      else edges.splice(start, 0, from, to);
      this.#count += to - from;
      return to - from;
    }
    const low = Math.min(from, edges[start] as number);
    const high = Math.max(to, edges[end - 1] as number);
    edges[start] = low;
    edges[start + 1] = high;
    if (end > start + 2) edges.splice(start + 2, end - start - 2);
    const added = high - low - present;
    this.#count += added;
    return added;
  }

  /** Adds all members of `ranges` and returns how many were new. */
  addAll(ranges: Ranges): number {
    let added = 0;
    for (let i = 0; i + 1 < ranges.length; i += 2)
      added += this.add(ranges[i] as number, ranges[i + 1] as number);
    return added;
  }

  /** Removes `from` to `to − 1` and returns how many of them were there. */
  remove(from: number, to: number): number {
    checkEdges(from, to);
    if (from >= to) return 0;
    const edges = this.#edges;
    const start = this.#endingAfter(from);
    let end = start;
    let removed = 0;
    while (end < edges.length && (edges[end] as number) < to) {
      removed += Math.min(edges[end + 1] as number, to) - Math.max(edges[end] as number, from);
      end += 2;
    }
    if (removed === 0) return 0;
    this.#count -= removed;
    // What is left of edges[start … end): a head below `from`, a tail from `to` on, or neither.
    const high = edges[end - 1] as number;
    let at = start;
    if ((edges[start] as number) < from) {
      edges[start + 1] = from;
      at += 2;
    }
    if (high > to) {
      if (at === end) {
        edges.splice(at, 0, to, high);
        return removed;
      }
      edges[at] = to;
      edges[at + 1] = high;
      at += 2;
    }
    if (at < end) edges.splice(at, end - at);
    return removed;
  }

  /** Removes all members of `ranges` and returns how many were there. */
  removeAll(ranges: Ranges): number {
    let removed = 0;
    for (let i = 0; i + 1 < ranges.length; i += 2)
      removed += this.remove(ranges[i] as number, ranges[i + 1] as number);
    return removed;
  }

  clear(): void {
    this.#edges = [];
    this.#count = 0;
  }

  /** Removes and returns the lowest `count` members (fewer if there are fewer). */
  take(count: number): number[] {
    return this.takeWithin(0, Number.MAX_SAFE_INTEGER, count);
  }

  /** Removes and returns the lowest `count` members among `from` to `to − 1` (fewer if there are fewer). */
  takeWithin(from: number, to: number, count: number): number[] {
    const edges = this.#edges;
    const taken: number[] = [];
    let left = Math.floor(count);
    for (let i = this.#endingAfter(from); i < edges.length && left > 0; i += 2) {
      const low = Math.max(edges[i] as number, from);
      if (low >= to) break;
      const high = Math.min(edges[i + 1] as number, to, low + left);
      taken.push(low, high);
      left -= high - low;
    }
    // The members taken are all those between the first and the last of them: one removal takes them.
    if (taken.length > 0) this.remove(taken[0] as number, taken[taken.length - 1] as number);
    return taken;
  }

  /** The members of `ranges` that are in the set. */
  intersect(ranges: Ranges): number[] {
    const edges = this.#edges;
    const found: number[] = [];
    for (let r = 0; r + 1 < ranges.length; r += 2) {
      const from = ranges[r] as number;
      const to = ranges[r + 1] as number;
      for (let i = this.#endingAfter(from); i < edges.length && (edges[i] as number) < to; i += 2) {
        append(found, Math.max(edges[i] as number, from), Math.min(edges[i + 1] as number, to));
      }
    }
    return found;
  }

  /** The members of `ranges` that are not in the set. */
  missingFrom(ranges: Ranges): number[] {
    const edges = this.#edges;
    const missing: number[] = [];
    for (let r = 0; r + 1 < ranges.length; r += 2) {
      let from = ranges[r] as number;
      const to = ranges[r + 1] as number;
      for (let i = this.#endingAfter(from); i < edges.length && (edges[i] as number) < to; i += 2) {
        append(missing, from, edges[i] as number);
        from = edges[i + 1] as number;
      }
      append(missing, from, to);
    }
    return missing;
  }

  /** Index of the first interval that ends after `n`: the only one that can hold `n` (I3). */
  #endingAfter(n: number): number {
    const edges = this.#edges;
    const length = edges.length;
    if (length === 0 || n < (edges[1] as number)) return 0;
    if (n >= (edges[length - 1] as number)) return length;
    if (n >= (edges[length - 3] as number)) return length - 2;
    // Intervals, not edges: `low` ends at or before n, `high` ends after it.
    let low = 0;
    let high = length / 2 - 2;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((edges[2 * middle + 1] as number) > n) high = middle;
      else low = middle;
    }
    return 2 * high;
  }
}

/** Number of members of these ranges. */
export function countOf(ranges: Ranges): number {
  let count = 0;
  for (let i = 0; i + 1 < ranges.length; i += 2) count += (ranges[i + 1] as number) - (ranges[i] as number);
  return count;
}

/** Calls `fn` with each member of these ranges, ascending. */
export function eachOf(ranges: Ranges, fn: (n: number) => void): void {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    const to = ranges[i + 1] as number;
    for (let n = ranges[i] as number; n < to; n++) fn(n);
  }
}

/**
 * Tells whether a value is a list of ranges: whole numbers in pairs, each `from` below its `to`,
 * ascending. Ranges that touch are let in, though a set never makes them.
 */
export function isRanges(value: unknown): value is Ranges {
  if (!Array.isArray(value) || value.length % 2 !== 0) return false;
  let end = 0;
  for (let i = 0; i < value.length; i += 2) {
    const from: unknown = value[i];
    const to: unknown = value[i + 1];
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return false;
    if ((from as number) < end || (to as number) <= (from as number)) return false;
    end = to as number;
  }
  return true;
}

/** Appends a range to an ascending list; an empty one is left out, one that touches the last joins it (I1). */
function append(list: number[], from: number, to: number): void {
  if (from >= to) return;
  if (list.length > 0 && list[list.length - 1] === from) list[list.length - 1] = to;
  else list.push(from, to);
}

function checkEdges(from: number, to: number): void {
  if (Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0) return;
  throw new RangeError(`[${from}, ${to}) is not a range of non-negative safe integers`);
}

/** Adds units after all those in the list, joined with the last where they touch. */
export function appendRange(ranges: number[], from: number, to: number): void {
  if (ranges.length > 0 && ranges[ranges.length - 1] === from) ranges[ranges.length - 1] = to;
  else ranges.push(from, to);
}
