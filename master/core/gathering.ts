/**
 * Gathering: when an epic with a deadline, as each gather has one, stops taking answers, and what then becomes of a
 * gather. It always ends: at completeness, with enough answers, or at its deadline (G7); each unit counts once.
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import { close, finish } from './closing.ts';
import { deadlineOf, replyToOf } from './ending.ts';
import type { Epic } from './epic.ts';
import { freshControl, grantKey, type LiveEpic } from './live.ts';
import type { MasterState } from './state.ts';

/** Answers so far: one that declined has answered, too. */
export function answersOf({ counts }: Epic): number {
  return counts.succeeded + counts.skipped;
}

/** Ends intake where it is time to: of a gather, and of any epic at its deadline. */
export function keepTime(s: MasterState, live: LiveEpic): void {
  const { epic } = live;
  const { gather } = epic;
  if (!s.timed.has(live) || !epic.active || epic.closing !== undefined) return;
  const isLate = s.now.wallMs >= (deadlineOf(epic) ?? Number.POSITIVE_INFINITY);
  if (gather?.phase === 'scatter' && isLate) {
    return fail(s, live, 'scatter_failed', 'its scatter had not ended by the deadline');
  }
  if (gather && gather.phase !== 'work') return;
  if (isLate) return close(s, live, { reason: 'the deadline passed', as: 'missing' });
  if (gather?.enough !== undefined && answersOf(epic) >= gather.enough) {
    return close(s, live, { reason: `${gather.enough} answers are enough`, as: 'missing' });
  }
}

/** Its return address was told, or is given up; it may have been forgotten meanwhile. */
export function takeDelivered(s: MasterState, id: string): void {
  const epic = s.ledger.epics.get(id);
  if (epic && replyToOf(epic) !== undefined && !epic.delivered) s.record({ k: 'delivered', epic: id });
}

/** When the next deadline passes, by the wall clock. */
export function nextDeadline(s: MasterState): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { epic } of s.timed) {
    // One that is complete waits for its fold, and not for its deadline any more.
    if (epic.closing !== undefined || epic.gather?.phase === 'fold') continue;
    next = Math.min(next, deadlineOf(epic) ?? next);
  }
  return next;
}

/** All its units have their outcome: the answers freeze, and are folded if there are enough of them. */
export function startFold(s: MasterState, live: LiveEpic): void {
  const { epic } = live;
  const { gather } = epic;
  if (!gather || gather.phase === 'fold') return;
  const answers = answersOf(epic);
  const quorum = gather.quorum ?? 0;
  if (answers < quorum) return fail(s, live, 'quorum_missed', `${answers} answered, of at least ${quorum}`);
  s.record({ k: 'folding', epic: epic.id });
  live.control = freshControl();
}

/** Ends a gather that cannot be ended well; its answers are kept. */
export function fail(s: MasterState, live: LiveEpic, code: string, message: string): void {
  const { epic } = live;
  if (!epic.drained && epic.gather?.phase === 'scatter') {
    s.record({ k: 'horizon', epic: epic.id, to: epic.read, offset: epic.offset, end: true });
  }
  finish(s, live, { outcome: 'failed', fault: { code, message } });
}

/**
 * Units that a worker has had for long without an answer become ready again, for another worker where one has
 * room; that worker may still answer: the first answer counts (T1).
 */
export function reissue(s: MasterState, live: LiveEpic): void {
  const { gather, closing, effectFree } = live.epic;
  const afterMs = gather?.reissueAfterMs;
  if (afterMs === undefined || closing !== undefined || !effectFree || gather?.to.size) return;
  for (const grant of [...live.grants]) {
    if (grant.grantedMs === undefined || s.listenedMs - grant.grantedMs < afterMs) continue;
    const session = s.sessions.get(grant.session);
    const units = grant.units.ranges();
    const key = grantKey(grant.term, grant.n);
    const outlived = session?.outlived.get(key)?.units ?? new IntervalSet();
    outlived.addAll(units);
    session?.outlived.set(key, { epic: live.epic.id, units: outlived });
    s.dropGrant(grant);
    s.putBack(live, units);
    // Only from the last who had them: taken from all one after the other they would be for nobody.
    for (const theirs of live.preferred.values()) theirs.addAll(units);
    const others = live.preferred.get(grant.session) ?? IntervalSet.of([0, Number.MAX_SAFE_INTEGER]);
    others.removeAll(units);
    live.preferred.set(grant.session, others);
  }
  for (const id of live.preferred.keys()) if (!s.sessions.has(id)) live.preferred.delete(id);
}
