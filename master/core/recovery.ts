/**
 * Recovery: what a master does with what it finds in its journal after a crash.
 *
 * V1: what had not been read is granted at once; what had been may be held by a worker, so it waits for one
 *     lease while the holders come back with their claims (`leases.ts`, reattach).
 * V2: what nobody claimed by then is granted again; where an at-most-once effect had begun it is unknown. Both
 *     are listed in one lease-expired record, since a lost worker may have run them (G4).
 * V3: what is handed back within that lease waits on: a worker may claim by an older grant than the last (`state.ts`).
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import { giveUp, whyClosed } from './closing.ts';
import type { LiveEpic } from './live.ts';
import type { EpicRecord } from './records.ts';
import type { MasterState } from './state.ts';

/** Stands in a lease-expired record for holders that did not come back after a crash of the master. */
export const NOBODY = '-';

/** Replays the journal of the processes before this one. */
export function recover(s: MasterState, records: readonly EpicRecord[]): void {
  for (const record of records) s.ledger.apply(record);
  for (const epic of s.ledger.epics.values()) {
    const live = s.liveOf(epic.id);
    if (!live) continue;
    live.recover();
    // What is claimed again of a closing epic has a lease more to say how it ended.
    if (epic.closing !== undefined) live.closeAtMs = 2 * s.settings.leaseMs;
  }
}

/** Ends the wait for the holders of before the crash (V2). */
export function endRecovery(s: MasterState, live: LiveEpic): void {
  if (live.heldBack.isEmpty || s.listenedMs < s.settings.leaseMs) return;
  const { epic } = live;
  const units = live.heldBack.ranges();
  live.heldBack.clear();
  s.touched.add(live);
  const begun = new IntervalSet();
  for (const unit of epic.begun.keys()) begun.add(unit, unit + 1);
  const unknown = begun.intersect(units);
  const again = begun.missingFrom(units);
  const { wallMs } = s.now;
  if (unknown.length + again.length > 0) {
    const record = { k: 'lease-expired', epic: epic.id, session: NOBODY, again: [] } as const;
    s.record({ ...record, unknown, unclaimed: again, wallMs });
  }
  if (epic.closing !== undefined && !epic.asksFirst) {
    return giveUp(s, live, again, `${whyClosed(epic)}, and whoever held it did not come back`);
  }
  s.putBack(live, again);
}
