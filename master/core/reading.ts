/**
 * Reading: which stretch of a source is wanted, and what a stretch that was read becomes.
 *
 * R1: a unit may be granted only once the horizon that covers it is durable (`after` of its extent).
 * R2: a source is read only while a worker offers the work and few units are ready, or to list what a
 *     closing epic leaves out.
 * R3: a named source is read by workers (`sourcing.ts`); only what it gave before is read here, again.
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import { GATHER_ADDRESSED_MAX, READ_BYTES, READ_UNITS_MAX } from '../../shared/core/limits.ts';
import type { UnitFault } from '../../shared/protocol/messages.ts';
import type { Epic } from './epic.ts';
import type { LiveEpic } from './live.ts';
import { pause } from './pausing.ts';
import type { BadUnit, Batch } from './source.ts';
import type { MasterState } from './state.ts';

/** How many look-aheads of bytes a gather may have in memory whose units are for one responder each. */
const ADDRESSED_LOOK_AHEADS = 8;
/** How long after a failed read the next one is tried. */
const READ_RETRY_MS = 5_000;

/** Asks for what this epic needs to have read now. */
export function wantReads(s: MasterState, live: LiveEpic): void {
  const { epic } = live;
  if (!epic.active || (live.readFault && live.readFault.retryAtMs > s.listenedMs)) return;
  if (epic.paused !== undefined && epic.closing === undefined) return;
  for (const read of live.reloads(lookAheadOf(s, live).bytes)) s.read({ epic: epic.id, ...read });
  if (epic.drained || live.reading || isReadByWorkers(epic)) return;
  if (epic.closing === undefined && !worthReading(s, live)) return;
  live.reading = true;
  s.read({ epic: epic.id, offset: epic.offset, first: epic.read, units: READ_UNITS_MAX, bytes: READ_BYTES });
}

/** A scatter has no units yet, those of a named source come from workers. */
function isReadByWorkers({ source }: Epic): boolean {
  return source.type === 'scatter' || source.type === 'named';
}

/** An epic whose source certainly has no unit needs no worker to end. */
export function endIfEmpty(s: MasterState, live: LiveEpic): void {
  const { id, source, offset } = live.epic;
  if (source.type === 'scatter' || source.type === 'named') return;
  const size = source.type === 'range' ? source.to - source.from : source.bytes;
  if (offset < size) return;
  s.record({ k: 'horizon', epic: id, to: 0, offset, end: true });
  s.touched.add(live);
}

/** How much of an epic may be ready at once, and have its bytes in memory. */
export function lookAheadOf(s: MasterState, live: LiveEpic): { units: number; bytes: number } {
  const { lookAheadUnits: units, lookAheadBytes: bytes } = s.settings;
  // What waits for responders who are not there must not keep the others from what is for them.
  const isAddressed = (live.epic.gather?.to.size ?? 0) > 0;
  return isAddressed
    ? { units: GATHER_ADDRESSED_MAX, bytes: bytes * ADDRESSED_LOOK_AHEADS }
    : { units, bytes };
}

/** Whether few enough units are ready, and somebody is there to run more. */
export function worthReading(s: MasterState, live: LiveEpic): boolean {
  const { parkedMax } = s.settings;
  const { units, bytes } = lookAheadOf(s, live);
  if (live.readyCount >= units || live.loadedBytes >= bytes) return false;
  if (live.epic.parked.count >= parkedMax) return false;
  return live.epic.manifest !== undefined || freeze(s, live);
}

/** Freezes the epic's settings from the first worker that offers its work. */
export function freeze(s: MasterState, live: LiveEpic): boolean {
  for (const session of s.sessions.values()) {
    const manifest = session.expired ? undefined : session.works.get(live.epic.work);
    if (!manifest) continue;
    s.record({ k: 'settings-frozen', epic: live.epic.id, manifest });
    return true;
  }
  return false;
}

/** Takes in units that were read. */
export function takeBatch(s: MasterState, id: string, batch: Batch): void {
  const live = s.liveOf(id);
  if (!live) return;
  const { epic } = live;
  s.touched.add(live);
  live.readFault = undefined;
  if (batch.first < epic.read) {
    live.reload(batch, s.recorded, s.listenedMs);
    return;
  }
  if (!live.reading || batch.first !== epic.read || epic.drained) return;
  live.reading = false;
  enter(s, live, batch);
}

/** Takes in a stretch that was read for the first time; a named source goes on after `cursor`. */
export function enter(s: MasterState, live: LiveEpic, batch: Batch, cursor?: string): void {
  const { epic } = live;
  const { id } = epic;
  const to = batch.first + batch.count;
  const fresh = new IntervalSet();
  if (batch.count > 0) fresh.add(batch.first, to);
  const absent = epic.only?.missingFrom(fresh.ranges()) ?? [];
  fresh.removeAll(absent);
  const end = batch.end || isPastLast(epic, to);
  const more = { ...(absent.length > 0 && { absent }), ...(cursor !== undefined && { cursor }) };
  s.record({ k: 'horizon', epic: id, to, offset: batch.next, end, ...more });
  const bad = batch.bad.filter(({ unit }) => fresh.has(unit));
  if (bad.length > 0) s.record({ k: 'settled', epic: id, failed: bad.map(faultOf) });
  for (const { unit } of bad) fresh.remove(unit, unit + 1);
  if (epic.closing === undefined)
    live.grow(batch, fresh.ranges(), s.recorded, s.listenedMs); // R1
  else if (!fresh.isEmpty) s.settle(live, { [epic.closingAs]: fresh.ranges() });
}

/** Whether an epic that tries some units of another again has read the last of them. */
function isPastLast({ retryOf }: Epic, to: number): boolean {
  const last = retryOf?.only[retryOf.only.length - 1];
  return last !== undefined && to >= last;
}

/**
 * A read failed: it is tried again later, and the epic says why it waits. Where the source is `damaged` the epic is
 * paused: nothing of it is skipped, and a person decides.
 */
export function readFailed(
  s: MasterState,
  id: string,
  { first, message, damaged }: { first: number; message: string; damaged: boolean },
): void {
  const live = s.liveOf(id);
  if (!live) return;
  if (first === live.epic.read) live.reading = false;
  else live.reloadFailed(first);
  live.readFault = { message, retryAtMs: s.listenedMs + READ_RETRY_MS };
  if (damaged) pause(s, id, message);
  const { epic } = live;
  if (epic.closing === undefined || epic.drained || first !== epic.read) return;
  // A cancelled epic must end although nobody can say how many more there were.
  s.record({ k: 'horizon', epic: id, to: epic.read, offset: epic.offset, end: true });
  s.touched.add(live);
}

function faultOf(bad: BadUnit): UnitFault {
  return { unit: bad.unit, code: bad.code, message: bad.message, step: '', attempt: 1 };
}
