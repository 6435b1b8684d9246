/**
 * Closing and finishing: an epic that is cancelled, or whose deadline passes, gives up what nobody has begun, waits one lease
 * for what may have had an effect, and then finishes with every unit listed.
 */
import { eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { CONTROL_UNIT, type Ranges, type UnitFault } from '../../shared/protocol/messages.ts';
import type { Epic } from './epic.ts';
import type { LiveEpic } from './live.ts';
import type { EpicRecordOf } from './records.ts';
import type { MasterState } from './state.ts';
import { unpark } from './unparking.ts';

/** Cancels a running epic; does nothing when it is closing or over. */
export function cancel(s: MasterState, id: string, reason: string): void {
  const live = s.liveOf(id);
  if (!live || (live.epic.closing !== undefined && live.epic.closingAs === 'cancelled')) return;
  const { epic } = live;
  if (epic.closing === undefined) return close(s, live, { reason, as: 'cancelled' });
  // Its intake was over: what it waited for is waited for no more.
  s.record({ k: 'closing', epic: id, reason, wallMs: s.now.wallMs });
  s.touched.add(live);
}

/** Takes no more answers: what has not been begun ends at once as `as`, what may have had an effect within a lease. */
export function close(
  s: MasterState,
  live: LiveEpic,
  { reason, as }: { reason: string; as: 'cancelled' | 'missing' },
): void {
  const { epic } = live;
  s.touched.add(live);
  const how = as === 'missing' ? { as } : {};
  s.record({ k: 'closing', epic: epic.id, reason, ...how, wallMs: s.now.wallMs });
  const isUnknown = epic.gather?.phase === 'scatter' || epic.source.type === 'named';
  if (isUnknown && !epic.drained) {
    // How many more there were nobody could say without asking for all of them.
    s.record({ k: 'horizon', epic: epic.id, to: epic.read, offset: epic.offset, end: true });
  }
  if (epic.source.type === 'named') stopReading(s, live);
  const never = live.takeUngranted();
  endUnrun(s, live, never);
  // Of before a restart: whoever comes back with them is told to stop.
  const unclaimed = withoutEffect(epic, live.heldBack);
  live.heldBack.removeAll(unclaimed);
  if (unclaimed.length > 0) s.settle(live, { [as]: unclaimed });
  endParked(s, live);
  live.closeAtMs = s.listenedMs + s.settings.leaseMs;
  for (const grant of [...live.grants]) {
    s.abort(grant.session, epic.id, grant.units.ranges());
    const free = withoutEffect(epic, grant.units);
    s.release(grant, free);
    if (free.length > 0) s.settle(live, { [as]: free });
  }
}

/** Those of these granted units that certainly had no effect: no step has one, or none may begin without asking. */
export function withoutEffect(epic: Epic, units: IntervalSet): Ranges {
  if (epic.effectFree) return units.ranges();
  if (!epic.asksFirst) return [];
  const free = IntervalSet.of(units.ranges());
  for (const unit of epic.begun.keys()) free.remove(unit, unit + 1);
  for (const unit of epic.resume.keys()) if (hasHadEffect(epic, unit)) free.remove(unit, unit + 1);
  return free.ranges();
}

/**
 * Ends units of a closing epic that nobody runs: as it closes, or as unknown where a step of theirs has had its effect
 * already, since nobody goes on with them. They go on at step `step`, or where they are known to.
 */
export function endUnrun(s: MasterState, live: LiveEpic, units: Ranges, step?: number): void {
  const { epic } = live;
  const doubtful = new IntervalSet();
  if (step !== undefined || epic.resume.size > 0) {
    eachOf(units, (unit) => {
      const isDoubtful = step === undefined ? hasHadEffect(epic, unit) : hasEffectBefore(epic, step);
      if (isDoubtful) doubtful.add(unit, unit + 1);
    });
  }
  const free = doubtful.missingFrom(units);
  if (free.length > 0) s.settle(live, { [epic.closingAs]: free });
  giveUp(s, live, doubtful.ranges(), `${whyClosed(epic)} after a step of it had its effect`);
}

/** All that waits in the store ends with the epic. */
function endParked(s: MasterState, live: LiveEpic): void {
  const { epic } = live;
  for (const [step, units] of epic.stages.entries()) {
    const parked = hasEffectBefore(epic, step) ? epic.parked.intersect(units) : [];
    unpark(s, live, parked);
    endUnrun(s, live, parked, step);
  }
  if (!epic.parked.isEmpty) s.record({ k: 'parked-cancelled', epic: epic.id });
}

function hasEffectBefore({ manifest }: Epic, step: number): boolean {
  return manifest?.steps.slice(0, step).some(({ effect }) => effect !== 'none') ?? false;
}

/** Whether a step before the one that this unit goes on at has an effect outside. */
function hasHadEffect(epic: Epic, unit: number): boolean {
  return hasEffectBefore(epic, epic.resume.get(unit)?.step ?? 0);
}

/** Gives up waiting for the workers of a closing epic once a lease has passed. */
export function closeOverdue(s: MasterState, live: LiveEpic): void {
  if (live.closeAtMs === undefined || s.listenedMs < live.closeAtMs) return;
  for (const grant of [...live.grants]) {
    const units = grant.units.ranges();
    s.dropGrant(grant);
    giveUp(s, live, units, `${whyClosed(live.epic)} and worker ${grant.session} did not say how it ended`);
  }
}

/** How a sentence on what a closing epic could not wait for begins. */
export function whyClosed({ closingAs }: Epic): string {
  return closingAs === 'missing' ? 'intake was over' : 'the epic was cancelled';
}

/** Settles units as unknown: their effect may have happened and nobody will tell. */
export function giveUp(s: MasterState, live: LiveEpic, units: Ranges, message: string): void {
  const unknown: UnitFault[] = [];
  for (let i = 0; i < units.length; i += 2) {
    for (let unit = units[i] as number; unit < (units[i + 1] as number); unit++) {
      unknown.push({ unit, code: 'effect_unknown', message, step: '', attempt: 1 });
    }
  }
  if (unknown.length > 0) s.record({ k: 'settled', epic: live.epic.id, unknown });
}

/** Takes the read of a named source from whoever runs it; what of it is on its way counts for nothing. */
export function stopReading(s: MasterState, live: LiveEpic): void {
  const { grant } = live.control;
  if (!grant) return;
  s.abort(grant.session, live.epic.id, [CONTROL_UNIT, CONTROL_UNIT + 1]);
  s.dropGrant(grant);
}

/** Ends an epic: nothing of it is outstanding. */
export function finish(
  s: MasterState,
  live: LiveEpic,
  how: Pick<EpicRecordOf<'epic-finished'>, 'outcome' | 'fault'>,
): void {
  const { grant } = live.control;
  if (grant) {
    s.abort(grant.session, live.epic.id);
    s.dropGrant(grant);
  }
  s.record({ k: 'epic-finished', epic: live.epic.id, ...how, wallMs: s.now.wallMs });
  s.live.delete(live.epic.id);
  s.granting.delete(live);
  s.gathers.delete(live);
  s.timed.delete(live);
  s.named.delete(live);
}
