/**
 * Sourcing: a named source is read by workers that offer it, some units at a time. Owns when a read is wanted, what it
 * is told, and what becomes of one that ends badly; who runs it is `control.ts`'s.
 *
 * N1: a batch and the cursor after it are one record, so what was read and where it goes on never differ.
 * N2: no more is read ahead than the look-ahead has room for, and a read begins only once half of it is used up. After a
 *     restart, while what had been read before waits for those who may hold it, as much again, and never more.
 */
import { CONTROL_RETRY_FIRST_MS, RETRY_DELAY_MS_MAX, SOURCE_ATTEMPTS_MAX } from '../../shared/core/limits.ts';
import type { ReadInput, UnitFault, UnitLater } from '../../shared/protocol/messages.ts';
import type { Epic } from './epic.ts';
import { freshControl, type LiveEpic } from './live.ts';
import { pause } from './pausing.ts';
import { enter, lookAheadOf, worthReading } from './reading.ts';
import type { Session } from './session.ts';
import type { Batch } from './source.ts';
import type { MasterState } from './state.ts';

/** Whether there may be more in the named source of this epic than was read. */
export function isUnread({ active, drained, closing }: Epic): boolean {
  return active && !drained && closing === undefined;
}

/** Whether more of it is to be read now (N2). */
export function wantsRead(s: MasterState, live: LiveEpic): boolean {
  const { units, bytes } = lookAheadOf(s, live);
  if (live.heldBack.count > units) return false;
  const isUsed = 2 * live.readyCount <= units && 2 * live.loadedBytes <= bytes;
  return isUsed && worthReading(s, live);
}

export function canRead({ sources }: Session, { source }: Epic): boolean {
  return source.type === 'named' && sources.has(source.name);
}

/** What a read is told: where to begin, and how much there is room for. */
export function readInput(s: MasterState, live: LiveEpic): ReadInput {
  const { source, cursor, read } = live.epic;
  const { name = '', args = 'null' } = source.type === 'named' ? source : {};
  const { units, bytes } = lookAheadOf(s, live);
  return {
    source: name,
    args,
    first: read,
    units: units - live.readyCount,
    bytes: bytes - live.loadedBytes,
    ...(cursor !== undefined && { cursor }),
  };
}

/** Takes in a durable batch of the read that runs; one that does not go on where that epic stands counts for nothing. */
export function takeRead(
  s: MasterState,
  live: LiveEpic,
  { batch, cursor, last }: { batch: Batch; cursor?: string; last: boolean },
): void {
  const { epic } = live;
  if (!isUnread(epic) || batch.first !== epic.read || batch.offset !== epic.offset) return;
  const { count, end } = batch;
  if (count > 0 || end) enter(s, live, batch, cursor); // N1
  live.control.attempt = 1;
  if (last) live.control = freshControl();
  s.touched.add(live);
}

/** How a read ended on its worker that has not given all that it was to give. */
export function readEnded(
  s: MasterState,
  live: LiveEpic,
  { later, fault }: { later: UnitLater | undefined; fault: UnitFault | undefined },
): void {
  const { control } = live;
  if (fault?.code === 'retries_exhausted') {
    live.control = freshControl();
    return pause(s, live.epic.id, `its source cannot be read: ${fault.message}; resume the epic once it can`);
  }
  if (fault) return failSource(s, live, fault);
  // One that was stopped or handed back has not failed.
  if (later && later.code !== 'stopped') control.attempt = Math.min(control.attempt + 1, SOURCE_ATTEMPTS_MAX);
  const delayMs = Math.min(later?.delayMs ?? 0, RETRY_DELAY_MS_MAX);
  control.retryAtMs = s.listenedMs + Math.max(delayMs, CONTROL_RETRY_FIRST_MS);
}

/** The source gives no more, for good: what was read of it is done, and then the epic has failed. */
export function failSource(
  s: MasterState,
  live: LiveEpic,
  { code, message }: { code: string; message: string },
): void {
  const { epic } = live;
  if (!isUnread(epic)) return;
  s.record({ k: 'source-failed', epic: epic.id, fault: { code, message }, wallMs: s.now.wallMs });
  live.control = freshControl();
  s.touched.add(live);
}
