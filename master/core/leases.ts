/**
 * Leases: who still lives, which grants were lost on the way, what a lost session leaves behind, and
 * what a returning one may keep.
 *
 * A lease is per session and ages by `listenedMs` only: while the master stands still or its link is down nobody
 * expires.
 */
import { eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import type { Heartbeat, HeldGrant, Hello, Ranges } from '../../shared/protocol/messages.ts';
import { giveUp, whyClosed } from './closing.ts';
import { type Grant, grantKey, type LiveEpic } from './live.ts';
import { recallPaused } from './pausing.ts';
import type { Token } from './records.ts';
import { sealOf } from './seal.ts';
import { Session } from './session.ts';
import { isSame } from './settling.ts';
import type { MasterState } from './state.ts';

/** How many leases the numbering of an expired session is remembered, should it come back. */
const REMEMBER_LEASES = 20;

/** Any message renews the lease of its session. */
export function hear(s: MasterState, session: Session): void {
  session.leaseUntilMs = s.listenedMs + s.settings.leaseMs;
  session.lastHeardMonoMs = s.now.monoMs;
}

/** Takes a worker in, new or returning, and settles what it may keep of what it holds. */
export function takeHello(s: MasterState, id: string, hello: Hello): Session {
  const session = s.sessions.get(id) ?? new Session(id, s.term);
  s.sessions.set(id, session);
  session.introduce(hello);
  hear(s, session);
  // A late one knows less of what the session holds than the one before it did.
  const isNewest = session.demand(hello);
  if (isNewest && !hello.part) session.outlived.clear();
  session.restamp(s.listenedMs);
  for (const held of hello.held) {
    const lost = reattach(s, session, held);
    if (!isNewest || lost.isEmpty) continue;
    session.outlived.set(grantKey(held.term, held.n), { epic: held.epic, units: lost });
  }
  if (session.oldestSentMs !== undefined) probe(s, session);
  for (const live of s.live.values()) s.touched.add(live);
  s.weigh(session);
  return session;
}

export function takeHeartbeat(s: MasterState, session: Session, beat: Heartbeat): void {
  if (session.demand(beat) && beat.term === s.term) {
    dropLost(s, session, beat);
    session.steps = beat.steps;
  }
  const oldest = session.oldestSentMs;
  if (oldest !== undefined && s.listenedMs - oldest >= s.settings.heartbeatMs) probe(s, session);
  s.weigh(session);
}

/** Asks a session where it stands, by a grant of nothing: the answer tells which grants before it were lost. */
function probe(s: MasterState, session: Session): void {
  const n = session.probe(s.listenedMs);
  const nothing = { epic: '-', work: '-', brief: '', units: [], seal: '' };
  s.send(session.id, { t: 'work', term: s.term, n, ...nothing }, session.after);
}

/**
 * Puts back the units of grants that the worker knows of but does not hold: they were lost on the way. One of an
 * earlier term was claimed by a Hello, and settled by a message that passed it.
 */
function dropLost(s: MasterState, session: Session, { held, older = [] }: Heartbeat): void {
  const keys = new Set(held.map((n) => grantKey(s.term, n)));
  for (let i = 0; i + 1 < older.length; i += 2) {
    keys.add(grantKey(older[i] as number, older[i + 1] as number));
  }
  for (const [key, grant] of [...session.grants]) {
    if ((grant.term === s.term && grant.n > session.lastGrant) || keys.has(key)) continue;
    const units = grant.units.ranges();
    s.counters.grantsLost += 1;
    s.dropGrant(grant);
    clearBegun(s, session, grant, units);
    s.putBack(grant.live, units);
  }
  // What it has been told settled it will not report any more.
  const known = grantKey(s.term, session.lastGrant);
  for (const key of session.outlived.keys()) {
    if (key <= known && !keys.has(key)) session.outlived.delete(key);
  }
}

/** A begin that its worker dropped, on an answer to one before it, had no effect and must leave no doubt. */
function clearBegun(s: MasterState, session: Session, { term, n, live }: Grant, units: Ranges): void {
  const { id, begun } = live.epic;
  if (begun.size === 0) return;
  const own = new IntervalSet();
  eachOf(units, (unit) => {
    const by = begun.get(unit);
    if (by && isSame(by, { session: session.id, term, n })) own.add(unit, unit + 1);
  });
  if (!own.isEmpty) s.record({ k: 'cleared', epic: id, units: own.ranges() });
}

/**
 * Lets a session keep what it says it holds where it was granted that and nobody else has it; the rest it is told
 * to drop. Returns what of its grant is unsettled and not its own any more.
 */
function reattach(s: MasterState, session: Session, claim: HeldGrant): IntervalSet {
  const { epic, term, n, granted = claim.units } = claim;
  if (term > s.term) return new IntervalSet();
  if (claim.seal !== sealOf(s.seal, session.id, claim, granted)) {
    s.counters.refused += 1;
    s.abort(session.id, epic, claim.units);
    return new IntervalSet();
  }
  if (term === s.term) session.passed(n);
  const held = { ...claim, units: IntervalSet.of(granted).intersect(claim.units) };
  const live = s.liveOf(epic);
  if (!session.grants.has(grantKey(term, n))) attach(s, session, live, held);
  const lost = IntervalSet.of(live ? live.epic.unsettledAmong(held.units) : []);
  lost.removeAll(session.grants.get(grantKey(term, n))?.units.ranges() ?? []);
  return lost;
}

function attach(s: MasterState, session: Session, live: LiveEpic | undefined, held: HeldGrant): void {
  const mine = live ? unclaimed(live, session, held) : [];
  if (live && mine.length > 0 && (live.epic.closing === undefined || !live.heldBack.isEmpty)) {
    live.takeSettled(mine);
    const grant: Grant = {
      session: session.id,
      term: held.term,
      n: held.n,
      live,
      units: IntervalSet.of(mine),
      bytes: 0,
    };
    live.grants.add(grant);
    live.leased += grant.units.count;
    session.grants.set(grantKey(held.term, held.n), grant);
    // It may have been away when it was told.
    if (live.epic.closing !== undefined) s.abort(session.id, held.epic, mine);
    else if (live.epic.paused !== undefined) recallPaused(s, session, live);
  }
  const others = live ? IntervalSet.of(mine).missingFrom(held.units) : held.units;
  const begun = live ? ownUnknown(live, session, held) : new IntervalSet();
  const drop = begun.missingFrom(others);
  if (drop.length > 0) s.abort(session.id, held.epic, drop);
}

/** What of it is unsettled, in nobody's grant, and begun by no other token. */
function unclaimed(live: LiveEpic, session: Session, held: HeldGrant): Ranges {
  const { passed, begun } = live.epic;
  const free = IntervalSet.of(passed.missingFrom(held.units));
  const token = tokenOf(session, held);
  eachOf(begun.size > 0 ? free.ranges() : [], (unit) => {
    const by = begun.get(unit);
    if (by && !isSame(by, token)) free.remove(unit, unit + 1);
  });
  for (const grant of live.grants) free.removeAll(grant.units.ranges());
  return free.intersect([0, live.epic.read]);
}

/** Units that are unknown because this very token was lost: it may still say how they ended. */
function ownUnknown(live: LiveEpic, session: Session, held: HeldGrant): IntervalSet {
  const own = new IntervalSet();
  const token = tokenOf(session, held);
  eachOf(live.epic.unknownBy.size > 0 ? held.units : [], (unit) => {
    const unknown = live.epic.unknownBy.get(unit);
    if (unknown && isSame(unknown.by, token)) own.add(unit, unit + 1);
  });
  return own;
}

function tokenOf({ id }: Session, { term, n }: HeldGrant): Token {
  return { session: id, term, n };
}

/**
 * Expires every session whose lease has lapsed. One that says it lives but has not taken what it was
 * granted for as long as a lease does not read: it would hold its units for ever.
 */
export function expireLeases(s: MasterState): void {
  for (const session of s.sessions.values()) {
    const overdueMs = s.listenedMs - session.leaseUntilMs;
    const untakenMs = s.listenedMs - (session.oldestSentMs ?? s.listenedMs);
    if (overdueMs < 0 && untakenMs < s.settings.leaseMs) continue;
    if (!session.expired) {
      s.counters.leasesExpired += 1;
      lapse(s, session);
    } else if (overdueMs > s.settings.leaseMs * REMEMBER_LEASES) {
      s.sessions.delete(session.id);
    }
  }
}

/** Makes room for a new session by forgetting one whose lease expired; false when all of them live. */
export function forgetExpired(s: MasterState): boolean {
  for (const session of s.sessions.values()) {
    if (session.expired) return s.sessions.delete(session.id);
  }
  return false;
}

/** Takes everything from a session: begun effects become unknown, the rest is granted anew. */
export function lapse(s: MasterState, session: Session): void {
  const byEpic = new Map<LiveEpic, IntervalSet>();
  for (const grant of [...session.grants.values()]) {
    if (grant.control) {
      s.dropGrant(grant); // It has no units to be listed, and its epic may be over.
      continue;
    }
    const units = byEpic.get(grant.live) ?? new IntervalSet();
    units.addAll(grant.units.ranges());
    byEpic.set(grant.live, units);
    s.dropGrant(grant);
  }
  for (const [live, units] of byEpic) lapseEpic(s, session, live, units);
  session.expire();
  s.hungry.delete(session);
}

function lapseEpic(s: MasterState, session: Session, live: LiveEpic, units: IntervalSet): void {
  const { epic } = live;
  const begun = new IntervalSet();
  for (const [unit, by] of epic.begun) {
    if (by.session === session.id && units.has(unit)) begun.add(unit, unit + 1);
  }
  const unknown = begun.ranges();
  const again = begun.missingFrom(units.ranges());
  const { wallMs } = s.now;
  s.touched.add(live);
  s.record({ k: 'lease-expired', epic: epic.id, session: session.id, again, unknown, wallMs });
  if (epic.closing === undefined) s.putBack(live, again);
  else giveUp(s, live, again, `${whyClosed(epic)} and worker ${session.id} was lost`);
}
