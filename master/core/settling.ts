/**
 * Settling: what a worker's reports and begins do to units. Each unit ends in exactly one outcome.
 *
 * T1: the holder of a unit decides its outcome. A stale token's success or permanent failure settles a
 *     unit that is still unsettled, and whose effect no other token has begun, and aborts its other holder;
 *     its retries and hand-backs are ignored. It must have proved by a Hello that the unit was granted to it.
 * T2: everything reported is answered by Settled, after the records that it caused, also what changed
 *     nothing: the worker may forget it. While the store stands still only what changed something is.
 *     A success or failure of an unsettled unit without that proof is refused and not answered: its sender is
 *     asked to say Hello, and says it again.
 * T3: a begin is answered `go` only for units this token holds, after `begun` is durable.
 */
import { countOf, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import type { Begin, GrantReport, Ranges, UnitFault, UnitLater } from '../../shared/protocol/messages.ts';
import { withoutEffect } from './closing.ts';
import { type Grant, grantKey, type LiveEpic } from './live.ts';
import type { Token } from './records.ts';
import type { Session } from './session.ts';
import type { MasterState } from './state.ts';

/** A report with what it is about looked up. */
type Case = {
  live: LiveEpic;
  grant: Grant | undefined;
  by: Token;
  /** Units that this token lost and may still say the outcome of (T1). */
  outlived: IntervalSet;
  /** Units whose outcome it may not say. */
  refused: IntervalSet;
};

/** Takes the reports of a message numbered `at`. */
export function takeReports(
  s: MasterState,
  session: Session,
  reports: readonly GrantReport[],
  at: number,
): void {
  if (reports.length === 0) return;
  const before = s.recorded;
  const answers = new Map<number, { n: number; units: Ranges }[]>();
  let isRefused = false;
  for (const report of reports) {
    const refused = takeReport(s, session, report, at);
    const units = allUnits(report);
    const answer = { n: report.n, units: refused.isEmpty ? units : refused.missingFrom(units) };
    isRefused ||= !refused.isEmpty;
    const ofTerm = answers.get(report.term);
    if (ofTerm) ofTerm.push(answer);
    else answers.set(report.term, [answer]);
  }
  if (isRefused) {
    const message = 'it reported units that it did not prove to be its own: say hello with what it holds';
    s.send(session.id, { t: 'refused', code: 'unknown_session', message });
  }
  if (isSaidAgain(s, before)) return;
  for (const [term, grants] of answers) {
    s.send(session.id, { t: 'settled', term, grants }, s.recorded); // T2
  }
}

/** Records that effects begin and answers which may (T3). */
export function takeBegin(s: MasterState, session: Session, begin: Begin): void {
  const { term, n, at } = begin;
  const grant = grantOf(session, begin);
  session.beganAt = Math.max(session.beganAt, at);
  if (!grant || grant.live.epic.closing !== undefined) {
    if (grant) cancelUnbegun(s, grant, begin.units);
    s.send(session.id, { t: 'proceed', term, n, at, go: [], skip: begin.units });
    return;
  }
  const epic = grant.live.epic;
  const go = grant.units.intersect(begin.units);
  const skip = grant.units.missingFrom(begin.units);
  const by: Token = { session: session.id, term, n };
  const fresh = IntervalSet.of(go);
  eachOf(go, (unit) => {
    const begun = epic.begun.get(unit);
    if (begun && isSame(begun, by)) fresh.remove(unit, unit + 1);
  });
  const before = s.recorded;
  if (!fresh.isEmpty) s.record({ k: 'begun', epic: epic.id, by, units: fresh.ranges() });
  if (isSaidAgain(s, before)) return;
  s.send(session.id, { t: 'proceed', term, n, at, go, skip }, s.recorded);
}

/**
 * Whether the store stands still and a message that waits for it would be one more: what changed nothing was said
 * before. Its sender says it again until it has an answer, and on a full disk that may be for days.
 */
function isSaidAgain(s: MasterState, recordedBefore: number): boolean {
  return s.stalled && s.recorded === recordedBefore;
}

/** A unit of a closing epic that asks to begin has had no effect yet, unless an earlier step has one. */
function cancelUnbegun(s: MasterState, grant: Grant, units: Ranges): void {
  const free = IntervalSet.of(withoutEffect(grant.live.epic, grant)).intersect(units);
  s.release(grant, free);
  s.putBack(grant.live, free);
}

/** Returns the units whose outcome its sender may not say. */
function takeReport(s: MasterState, session: Session, report: GrantReport, at: number): IntervalSet {
  const live = s.liveOf(report.epic);
  if (!live || reachesBeyond(report, live.epic.read)) {
    if (live) s.counters.refused += 1;
    else s.stale('-');
    return new IntervalSet();
  }
  const by: Token = { session: session.id, term: report.term, n: report.n };
  const outlived = outlivedOf(session, report);
  const about: Case = { live, grant: grantOf(session, report), by, outlived, refused: new IntervalSet() };
  if (report.ok) takeSuccess(s, about, report.ok, 'succeeded');
  if (report.skipped) takeSuccess(s, about, report.skipped, 'skipped');
  if (report.failed) takeFailures(s, about, report.failed);
  if (report.unknown) takeUnknown(s, about, report.unknown);
  if (report.back) takeBack(s, about, report.back);
  if (report.later) takeLater(s, about, report.later);
  if (report.cleared && at > session.beganAt) takeCleared(s, about, report.cleared);
  s.touched.add(live);
  if (!outlived.isEmpty) outlived.removeAll(allUnits(report));
  if (!about.refused.isEmpty) s.counters.refused += 1;
  return about.refused;
}

function takeSuccess(s: MasterState, about: Case, units: Ranges, outcome: 'succeeded' | 'skipped'): void {
  const settling = claim(s, about, units);
  const epic = about.live.epic.id;
  if (settling.length > 0) s.record({ k: 'settled', epic, by: about.by, [outcome]: settling });
  if (outcome === 'skipped') return;
  const certain = resolvable(about, units);
  if (certain.length > 0) s.record({ k: 'resolved', epic, by: about.by, succeeded: certain });
}

function takeFailures(s: MasterState, about: Case, faults: UnitFault[]): void {
  const units = unitsOf(faults);
  const epic = about.live.epic.id;
  const certain = IntervalSet.of(resolvable(about, units));
  const settling = IntervalSet.of(claim(s, about, units));
  const failed = distinct(faults.filter((fault) => settling.has(fault.unit)));
  if (failed.length > 0) s.record({ k: 'settled', epic, by: about.by, failed });
  const resolved = distinct(faults.filter((fault) => certain.has(fault.unit)));
  if (resolved.length > 0) s.record({ k: 'resolved', epic, by: about.by, failed: resolved });
}

function takeUnknown(s: MasterState, about: Case, faults: UnitFault[]): void {
  const mine = IntervalSet.of(holding(s, about, unitsOf(faults)));
  const unknown = distinct(faults.filter((fault) => mine.has(fault.unit)));
  if (unknown.length > 0) s.record({ k: 'settled', epic: about.live.epic.id, by: about.by, unknown });
}

function takeBack(s: MasterState, about: Case, units: Ranges): void {
  const mine = holding(s, about, units);
  clear(s, about, mine);
  s.putBack(about.live, mine);
}

function takeLater(s: MasterState, about: Case, laters: UnitLater[]): void {
  const mine = IntervalSet.of(holding(s, about, unitsOf(laters)));
  if (mine.isEmpty) return;
  if (about.live.epic.closing !== undefined) return s.putBack(about.live, mine.ranges());
  const units = distinct(laters.filter((later) => mine.has(later.unit))).map((later) => ({
    unit: later.unit,
    attempt: later.attempt,
    step: later.step,
    dueWallMs: s.now.wallMs + later.delayMs,
    code: later.code,
  }));
  s.record({ k: 'delayed', epic: about.live.epic.id, units });
  for (const { unit, dueWallMs } of units) about.live.delay(unit, dueWallMs);
}

function takeCleared(s: MasterState, about: Case, units: Ranges): void {
  clear(s, about, about.grant ? about.grant.units.intersect(units) : []);
}

function clear(s: MasterState, about: Case, units: Ranges): void {
  const { epic } = about.live;
  if (epic.begun.size === 0) return;
  const begun = new IntervalSet();
  for (let i = 0; i < units.length; i += 2) {
    for (let unit = units[i] as number; unit < (units[i + 1] as number); unit++) {
      if (epic.begun.has(unit)) begun.add(unit, unit + 1);
    }
  }
  if (!begun.isEmpty) s.record({ k: 'cleared', epic: epic.id, units: begun.ranges() });
}

/** Takes the units that this token holds out of its grant and returns them. */
function holding(s: MasterState, about: Case, units: Ranges): Ranges {
  const mine = about.grant ? about.grant.units.intersect(units) : [];
  if (about.grant && mine.length > 0) s.release(about.grant, mine);
  if (countOf(mine) < countOf(units)) s.stale(about.live.epic.work);
  return mine;
}

/** Returns the units that this report settles: those it holds, and unsettled ones that it lost (T1). */
function claim(s: MasterState, about: Case, units: Ranges): Ranges {
  const { live, outlived } = about;
  const settling = IntervalSet.of(holding(s, about, units));
  if (settling.count === countOf(units)) return units;
  const others = live.epic.settled.missingFrom(settling.missingFrom(units));
  about.refused.addAll(outlived.missingFrom(others));
  const lost = withoutBegun(about, outlived.intersect(others));
  if (lost.length === 0) return settling.ranges();
  live.takeSettled(lost);
  for (const other of live.grants) {
    const theirs = other.units.intersect(lost);
    if (theirs.length === 0) continue;
    s.release(other, theirs);
    s.abort(other.session, live.epic.id, theirs);
  }
  settling.addAll(lost);
  return settling.ranges();
}

/** Units of this list whose effect no other token has begun. */
function withoutBegun({ live, by }: Case, units: Ranges): Ranges {
  const { begun } = live.epic;
  if (begun.size === 0) return units;
  const free = IntervalSet.of(units);
  eachOf(units, (unit) => {
    const other = begun.get(unit);
    if (other && !isSame(other, by)) free.remove(unit, unit + 1);
  });
  return free.ranges();
}

/** Whether two tokens are the same grant to the same session. */
export function isSame(a: Token, b: Token): boolean {
  return a.session === b.session && a.term === b.term && a.n === b.n;
}

/** Units of this list that are unknown and that this token began (G5). */
function resolvable(about: Case, units: Ranges): Ranges {
  const { unknownBy } = about.live.epic;
  const found = new IntervalSet();
  if (unknownBy.size === 0) return [];
  eachOf(units, (unit) => {
    const unknown = unknownBy.get(unit);
    if (unknown && isSame(unknown.by, about.by)) found.add(unit, unit + 1);
  });
  return found.ranges();
}

function grantOf(session: Session, token: { epic: string; term: number; n: number }): Grant | undefined {
  const grant = session.grants.get(grantKey(token.term, token.n));
  return grant?.live.epic.id === token.epic ? grant : undefined;
}

function outlivedOf(session: Session, { epic, term, n }: GrantReport): IntervalSet {
  const outlived = session.outlived.get(grantKey(term, n));
  return outlived?.epic === epic ? outlived.units : new IntervalSet();
}

function unitsOf(items: readonly { unit: number }[]): Ranges {
  const set = new IntervalSet();
  for (const { unit } of items) set.add(unit, unit + 1);
  return set.ranges();
}

function distinct<T extends { unit: number }>(items: T[]): T[] {
  if (items.length < 2) return items;
  return [...new Map(items.map((item) => [item.unit, item])).values()];
}

function allUnits(report: GrantReport): Ranges {
  const { ok, skipped, failed, unknown, back, later } = report;
  if (ok && !skipped && !failed && !unknown && !back && !later) return ok;
  const all = new IntervalSet();
  for (const ranges of [ok, skipped, back]) if (ranges) all.addAll(ranges);
  for (const items of [failed, unknown, later]) if (items) all.addAll(unitsOf(items));
  return all.ranges();
}

function reachesBeyond(report: GrantReport, read: number): boolean {
  const units = allUnits(report);
  return units.length > 0 && (units[units.length - 1] as number) > read;
}
