/**
 * The master's core: one step takes an input and the time, and returns the records to make durable, the
 * messages to send (each after the record it names), the reads to make, and when to wake it again.
 *
 * The shell's duties, in order: append the records; once they are durable send the messages that wait
 * for them; make the reads and answer each with a `batch` or `read-failed` input; call `step` with a
 * `tick` at `wakeAt`, after all input that is queued has been taken.
 *
 * M1: no input may make it throw but a broken invariant.
 * M2: a unit is in at most one live grant.
 * M3: only `MasterState.record` changes durable state, so a replay of the records gives the same ledger.
 */
import { unreachable } from '../../shared/core/errors.ts';
import { EPICS_ACTIVE_MAX, SESSIONS_MAX, TICK_MS } from '../../shared/core/limits.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import { PROTOCOL_VERSION, type WorkerMessage } from '../../shared/protocol/messages.ts';
import {
  Availability,
  announce,
  askToEnd,
  available,
  drainSession,
  recall,
  worksWanting,
} from './availability.ts';
import { cancel, closeOverdue } from './closing.ts';
import {
  type ControlToken,
  endUnoffered,
  grantControls,
  grantReads,
  refuseControl,
  takeFolded,
  takeScattered,
  takeSourced,
} from './control.ts';
import { dispatch } from './dispatch.ts';
import { finishIfDone } from './finishing.ts';
import { keepTime, nextDeadline, reissue, takeDelivered } from './gathering.ts';
import { expireLeases, forgetExpired, hear, lapse, takeHeartbeat, takeHello } from './leases.ts';
import { type DueRows, dueFailed, isDue, takeDue, wantDue } from './parking.ts';
import { pause, pauseNeeding, resume } from './pausing.ts';
import { purge } from './purging.ts';
import { endIfEmpty, readFailed, takeBatch, wantReads } from './reading.ts';
import type { Addresses, EpicRecord, EpicRecordOf } from './records.ts';
import { endRecovery, recover } from './recovery.ts';
import type { Seal } from './seal.ts';
import type { Session } from './session.ts';
import { takeBegin, takeReports } from './settling.ts';
import type { Batch, SourceSpec } from './source.ts';
import { type CoreSettings, DEFAULT_SETTINGS, MasterState, type Now, type StepOutput } from './state.ts';

export type MasterInput =
  /** The link is up, at first or again. */
  | { type: 'up' }
  /** The link is down: no worker can be heard until it is up. */
  | { type: 'down' }
  | { type: 'message'; from: string; message: WorkerMessage; payload: UnitBytes }
  | { type: 'submit'; epic: Omit<EpicRecordOf<'epic-submitted'>, 'k' | 'wallMs'> }
  | { type: 'cancel'; epic: string; reason: string }
  | { type: 'pause'; epic: string; reason: string }
  | { type: 'resume'; epic: string }
  /** A brief is missing or damaged. */
  | { type: 'brief-lost'; brief: string; why: string }
  | { type: 'drain'; session: string }
  /** The store does not take records in time: nothing is granted until it does. */
  | { type: 'store'; stalled: boolean }
  /** So much is on its way to workers that more would be lost: nothing is granted until it is less. */
  | { type: 'link'; full: boolean }
  | { type: 'batch'; epic: string; batch: Batch }
  | { type: 'read-failed'; epic: string; first: number; message: string; damaged: boolean }
  /** What a scatter gave is durable; `source` is to be read from then on. */
  | { type: 'scattered'; token: ControlToken; source: SourceSpec; items: number; to?: Addresses }
  /** A batch of a named source is durable, which goes on after `cursor`; with `last`, this read has no more. */
  | { type: 'sourced'; token: ControlToken; batch: Batch; cursor?: string; last: boolean }
  /** The value that a fold gave is durable. */
  | { type: 'folded'; token: ControlToken; bytes: number; hash: string }
  /** What a scatter or fold gave cannot be taken. */
  | { type: 'control-refused'; token: ControlToken; code: string; message: string }
  /** The return address of an epic that is over is told no more. */
  | { type: 'delivered'; epic: string }
  | { type: 'due'; epic: string; due: DueRows }
  | { type: 'due-failed'; epic: string }
  | { type: 'tick' };

export class Master {
  /** For the shell's views of what is volatile; durable facts are read from a ledger of synced records. */
  readonly state: MasterState;
  readonly #availability = new Availability();

  /** `seal` signs grants; it is the same for all masters of one store. */
  constructor(options: { id: string; term: number; seal: Seal; settings?: Partial<CoreSettings> }) {
    const { id, term, seal } = options;
    this.state = new MasterState(id, term, { ...DEFAULT_SETTINGS, ...options.settings }, seal);
  }

  /** Replays what the processes before this one wrote. Called once, before the first step. */
  recover(records: readonly EpicRecord[]): void {
    recover(this.state, records);
  }

  step(input: MasterInput, now: Now): StepOutput {
    const s = this.state;
    this.#listen(now);
    this.#take(input);
    if (input.type === 'tick') this.#tick();
    // Before anything is granted: what a gather gives out once its intake is over would be in doubt.
    for (const live of s.touched) keepTime(s, live);
    grantReads(s);
    dispatch(s);
    for (const live of s.touched) {
      finishIfDone(s, live);
      wantReads(s, live);
      wantDue(s, live);
      if (live.readyCount > 0) this.#availability.mark();
    }
    s.touched.clear();
    grantControls(s);
    const tellAt = this.#availability.tell(s);
    const untilMs = Math.min(
      (tellAt ?? Number.POSITIVE_INFINITY) - s.listenedMs,
      nextDeadline(s) - now.wallMs,
    );
    const waitMs = Math.min(TICK_MS, Math.max(1, untilMs));
    return s.output(now.monoMs + waitMs);
  }

  /** Leases age only while the master can hear: a late step counts as one tick, time without a link as none. */
  #listen(now: Now): void {
    const s = this.state;
    if (s.now.monoMs > 0 && s.linked)
      s.listenedMs += Math.min(Math.max(0, now.monoMs - s.now.monoMs), TICK_MS);
    s.now = now;
  }

  #take(input: MasterInput): void {
    const s = this.state;
    switch (input.type) {
      case 'up':
        s.linked = true;
        // Over a hub of its own nobody hears it yet; over a server, workers that wait for a master may.
        return announce(s, worksWanting(s));
      case 'down':
        s.linked = false;
        return;
      case 'message':
        return this.#message(input.from, input.message, input.payload);
      case 'submit':
        return this.#submit(input.epic);
      case 'cancel':
        return cancel(s, input.epic, input.reason);
      case 'pause':
        return pause(s, input.epic, input.reason);
      case 'brief-lost':
        return pauseNeeding(s, input.brief, `${input.why}, then resume the epic`);
      case 'resume':
        return resume(s, input.epic);
      case 'drain':
        return drainSession(s, input.session);
      case 'store':
        s.stalled = input.stalled;
        return;
      case 'link':
        s.linkFull = input.full;
        return;
      case 'batch':
        return takeBatch(s, input.epic, input.batch);
      case 'read-failed':
        return readFailed(s, input.epic, input);
      case 'scattered':
        return takeScattered(s, input.token, input);
      case 'sourced':
        return takeSourced(s, input.token, input);
      case 'folded':
        return takeFolded(s, input.token, input);
      case 'control-refused':
        return refuseControl(s, input.token, input);
      case 'delivered':
        return takeDelivered(s, input.epic);
      case 'due':
        return takeDue(s, input.epic, input.due);
      case 'due-failed':
        return dueFailed(s, input.epic);
      case 'tick':
        return;
      default:
        return unreachable(input);
    }
  }

  #submit(epic: Omit<EpicRecordOf<'epic-submitted'>, 'k' | 'wallMs'>): void {
    const s = this.state;
    s.record({ k: 'epic-submitted', ...epic, wallMs: s.now.wallMs });
    const live = s.liveOf(epic.epic);
    if (live) endIfEmpty(s, live);
    this.#availability.mark();
  }

  #message(from: string, message: WorkerMessage, payload: UnitBytes): void {
    const s = this.state;
    if (message.t === 'hello') return this.#hello(from, message);
    const session = s.sessions.get(from);
    if (!session || session.expired) {
      if (message.t !== 'bye') {
        s.counters.refused += 1;
        const text = 'this session is not known here: say hello first';
        s.send(from, { t: 'refused', code: 'unknown_session', message: text });
      }
      return;
    }
    hear(s, session);
    this.#known(session, message, payload);
  }

  #known(session: Session, message: Exclude<WorkerMessage, { t: 'hello' }>, payload: UnitBytes): void {
    const s = this.state;
    switch (message.t) {
      case 'heartbeat':
        takeHeartbeat(s, session, message);
        if (session.endWanted && message.level > 0) askToEnd(s, session);
        return;
      case 'gimme':
        takeReports(s, session, message, payload);
        session.demand(message);
        return s.weigh(session);
      case 'begin':
        return takeBegin(s, session, message, payload);
      case 'part':
      case 'want-answers':
      case 'want-brief':
        return; // The shell answers it: it has the bytes.
      case 'bye':
        return this.#bye(session, message.reason);
      default:
        return unreachable(message);
    }
  }

  #hello(from: string, hello: Extract<WorkerMessage, { t: 'hello' }>): void {
    const s = this.state;
    if (hello.v !== PROTOCOL_VERSION) {
      const text = `this master speaks protocol ${PROTOCOL_VERSION}, the worker ${hello.v}: run the same version`;
      return s.send(from, { t: 'refused', code: 'protocol_version', message: text });
    }
    if (!s.sessions.has(from) && s.sessions.size >= SESSIONS_MAX && !forgetExpired(s)) {
      const text = `this master has ${SESSIONS_MAX} sessions already`;
      return s.send(from, { t: 'refused', code: 'too_many_sessions', message: text });
    }
    takeHello(s, from, hello);
    s.send(from, available(s, worksWanting(s)));
  }

  #bye(session: Session, reason: string): void {
    const s = this.state;
    if (reason === 'draining') {
      session.draining = true;
      return s.weigh(session);
    }
    s.counters.byes += 1;
    lapse(s, session);
    s.sessions.delete(session.id); // Its process has ended: nothing of it comes any more.
  }

  #tick(): void {
    const s = this.state;
    expireLeases(s);
    for (const live of s.live.values()) {
      closeOverdue(s, live);
      endRecovery(s, live);
      reissue(s, live);
      endUnoffered(s, live);
      if (isDue(s, live) || live.readFault || s.timed.has(live)) s.touched.add(live);
    }
    recall(s);
    purge(s);
  }

  /** Whether another epic may be taken in. */
  get full(): boolean {
    return this.state.ledger.activeCount >= EPICS_ACTIVE_MAX;
  }
}
