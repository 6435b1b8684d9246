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
import { RETRY_DELAY_MS_MAX } from '../../shared/core/limits.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type {
  Begin,
  GrantReport,
  Ranges,
  UnitAnswer,
  UnitFault,
  UnitLater,
  UnitSaved,
} from '../../shared/protocol/messages.ts';
import { CONTROL_UNIT } from '../../shared/protocol/messages.ts';
import { endUnrun, withoutEffect } from './closing.ts';
import { takeControl } from './control.ts';
import { type Grant, grantKey, type LiveEpic } from './live.ts';
import { park } from './parking.ts';
import type { AnsweredUnit, ParkedUnit, RecordedFault, SavedUnit, Token } from './records.ts';
import { allUnits, type Brought, broughtBy, distinct, reachesBeyond, unitsOf } from './reports.ts';
import type { Session } from './session.ts';
import type { MasterState } from './state.ts';
import { unpark } from './unparking.ts';

/** A report with what it is about looked up. */
type Case = {
  live: LiveEpic;
  grant: Grant | undefined;
  by: Token;
  answers: readonly UnitAnswer[];
  brought: Brought;
  /** Units that this token lost and may still say the outcome of (T1). */
  outlived: IntervalSet;
  /** Units whose outcome it may not say. */
  refused: IntervalSet;
};

/** Takes the reports of a message. */
export function takeReports(
  s: MasterState,
  session: Session,
  { reports, at }: { reports: readonly GrantReport[]; at: number },
  payload: UnitBytes,
): void {
  if (reports.length === 0) return;
  const lists = reports.flatMap(({ failed = [], unknown = [], later = [], answers = [] }) => [
    ...failed,
    ...unknown,
    ...later,
    ...answers,
  ]);
  const brought = broughtBy(lists, payload);
  const before = s.recorded;
  const answers = new Map<number, { n: number; units: Ranges }[]>();
  let isRefused = false;
  for (const report of reports) {
    const units = allUnits(report);
    const refused = takeReport(s, session, report, { at, brought, units });
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

/** Records that effects begin and states that are to be kept, and answers which units may go on (T3). */
export function takeBegin(s: MasterState, session: Session, begin: Begin, payload: UnitBytes): void {
  const { term, n, at, saved = [] } = begin;
  const grant = grantOf(session, begin);
  session.beganAt = Math.max(session.beganAt, at);
  const asked = IntervalSet.of(begin.units);
  for (const { unit } of saved) asked.add(unit, unit + 1);
  const held = IntervalSet.of(grant ? grant.units.intersect(asked.ranges()) : []);
  const before = s.recorded;
  if (grant?.live.epic.closing !== undefined) {
    cancelUnbegun(s, grant, held.ranges());
    recordSaved(s, grant, saved, broughtBy(saved, payload)); // Of the others: their worker is told that it is kept.
    // What had an effect before its checkpoint ends as it would have.
    held.removeAll(begin.units);
    held.removeAll(grant.units.missingFrom(held.ranges()));
  } else if (grant) {
    recordSaved(s, grant, saved, broughtBy(saved, payload));
    recordBegun(s, grant, held.intersect(begin.units));
  }
  if (isSaidAgain(s, before)) return;
  const answer = {
    t: 'proceed',
    term,
    n,
    at,
    go: held.ranges(),
    skip: held.missingFrom(asked.ranges()),
  } as const;
  s.send(session.id, answer, grant ? s.recorded : 0);
}

function recordBegun(s: MasterState, { session, term, n, live }: Grant, units: Ranges): void {
  const by: Token = { session, term, n };
  const fresh = IntervalSet.of(units);
  eachOf(units, (unit) => {
    const begun = live.epic.begun.get(unit);
    if (begun && isSame(begun, by)) fresh.remove(unit, unit + 1);
  });
  if (!fresh.isEmpty) s.record({ k: 'begun', epic: live.epic.id, by, units: fresh.ranges() });
}

function recordSaved(s: MasterState, grant: Grant, saved: readonly UnitSaved[], brought: Brought): void {
  const { epic } = grant.live;
  const units: SavedUnit[] = [];
  for (const item of distinct([...saved])) {
    const { unit, step, key } = item;
    const data = brought.get(item);
    const known = epic.resume.get(unit);
    const isKept = known?.stored && known.step === step;
    if (data && !isKept && grant.units.has(unit)) units.push({ unit, step, ...(key && { key }), data });
  }
  if (units.length > 0) s.record({ k: 'saved', epic: epic.id, units });
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
  const free = IntervalSet.of(withoutEffect(grant.live.epic, grant.units)).intersect(units);
  s.release(grant, free);
  s.putBack(grant.live, free);
}

/** Returns the units whose outcome its sender may not say. */
function takeReport(
  s: MasterState,
  session: Session,
  report: GrantReport,
  { at, brought, units }: { at: number; brought: Brought; units: Ranges },
): IntervalSet {
  const grant = grantOf(session, report);
  const live = s.liveOf(report.epic);
  if (grant?.control) takeControl(s, grant, report);
  else if (!live) takeLateReport(s, report);
  else if (!reachesBeyond(units, live.epic.read))
    return takeOutcomes(s, session, live, report, { at, brought, units });
  else if (units[0] !== CONTROL_UNIT) s.counters.refused += 1; // Else a scatter or fold that was lost.
  return new IntervalSet();
}

/** An epic that is over, or unknown: answers of a gather are counted, and change nothing. */
function takeLateReport(s: MasterState, { epic: id, ok = [], skipped = [] }: GrantReport): void {
  const gather = s.ledger.epics.get(id)?.gather;
  const late = IntervalSet.of(gather?.answeredLate(ok) ?? []);
  late.addAll(gather?.answeredLate(skipped) ?? []);
  if (late.isEmpty) s.stale('-');
  else s.record({ k: 'late', epic: id, units: late.ranges() });
}

/** Returns the units whose outcome its sender may not say. */
function takeOutcomes(
  s: MasterState,
  session: Session,
  live: LiveEpic,
  report: GrantReport,
  { at, brought, units }: { at: number; brought: Brought; units: Ranges },
): IntervalSet {
  const by: Token = { session: session.id, term: report.term, n: report.n };
  const outlived = outlivedOf(session, report);
  const about: Case = {
    live,
    grant: grantOf(session, report),
    by,
    answers: report.answers ?? [],
    brought,
    outlived,
    refused: new IntervalSet(),
  };
  if (report.ok) takeSuccess(s, about, report.ok, 'succeeded');
  if (report.skipped) takeSuccess(s, about, report.skipped, 'skipped');
  if (report.failed) takeFailures(s, about, report.failed);
  if (report.unknown) takeUnknown(s, about, report.unknown);
  if (report.back) takeBack(s, about, report.back);
  if (report.later) takeLater(s, about, report.later);
  if (report.cleared && at > session.beganAt) takeCleared(s, about, report.cleared);
  s.touched.add(live);
  if (!outlived.isEmpty) outlived.removeAll(units);
  if (!about.refused.isEmpty) s.counters.refused += 1;
  return about.refused;
}

function takeSuccess(s: MasterState, about: Case, units: Ranges, outcome: 'succeeded' | 'skipped'): void {
  const settling = claim(s, about, units);
  const epic = about.live.epic.id;
  if (settling.length > 0) {
    const answered = outcome === 'succeeded' ? answeredOf(about, settling) : [];
    const more = answered.length > 0 ? { answered } : {};
    s.settle(about.live, { by: about.by, [outcome]: settling, ...more });
  }
  const { gather } = about.live.epic;
  const certain = outcome === 'succeeded' ? resolvable(about, units) : [];
  // A fold is told of unknown ones as of missing ones: what they answer once it has begun comes too late.
  const isFrozen = gather?.phase === 'fold';
  const late = IntervalSet.of(gather?.answeredLate(units) ?? []);
  if (isFrozen) late.addAll(gather.late.missingFrom(certain));
  if (!late.isEmpty) s.record({ k: 'late', epic, units: late.ranges() });
  if (certain.length === 0 || isFrozen) return;
  const answered = answeredOf(about, certain);
  const more = answered.length > 0 ? { answered } : {};
  s.record({ k: 'resolved', epic, by: about.by, succeeded: certain, ...more });
}

/** What these units returned, where that is gathered. */
function answeredOf({ live, answers, brought }: Case, units: Ranges): AnsweredUnit[] {
  if (!live.epic.gather || answers.length === 0) return [];
  const settling = IntervalSet.of(units);
  return distinct([...answers]).flatMap((answer) => {
    const data = brought.get(answer);
    return data && settling.has(answer.unit) ? [{ unit: answer.unit, data }] : [];
  });
}

function takeFailures(s: MasterState, about: Case, faults: UnitFault[]): void {
  const units = unitsOf(faults);
  const epic = about.live.epic.id;
  const certain = IntervalSet.of(resolvable(about, units));
  const settling = IntervalSet.of(claim(s, about, units));
  const failed = distinct(faults.filter((fault) => settling.has(fault.unit)));
  if (failed.length > 0) s.settle(about.live, { by: about.by, failed: recorded(about, failed) });
  const resolved = recorded(about, distinct(faults.filter((fault) => certain.has(fault.unit))));
  if (resolved.length > 0) s.record({ k: 'resolved', epic, by: about.by, failed: resolved });
}

function takeUnknown(s: MasterState, about: Case, faults: UnitFault[]): void {
  const mine = IntervalSet.of(holding(s, about, unitsOf(faults)));
  const unknown = distinct(faults.filter((fault) => mine.has(fault.unit)));
  if (unknown.length > 0) s.settle(about.live, { by: about.by, unknown: recorded(about, unknown) });
}

/** Faults as they are recorded: with what the store is to keep of their units. */
function recorded({ live, brought }: Case, faults: UnitFault[]): RecordedFault[] {
  return faults.map((fault) => {
    const { brings: _, ...told } = fault;
    const stepIndex = live.epic.stepIndexOf(fault.step);
    const data = brought.get(fault);
    return { ...told, ...(stepIndex !== undefined && { stepIndex }), ...(data && { data }) };
  });
}

function takeBack(s: MasterState, about: Case, units: Ranges): void {
  const mine = holding(s, about, units);
  clear(s, about, mine);
  s.putBack(about.live, mine);
}

function takeLater(s: MasterState, about: Case, laters: UnitLater[]): void {
  const mine = IntervalSet.of(holding(s, about, unitsOf(laters)));
  if (mine.isEmpty) return;
  if (about.live.epic.closing !== undefined) {
    for (const { unit, step } of distinct(laters.filter((later) => mine.has(later.unit))))
      endUnrun(s, about.live, [unit, unit + 1], step);
    return;
  }
  const parked: ParkedUnit[] = [];
  const lost = new IntervalSet();
  for (const later of distinct(laters.filter((later) => mine.has(later.unit)))) {
    const { unit, attempt, step, delayMs, code, key } = later;
    const data = about.brought.get(later);
    // Without its bytes it cannot be kept by itself: it is run again as it was.
    if (!data && !about.live.epic.resume.get(unit)?.stored) lost.add(unit, unit + 1);
    else {
      const dueWallMs = s.now.wallMs + Math.min(delayMs, RETRY_DELAY_MS_MAX);
      parked.push({ unit, attempt, step, dueWallMs, code, ...(key && { key }), ...(data && { data }) });
    }
  }
  clear(s, about, lost.ranges());
  s.putBack(about.live, lost.ranges());
  park(s, about.live, parked);
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
  const others = live.epic.unsettledAmong(settling.missingFrom(units));
  about.refused.addAll(outlived.missingFrom(others));
  const lost = withoutBegun(about, outlived.intersect(others));
  if (lost.length === 0) return settling.ranges();
  live.takeSettled(lost);
  unpark(s, live, lost);
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
