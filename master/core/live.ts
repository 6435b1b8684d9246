/**
 * An epic's volatile side: which units are ready, whose bytes are in memory, who holds what. All of it
 * dies with the process and is rebuilt from the records, the source and the workers' claims.
 *
 * A unit below `epic.read` is in exactly one place: passed (settled, parked or absent), ready, unloaded, fetched,
 * held back or in one grant.
 *
 * L1: an extent's bytes are dropped once all its units are granted; a unit that comes back makes them
 *     be read again. Memory follows what is in flight, never the epic (G6).
 * L2: after a crash what was read before is held back for one lease, while the holders of it come back.
 */
import { assert } from '../../shared/core/errors.ts';
import { appendRange, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { GRANT_BYTES_MAX, RANGES_MAX, REPORT_UNITS_MAX } from '../../shared/core/limits.ts';
import { prefixed } from '../../shared/protocol/codec.ts';
import type { Control, Ranges } from '../../shared/protocol/messages.ts';
import type { Epic } from './epic.ts';
import type { Extent, UnitData } from './records.ts';
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
  /** It is the epic's scatter or fold, and of no units (`control.ts`). */
  readonly control?: Control;
  /** Listening time at which it was granted; undefined when it was claimed. */
  readonly grantedMs?: number;
};

/** Where a session keeps a grant: numbers start again with each term. */
export function grantKey(term: number, n: number): number {
  return term * 2 ** 32 + n;
}

/** Nobody runs the scatter or fold yet. */
export function freshControl(): LiveControl {
  return { grant: undefined, attempt: 1, retryAtMs: 0, unofferedAtMs: undefined };
}

/** Who runs the scatter or fold, as which attempt, and the listening times of the next and since when nobody offers it. */
type LiveControl = {
  grant: Grant | undefined;
  attempt: number;
  retryAtMs: number;
  unofferedAtMs: number | undefined;
};

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
  /** Units that begin with a state, which follows the bytes in the payload. */
  states?: ReadonlySet<number>;
};

/** A unit that came back from the store. */
type Fetched = { data: UnitData; after: number; readMs: number };

export class LiveEpic {
  readonly epic: Epic;
  readonly ready = new IntervalSet();
  readonly grants = new Set<Grant>();
  control = freshControl();
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
  /** Units below it had been read before the crash. */
  recoveredTo = 0;
  /** Ready but for their bytes. */
  readonly #unloaded = new IntervalSet();
  /** Stretches being read again, by their first unit, and their bytes. */
  readonly #reloads = new Map<number, number>();
  #reloadingBytes = 0;
  /** Ready ones that the store had, by unit, in the order they are to be granted. */
  readonly #fetched = new Map<number, Fetched>();
  /** Where each set of units that is cut by itself goes on: below it none of it is ready. */
  readonly #cutTo = new Map<IntervalSet, number>();
  /** By session, the units that it may be given while others have room: all but what was taken from it last. */
  readonly preferred = new Map<string, IntervalSet>();
  /** When the first parked unit falls due, or earlier; undefined when none is parked. */
  nextDueWallMs: number | undefined;
  /** A page of parked units is asked for; the first to fall due of those parked since. */
  fetching: { nextDueWallMs: number | undefined } | undefined;

  constructor(epic: Epic) {
    this.epic = epic;
    if (!epic.parked.isEmpty) this.nextDueWallMs = 0;
  }

  get readyCount(): number {
    return this.ready.count + this.#unloaded.count + this.#fetched.size;
  }

  get fetchedCount(): number {
    return this.#fetched.size;
  }

  /** Whether a unit can be granted now. */
  get isGrantable(): boolean {
    return !this.ready.isEmpty || this.#fetched.size > 0;
  }

  get grantableCount(): number {
    return this.ready.count + this.#fetched.size;
  }

  /** Holds back what was read before a crash (L2). */
  recover(): void {
    const { passed, read } = this.epic;
    this.recoveredTo = read;
    if (read > 0) this.heldBack.addAll(passed.missingFrom([0, read]));
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
    this.#cutTo.clear();
    this.ready.addAll(waiting);
    return true;
  }

  /** A stretch could not be read again: it will be asked for anew. */
  reloadFailed(first: number): void {
    this.#reloaded(first);
  }

  /** Makes units ready again that were granted or lost, and whose bytes are in the source. */
  putBack(units: Ranges): void {
    this.#cutTo.clear();
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

  /** Takes in a unit from the store; it may be granted once record `after` is durable. */
  fetch(unit: number, data: UnitData, after: number, readMs: number): void {
    this.#fetched.set(unit, { data, after, readMs });
  }

  /** Notes that units were parked, the first of which falls due then. */
  noteDue(wallMs: number): void {
    this.nextDueWallMs = Math.min(this.nextDueWallMs ?? wallMs, wallMs);
    if (this.fetching) this.fetching.nextDueWallMs = Math.min(this.fetching.nextDueWallMs ?? wallMs, wallMs);
  }

  /** Cuts up to `count` units that came from the store, within the size of one grant; undefined when none. */
  cutFetched(count: number, among?: IntervalSet): Cut | undefined {
    const taken: [number, Fetched][] = [];
    let bytes = 0;
    for (const item of this.#fetched) {
      if (among && !among.has(item[0])) continue;
      const { data } = item[1];
      bytes += 8 + data.bytes.length + (data.state?.length ?? 0);
      if (taken.length >= Math.min(count, REPORT_UNITS_MAX) || (taken.length > 0 && bytes > GRANT_BYTES_MAX))
        break;
      taken.push(item);
    }
    if (taken.length === 0) return undefined;
    for (const [unit] of taken) this.#fetched.delete(unit);
    taken.sort(([a], [b]) => a - b);
    const units: number[] = [];
    for (const [unit] of taken) appendRange(units, unit, unit + 1);
    const withState = taken.filter(([, { data }]) => data.state);
    const payload = taken.map(([, { data }]) => prefixed(data.bytes));
    for (const [, { data }] of withState) payload.push(prefixed(data.state as Uint8Array));
    return {
      units,
      count: taken.length,
      payload,
      bytes: payload.reduce((sum, part) => sum + part.length, 0),
      after: Math.max(...taken.map(([, { after }]) => after)),
      readMs: Math.min(...taken.map(([, { readMs }]) => readMs)),
      states: new Set(withState.map(([unit]) => unit)),
    };
  }

  /**
   * Cuts up to `count` ready units, lowest first, within the size of one grant, and only such as are in `among` where
   * that is given; undefined when none.
   */
  cut(count: number, among?: IntervalSet): Cut | undefined {
    const readMs = Number.MAX_SAFE_INTEGER;
    const cut: Cut = { units: [], count: 0, payload: [], bytes: 0, after: 0, readMs };
    const own = among && this.#readyAmong(among, count);
    for (let i = 0; cut.count < count && cut.units.length < RANGES_MAX; ) {
      const from = own ? own[i] : this.ready.first;
      if (from === undefined) break;
      const end = own ? (own[i + 1] as number) : this.ready.firstGap(from);
      const extent = this.epic.extentOf(from);
      const loaded = extent && this.#loaded.get(extent.first);
      assert(extent && loaded, `unit ${from} of ${this.epic.id} is ready without bytes`);
      const upTo = Math.min(end, extent.end, from + count - cut.count);
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
      if (among) this.#cutTo.set(among, to);
      if (own && to === end) i += 2;
      else if (own) own[i] = to;
    }
    return cut.count > 0 ? cut : undefined;
  }

  /** The first ready ones of these units, looked for from where they were cut last. */
  #readyAmong(among: IntervalSet, count: number): number[] {
    const own = this.ready.common(among, this.#cutTo.get(among) ?? 0, { count, ranges: RANGES_MAX / 2 });
    if (own.length === 0) this.#cutTo.set(among, this.epic.read);
    return own;
  }

  /** Empties everything not held by a worker and returns it: what a cancel settles at once. */
  takeUngranted(): Ranges {
    const all = new IntervalSet();
    all.addAll(this.ready.ranges());
    all.addAll(this.#unloaded.ranges());
    for (const unit of this.#fetched.keys()) all.add(unit, unit + 1);
    this.ready.clear();
    this.#unloaded.clear();
    this.#fetched.clear();
    this.#unloadEmptied();
    return all.ranges();
  }

  /** Units settled by a token that did not hold them: takes them from wherever they wait. */
  takeSettled(units: Ranges): void {
    if (this.ready.removeAll(units) > 0) this.#unloadEmptied();
    this.#unloaded.removeAll(units);
    this.heldBack.removeAll(units);
    if (this.#fetched.size > 0) eachOf(units, (unit) => void this.#fetched.delete(unit));
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
    const next = this.ready.firstFrom(extent.first);
    if (next === undefined || next >= extent.end) this.#unload(extent.first); // L1
  }

  /** L1, for units that left otherwise than by a grant. */
  #unloadEmptied(): void {
    for (const first of this.#loaded.keys()) {
      const extent = this.epic.extentOf(first);
      if (!extent || this.ready.intersect([extent.first, extent.end]).length === 0) this.#unload(first);
    }
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
