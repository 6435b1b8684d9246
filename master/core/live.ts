/**
 * An epic's volatile side: which units are ready, whose bytes are in memory, who holds what. All of it
 * dies with the process and is rebuilt from the records, the source and the workers' claims.
 *
 * A unit below `epic.read` is in exactly one place: settled, ready, unloaded, delayed, held back or in one grant.
 *
 * L1: an extent's bytes are dropped once all its units are granted; a unit that comes back makes them
 *     be read again. Memory follows what is in flight, never the epic (G6).
 * L2: after a crash what was read before is held back for one lease, while the holders of it come back.
 */
import { assert } from '../../shared/core/errors.ts';
import { Heap } from '../../shared/core/heap.ts';
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import { GRANT_BYTES_MAX, RANGES_MAX } from '../../shared/core/limits.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';
import type { Epic } from './epic.ts';
import type { Extent } from './records.ts';
import type { Batch } from './source.ts';

/** Units held by one session under one token. */
export type Grant = {
  readonly session: string;
  readonly term: number;
  readonly n: number;
  readonly live: LiveEpic;
  /** Not yet settled nor given back. */
  readonly units: IntervalSet;
  /** Bytes of these units, about: their mean stands for each of them. */
  bytes: number;
};

/** Where a session keeps a grant: numbers start again with each term. */
export function grantKey(term: number, n: number): number {
  return term * 2 ** 32 + n;
}

/** The bytes of an extent, and what is known of its reading. */
type Loaded = {
  readonly framed: Uint8Array;
  readonly starts: Uint32Array;
  /** Record number that must be durable before a unit of it may be granted. */
  readonly after: number;
  readonly readMs: number;
};

/** What to read: a new stretch, or again the one that began at `first`. */
export type Read = { offset: number; first: number; units: number; bytes: number };

/** Units cut for one grant, with their bytes as they go on the wire. */
export type Cut = {
  units: number[];
  count: number;
  payload: Uint8Array[];
  bytes: number;
  after: number;
  /** Listening time at which the first of them was read. */
  readMs: number;
};

export class LiveEpic {
  readonly epic: Epic;
  readonly ready = new IntervalSet();
  readonly grants = new Set<Grant>();
  /** Units in grants. */
  leased = 0;
  /** The first stretch is being read. */
  reading = false;
  /** Listening time at which what a closing epic still waits for becomes unknown. */
  closeAtMs: number | undefined;
  /** Why the source could not be read, and the listening time of the next try. */
  readFault: { message: string; retryAtMs: number } | undefined;
  /** Bytes of units in memory. */
  loadedBytes = 0;
  /** By the first unit of its extent. */
  readonly #loaded = new Map<number, Loaded>();
  /** Unsettled units of before the crash that nobody has claimed yet (L2). */
  readonly heldBack = new IntervalSet();
  /** Ready but for their bytes. */
  readonly #unloaded = new IntervalSet();
  /** Stretches being read again, by their first unit, and their bytes. */
  readonly #reloads = new Map<number, number>();
  #reloadingBytes = 0;
  readonly #delayed = new Heap<{ unit: number; dueWallMs: number }>((a, b) => a.dueWallMs - b.dueWallMs);

  constructor(epic: Epic) {
    this.epic = epic;
  }

  get delayedCount(): number {
    return this.#delayed.size;
  }

  get readyCount(): number {
    return this.ready.count + this.#unloaded.count;
  }

  get nextDueWallMs(): number | undefined {
    return this.#delayed.peek()?.dueWallMs;
  }

  /** Holds back what was read before a crash (L2). */
  recover(): void {
    const { settled, read } = this.epic;
    if (read > 0) this.heldBack.addAll(settled.missingFrom([0, read]));
  }

  /** Takes in a new stretch; the units in `ready` may be granted once record `after` is durable. */
  grow(batch: Batch, ready: Ranges, after: number, readMs: number): void {
    if (batch.count === 0) return;
    const extent = this.epic.extentOf(batch.first);
    this.ready.addAll(ready);
    if (extent && this.ready.intersect([extent.first, extent.end]).length > 0) {
      this.#load(extent, { framed: batch.framed, starts: batch.starts, after, readMs });
    }
  }

  /** Takes in a stretch read again, as `grow` does. Returns false when nobody waits for it any more. */
  reload(batch: Batch, after: number, readMs: number): boolean {
    const extent = this.epic.extentOf(batch.first);
    this.#reloaded(batch.first);
    if (!extent || extent.first !== batch.first) return false;
    assert(
      extent.end === batch.first + batch.count,
      `spool of ${this.epic.id} reads otherwise at ${batch.offset}`,
    );
    const waiting = this.#unloaded.intersect([extent.first, extent.end]);
    if (waiting.length === 0) return false;
    this.#load(extent, { framed: batch.framed, starts: batch.starts, after, readMs });
    this.#unloaded.removeAll(waiting);
    this.ready.addAll(waiting);
    return true;
  }

  /** A stretch could not be read again: it will be asked for anew. */
  reloadFailed(first: number): void {
    this.#reloaded(first);
  }

  /** Makes units ready again that were granted, delayed or lost. */
  putBack(units: Ranges): void {
    for (let i = 0; i < units.length; i += 2) {
      let from = units[i] as number;
      const to = units[i + 1] as number;
      while (from < to) {
        const extent = this.epic.extentOf(from);
        assert(extent, `unit ${from} of ${this.epic.id} comes back but its bytes have no place`);
        const until = Math.min(to, extent.end);
        (this.#loaded.has(extent.first) ? this.ready : this.#unloaded).add(from, until);
        from = until;
      }
    }
  }

  /**
   * Reads that units waiting for their bytes need, each asked for once, as long as no more than `bytesMax`
   * is in memory or on its way: what lost workers leave behind may be more than that.
   */
  reloads(bytesMax: number): Read[] {
    const reads: Read[] = [];
    let unit = this.#unloaded.first;
    while (unit !== undefined && this.loadedBytes + this.#reloadingBytes < bytesMax) {
      const extent = this.epic.extentOf(unit);
      assert(extent, `unit ${unit} of ${this.epic.id} waits for bytes that have no place`);
      if (!this.#reloads.has(extent.first)) {
        const { first, end, offset, next } = extent;
        const bytes = next - offset;
        this.#reloads.set(first, bytes);
        this.#reloadingBytes += bytes;
        reads.push({ offset, first, units: end - first, bytes });
      }
      const rest = this.#unloaded.intersect([extent.end, Number.MAX_SAFE_INTEGER]);
      unit = rest[0];
    }
    return reads;
  }

  delay(unit: number, dueWallMs: number): void {
    this.#delayed.push({ unit, dueWallMs });
  }

  /** Makes the delayed units ready whose time has come. */
  wake(wallMs: number): void {
    for (let top = this.#delayed.peek(); top && top.dueWallMs <= wallMs; top = this.#delayed.peek()) {
      this.#delayed.pop();
      this.putBack([top.unit, top.unit + 1]);
    }
  }

  /** Cuts up to `count` ready units, lowest first, within the size of one grant; undefined when none. */
  cut(count: number): Cut | undefined {
    const readMs = Number.MAX_SAFE_INTEGER;
    const cut: Cut = { units: [], count: 0, payload: [], bytes: 0, after: 0, readMs };
    while (cut.count < count && cut.units.length < RANGES_MAX) {
      const from = this.ready.first;
      if (from === undefined) break;
      const extent = this.epic.extentOf(from);
      const loaded = extent && this.#loaded.get(extent.first);
      assert(extent && loaded, `unit ${from} of ${this.epic.id} is ready without bytes`);
      const upTo = Math.min(this.ready.firstGap(from), extent.end, from + count - cut.count);
      const { framed, starts } = loaded;
      const begin = starts[from - extent.first] as number;
      const limit = begin + GRANT_BYTES_MAX - cut.bytes;
      const to = extent.first + lastWithin(starts, from - extent.first, upTo - extent.first, limit);
      if (to === from) break;
      const bytes = framed.subarray(begin, starts[to - extent.first]);
      cut.bytes += bytes.length;
      this.ready.remove(from, to);
      appendRange(cut.units, from, to);
      cut.count += to - from;
      cut.payload.push(bytes);
      cut.after = Math.max(cut.after, loaded.after);
      cut.readMs = Math.min(cut.readMs, loaded.readMs);
      this.#unloadIfGranted(extent);
    }
    return cut.count > 0 ? cut : undefined;
  }

  /** Empties everything not held by a worker and returns it: what a cancel settles at once. */
  takeUngranted(): Ranges {
    const all = new IntervalSet();
    all.addAll(this.ready.ranges());
    all.addAll(this.#unloaded.ranges());
    for (let top = this.#delayed.pop(); top; top = this.#delayed.pop()) all.add(top.unit, top.unit + 1);
    this.ready.clear();
    this.#unloaded.clear();
    return all.ranges();
  }

  /** Units settled by a token that did not hold them: takes them from wherever they wait. */
  takeSettled(units: Ranges): void {
    this.ready.removeAll(units);
    this.#unloaded.removeAll(units);
    this.heldBack.removeAll(units);
    if (this.#delayed.size === 0) return;
    const gone = IntervalSet.of(units);
    const kept: { unit: number; dueWallMs: number }[] = [];
    for (let top = this.#delayed.pop(); top; top = this.#delayed.pop())
      if (!gone.has(top.unit)) kept.push(top);
    for (const item of kept) this.#delayed.push(item);
  }

  /** Drops the bytes of extents that are settled with all before them. */
  prune(): void {
    const low = this.epic.extents[0]?.first ?? this.epic.read;
    for (const first of this.#loaded.keys()) {
      if (first < low) this.#unload(first);
    }
  }

  #reloaded(first: number): void {
    this.#reloadingBytes -= this.#reloads.get(first) ?? 0;
    this.#reloads.delete(first);
  }

  #unloadIfGranted(extent: Extent): void {
    const next = this.ready.first;
    if (next === undefined || next >= extent.end) this.#unload(extent.first); // L1
  }

  #load(extent: Extent, loaded: Loaded): void {
    this.#unload(extent.first);
    this.#loaded.set(extent.first, loaded);
    this.loadedBytes += loaded.framed.length;
  }

  #unload(first: number): void {
    this.loadedBytes -= this.#loaded.get(first)?.framed.length ?? 0;
    this.#loaded.delete(first);
  }
}

/** Largest index up to `to` whose unit still ends at or before `limit`. */
function lastWithin(starts: Uint32Array, from: number, to: number, limit: number): number {
  if ((starts[to] as number) <= limit) return to;
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] as number) <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}

function appendRange(ranges: number[], from: number, to: number): void {
  if (ranges.length > 0 && ranges[ranges.length - 1] === from) ranges[ranges.length - 1] = to;
  else ranges.push(from, to);
}
