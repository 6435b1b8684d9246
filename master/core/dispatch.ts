/**
 * Dispatch: gives ready units to sessions with credit.
 *
 * D1: no session ever gets more than its credit, nor a grant once it holds HELD_BYTES_MAX.
 * D2: when less is ready than wanted, each session gets a part in proportion to its credit; epics take turns.
 * D3: while more is to be read, no part is less than GRANT_UNITS_WORTH or the session's credit; sessions then take
 *     turns, too. Credit is a slot each and AHEAD_MS of work, so that nobody hoards what others lack.
 */
import { eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { GRANT_UNITS_MAX, GRANT_UNITS_WORTH, REPORT_UNITS_MAX } from '../../shared/core/limits.ts';
import type { Work } from '../../shared/protocol/messages.ts';
import { type Cut, type Grant, grantKey, type LiveEpic } from './live.ts';
import { sealOf } from './seal.ts';
import type { Session } from './session.ts';
import type { MasterState } from './state.ts';

/** Grants what is ready to whoever wants it. */
export function dispatch(s: MasterState): void {
  for (const live of s.touched) {
    const { closing, paused } = live.epic;
    if (live.isGrantable && closing === undefined && paused === undefined) s.granting.add(live);
    else s.granting.delete(live);
  }
  if (s.stalled || s.linkFull || s.granting.size === 0 || s.hungry.size === 0) return;
  const wanted = new Map<LiveEpic, number>();
  for (const live of s.granting) wanted.set(live, creditFor(s, live));
  for (const session of [...s.hungry]) {
    if (s.granting.size === 0) return;
    feed(s, session, wanted);
    s.weigh(session);
    if (session.credit <= 0) continue;
    // Still hungry: it goes to the back, so that the next unit is first offered to another.
    s.hungry.delete(session);
    s.hungry.add(session);
  }
}

/** Credit of all hungry sessions that run this epic. */
function creditFor(s: MasterState, live: LiveEpic): number {
  let sum = 0;
  for (const session of s.hungry) if (s.offers(session, live)) sum += session.credit;
  return sum;
}

function feed(s: MasterState, session: Session, wanted: Map<LiveEpic, number>): void {
  const isAddressed = ({ epic }: LiveEpic): number => (epic.gather?.to.size ? 1 : 0);
  // Those first of which it may be that nothing is for this session: what they leave is the others' part.
  const offered = [...s.granting]
    .filter((live) => s.offers(session, live))
    .sort((a, b) => isAddressed(b) - isAddressed(a));
  const share = session.credit;
  for (let i = 0; i < offered.length && session.credit > 0; i++) {
    const live = offered[i] as LiveEpic;
    const total = Math.max(wanted.get(live) ?? 0, 1);
    // What is for some responders alone is no other's part.
    const isForSome = live.epic.gather?.to.size || live.preferred.size > 0;
    const scarce = live.grantableCount < total && !isForSome;
    const turn = Math.ceil(session.credit / (offered.length - i));
    const count = scarce ? Math.min(turn, partOf(s, live, share, total)) : turn;
    wanted.set(live, total - Math.min(share, total));
    grantUnits(s, session, live, Math.min(count, session.credit)); // D1
    s.granting.delete(live);
    if (live.isGrantable) s.granting.add(live);
  }
}

/** Units of an epic that wants more than it has ready, for a session with this share of what is wanted. */
function partOf(s: MasterState, live: LiveEpic, share: number, total: number): number {
  const part = Math.ceil((live.grantableCount * share) / total); // D2
  const { epic, readFault } = live;
  const isMoreRead = !epic.drained && readFault === undefined && epic.parked.count < s.settings.parkedMax;
  return isMoreRead ? Math.max(part, GRANT_UNITS_WORTH) : part; // D3
}

function grantUnits(s: MasterState, session: Session, live: LiveEpic, count: number): void {
  let left = count;
  for (const among of live.epic.gather?.unitsFor(session.name) ?? [preferredBy(s, session, live)]) {
    while (left > 0 && session.credit > 0) {
      // Each unit that has run before may take a line of its own in the message.
      const most = live.epic.resume.size > 0 ? REPORT_UNITS_MAX : GRANT_UNITS_MAX;
      const cut = live.cutFetched(left, among) ?? live.cut(Math.min(left, most), among);
      if (!cut) break;
      left -= cut.count;
      grant(s, session, live, cut);
    }
  }
}

/** Units that this session is to be given; any where nobody else has room for what was taken from it for others. */
function preferredBy(s: MasterState, session: Session, live: LiveEpic): IntervalSet | undefined {
  const preferred = live.preferred.get(session.id);
  if (!preferred) return undefined;
  for (const other of s.hungry) if (other !== session && s.offers(other, live)) return preferred;
  return undefined;
}

function grant(s: MasterState, session: Session, live: LiveEpic, cut: Cut): void {
  const { epic } = live;
  const n = session.number(cut.count, s.listenedMs);
  const held: Grant = {
    session: session.id,
    term: s.term,
    n,
    live,
    units: IntervalSet.of(cut.units),
    bytes: cut.bytes,
    grantedMs: s.listenedMs,
  };
  session.bytes += cut.bytes;
  session.grants.set(grantKey(s.term, n), held);
  live.grants.add(held);
  live.leased += cut.count;
  s.touched.add(live);
  const message: Work = {
    t: 'work',
    term: s.term,
    n,
    epic: epic.id,
    work: epic.work,
    brief: epic.brief,
    units: cut.units,
    seal: sealOf(s.seal, session.id, { epic: epic.id, term: s.term, n }, cut.units),
  };
  const again = resumesOf(live, held, cut.states);
  if (again.length > 0) message.again = again;
  if (epic.retryOf) message.effects = epic.retryOf.effects;
  s.waited(epic.work, s.listenedMs - cut.readMs);
  session.after = Math.max(session.after, cut.after);
  s.send(session.id, message, session.after, cut.payload);
}

function resumesOf(
  live: LiveEpic,
  held: Grant,
  states: ReadonlySet<number> | undefined,
): NonNullable<Work['again']> {
  const again: NonNullable<Work['again']> = [];
  if (live.epic.resume.size === 0) return again;
  eachOf(held.units.ranges(), (unit) => {
    const resume = live.epic.resume.get(unit);
    if (!resume) return;
    const { attempt, step } = resume;
    again.push(states?.has(unit) ? { unit, attempt, step, state: true } : { unit, attempt, step });
  });
  return again;
}
