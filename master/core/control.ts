/**
 * Control: the scatter and the fold of a gather, and the reads of a named source, run by a worker under a grant of no
 * units. They are effect-free: one that is lost is run again, from its beginning; a read from its cursor.
 *
 * O1: one control grant of an epic at a time, and only its holder's result counts.
 * O2: what a scatter or a fold gave is recorded before its holder is told; what follows needs no worker's word.
 * O3: a control grant is dropped wherever grants are (lease, lost message, goodbye), and then wanted again.
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import {
  CONTROL_ATTEMPTS_MAX,
  CONTROL_RETRY_FIRST_MS,
  FOLD_OFFER_MS,
  RETRY_DELAY_MS_MAX,
} from '../../shared/core/limits.ts';
import { prefixed } from '../../shared/protocol/codec.ts';
import { CONTROL_UNIT, type Control, type GrantReport, type Work } from '../../shared/protocol/messages.ts';
import { fail } from './gathering.ts';
import { freshControl, type Grant, grantKey, type LiveEpic } from './live.ts';
import { freeze } from './reading.ts';
import type { Addresses } from './records.ts';
import { sealOf } from './seal.ts';
import type { Session } from './session.ts';
import type { Batch, SourceSpec } from './source.ts';
import { canRead, failSource, isUnread, readEnded, readInput, takeRead, wantsRead } from './sourcing.ts';
import type { MasterState } from './state.ts';

/** Who says that a control unit gave something. */
export type ControlToken = { session: string; epic: string; term: number; n: number };

const UNITS = [CONTROL_UNIT, CONTROL_UNIT + 1] as const;

/** What this epic cannot go on without, beside its units. */
function lackedBy({ epic }: LiveEpic): Control | undefined {
  const { gather, closing } = epic;
  if (epic.source.type === 'named') return isUnread(epic) ? 'read' : undefined;
  if (!gather || !epic.active) return undefined;
  if (gather.phase === 'scatter') return closing === undefined ? 'scatter' : undefined;
  return gather.phase === 'fold' && gather.result === undefined ? 'fold' : undefined;
}

/** What of it is to be run now. No pause holds up a fold whose deadline has passed (G7). */
function wantedOf(s: MasterState, live: LiveEpic): Control | undefined {
  const { paused, closing, gather } = live.epic;
  const lacked = lackedBy(live);
  if (paused === undefined || closing !== undefined) return lacked;
  return lacked === 'fold' && gather && s.now.wallMs >= gather.deadlineWallMs ? lacked : undefined;
}

/** Fails a gather whose fold nobody has offered to run for FOLD_OFFER_MS, once its deadline has passed (G7). */
export function endUnoffered(s: MasterState, live: LiveEpic): void {
  const { control, epic } = live;
  if (lackedBy(live) !== 'fold' || control.grant || s.isOffered(live)) {
    control.unofferedAtMs = undefined;
    return;
  }
  control.unofferedAtMs ??= s.listenedMs;
  const isPatient = s.listenedMs - control.unofferedAtMs < FOLD_OFFER_MS;
  if (isPatient || s.now.wallMs < (epic.gather?.deadlineWallMs ?? 0)) return;
  const why = `for ${FOLD_OFFER_MS / 1_000} s no worker has offered ${epic.work}, in the version that it began with`;
  fail(s, live, 'fold_not_offered', why);
}

/** Grants what is wanted of control to sessions with credit. */
export function grantControls(s: MasterState): void {
  grantAmong(s, s.gathers);
  grantReads(s);
}

/** Grants reads of named sources, also before units are granted: who is given those has no room left. */
export function grantReads(s: MasterState): void {
  grantAmong(s, s.named);
}

function grantAmong(s: MasterState, among: Iterable<LiveEpic>): void {
  if (s.stalled || s.linkFull || s.hungry.size === 0) return;
  for (const live of among) {
    const kind = wantedOf(s, live);
    if (!kind || live.control.grant || live.control.retryAtMs > s.listenedMs) continue;
    if (kind === 'read' ? !wantsRead(s, live) : !live.epic.manifest && !freeze(s, live)) continue;
    for (const session of s.hungry) {
      if (kind === 'read' ? !canRead(session, live.epic) : !s.offers(session, live)) continue;
      grantControl(s, session, live, kind);
      s.weigh(session);
      break;
    }
  }
}

function grantControl(s: MasterState, session: Session, live: LiveEpic, kind: Control): void {
  const { epic, control } = live;
  const n = session.number(1, s.listenedMs);
  const token = { epic: epic.id, term: s.term, n };
  const { term } = s;
  const grant: Grant = {
    session: session.id,
    term,
    n,
    live,
    units: new IntervalSet(),
    bytes: 0,
    control: kind,
  };
  session.grants.set(grantKey(term, n), grant);
  control.grant = grant; // O1
  const message: Work = {
    t: 'work',
    ...token,
    work: epic.work,
    brief: kind === 'read' ? '' : epic.brief,
    units: UNITS,
    seal: sealOf(s.seal, session.id, token, UNITS),
    control: kind,
  };
  if (control.attempt > 1) message.again = [{ unit: CONTROL_UNIT, attempt: control.attempt, step: 0 }];
  session.after = Math.max(session.after, s.recorded);
  s.send(session.id, message, session.after, [prefixed(inputOf(s, live, kind))]);
}

/** What the control unit is given beside the request; what is missing comes with the answers. */
function inputOf(s: MasterState, live: LiveEpic, kind: Control): Uint8Array {
  const { epic } = live;
  if (kind === 'read') return new TextEncoder().encode(JSON.stringify(readInput(s, live)));
  if (kind === 'scatter') return new TextEncoder().encode('null');
  const { failed, unknown } = epic.counts;
  return new TextEncoder().encode(JSON.stringify({ failed, unknown, items: epic.gather?.items ?? 0 }));
}

/** The grant of this token, where it is the control grant that its epic waits for. */
export function controlGrantOf(s: MasterState, token: ControlToken, kind: Control): Grant | undefined {
  const grant = s.sessions.get(token.session)?.grants.get(grantKey(token.term, token.n));
  return grant?.control === kind && grant.live.epic.id === token.epic ? grant : undefined;
}

/** The units of a gather are durable: what a scatter under this token gave. */
export function takeScattered(
  s: MasterState,
  token: ControlToken,
  { source, items, to }: { source: SourceSpec; items: number; to?: Addresses },
): void {
  const grant = controlGrantOf(s, token, 'scatter');
  const live = grant?.live;
  if (!live || lackedBy(live) !== 'scatter') return;
  s.record({ k: 'scattered', epic: live.epic.id, source, items, ...(to && { to }) });
  live.control = freshControl();
  s.touched.add(live);
}

/** The value of a gather is durable. */
export function takeFolded(
  s: MasterState,
  token: ControlToken,
  value: { bytes: number; hash: string },
): void {
  const grant = controlGrantOf(s, token, 'fold');
  const live = grant?.live;
  if (!live || lackedBy(live) !== 'fold') return;
  const { bytes, hash } = value;
  s.record({ k: 'folded', epic: live.epic.id, bytes, hash });
  live.control = freshControl(); // What its worker says of it from now on changes nothing.
  s.touched.add(live);
}

/** What a scatter or a fold under this token gave cannot be taken, whoever runs it. */
export function refuseControl(
  s: MasterState,
  token: ControlToken,
  { code, message }: { code: string; message: string },
): void {
  const kinds = ['scatter', 'fold', 'read'] as const;
  const grant = kinds.map((kind) => controlGrantOf(s, token, kind)).find((found) => found);
  if (!grant || grant.live.control.grant !== grant) return;
  if (grant.control === 'read') failSource(s, grant.live, { code, message });
  else fail(s, grant.live, code, message);
}

/** How a control unit ended on its worker. */
export function takeControl(s: MasterState, grant: Grant, report: GrantReport): void {
  const { live, control } = grant;
  const isCurrent = live.control.grant === grant;
  s.dropGrant(grant);
  if (!isCurrent || report.back) return;
  const [later] = report.later ?? [];
  const [fault] = report.failed ?? report.unknown ?? [];
  if (control === 'read') return readEnded(s, live, { later, fault });
  if (fault) return fail(s, live, fault.code, fault.message);
  // It says that all went well, and that is not recorded: something of it was lost.
  live.control.attempt += 1;
  if (live.control.attempt > CONTROL_ATTEMPTS_MAX) {
    const why = later ? `it failed ${CONTROL_ATTEMPTS_MAX} times: ${later.code}` : 'nothing of it arrived';
    return fail(s, live, `${control}_failed`, why);
  }
  const delayMs = Math.min(later?.delayMs ?? 0, RETRY_DELAY_MS_MAX);
  live.control.retryAtMs = s.listenedMs + Math.max(delayMs, CONTROL_RETRY_FIRST_MS);
}

/** A batch that a read under this token gave is durable; a late one of a read that another follows is passed over (O1). */
export function takeSourced(
  s: MasterState,
  token: ControlToken,
  given: { batch: Batch; cursor?: string; last: boolean },
): void {
  const grant = controlGrantOf(s, token, 'read');
  if (grant && grant.live.control.grant === grant) takeRead(s, grant.live, given);
}
