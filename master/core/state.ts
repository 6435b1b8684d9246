/**
 * What the parts of the master's core share: the ledger, the live epics, the sessions, and the output
 * of the step that is being taken. It decides nothing.
 */

import { assert } from '../../shared/core/errors.ts';
import { eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import {
  HEARTBEAT_MS,
  LEASE_MS,
  LOOK_AHEAD_BYTES,
  LOOK_AHEAD_UNITS,
  METRIC_WORKS_MAX,
  PARKED_MAX,
  RECALL_AFTER_MS,
  RETENTION_MS,
  WORK_AVAILABLE_MIN_GAP_MS,
} from '../../shared/core/limits.ts';
import type { MasterMessage, Ranges } from '../../shared/protocol/messages.ts';
import { endUnrun } from './closing.ts';
import { deadlineOf } from './ending.ts';
import type { Epic } from './epic.ts';
import { Ledger } from './ledger.ts';
import { type Grant, grantKey, LiveEpic, type Read } from './live.ts';
import { park } from './parking.ts';
import type { EpicRecord, EpicRecordOf, ParkedUnit, Resume } from './records.ts';
import type { Seal } from './seal.ts';
import type { Session } from './session.ts';

/** Wall time for due times, monotonic time for leases. Both in milliseconds. */
export type Now = { wallMs: number; monoMs: number };

export type CoreSettings = {
  leaseMs: number;
  heartbeatMs: number;
  lookAheadUnits: number;
  lookAheadBytes: number;
  parkedMax: number;
  retentionMs: number;
  recallAfterMs: number;
  availableGapMs: number;
};

export const DEFAULT_SETTINGS: CoreSettings = {
  leaseMs: LEASE_MS,
  heartbeatMs: HEARTBEAT_MS,
  lookAheadUnits: LOOK_AHEAD_UNITS,
  lookAheadBytes: LOOK_AHEAD_BYTES,
  parkedMax: PARKED_MAX,
  retentionMs: RETENTION_MS,
  recallAfterMs: RECALL_AFTER_MS,
  availableGapMs: WORK_AVAILABLE_MIN_GAP_MS,
};

/** A message to send once record number `after` is durable (0: at once). */
export type Outgoing =
  | { to: 'worker'; session: string; message: MasterMessage; payload: Uint8Array[]; after: number }
  | { to: 'workers'; message: MasterMessage; payload: Uint8Array[]; after: number };

/** A read of an epic's source that the shell is to make and answer with a `batch` input. */
export type ReadWanted = Read & { epic: string; first: number };

/** Parked units that the shell is to look up, once all records so far are durable, and answer with a `due` input. */
export type DueWanted = { epic: string; dueWallMs: number; limit: number; bytes: number };

/** Outcomes of units of one epic. */
type Settling = Omit<EpicRecordOf<'settled'>, 'k' | 'epic' | 'rows'>;

export type StepOutput = {
  records: EpicRecord[];
  messages: Outgoing[];
  reads: ReadWanted[];
  dues: DueWanted[];
  /** How long the units of each grant had been read before they were granted. */
  waits: { work: string; ms: number }[];
  /** Monotonic time of the next tick at the latest. */
  wakeAt: number;
};

export type Counters = {
  /** By work. */
  staleReports: Map<string, number>;
  leasesExpired: number;
  grantsLost: number;
  refused: number;
  recalls: number;
  byes: number;
  /** WorkAvailable broadcasts. */
  rounds: number;
};

export class MasterState {
  readonly id: string;
  readonly term: number;
  readonly settings: CoreSettings;
  readonly seal: Seal;
  readonly ledger = new Ledger();
  readonly live = new Map<string, LiveEpic>();
  readonly sessions = new Map<string, Session>();
  /** Sessions with credit. */
  readonly hungry = new Set<Session>();
  /** Epics with units to grant. */
  readonly granting = new Set<LiveEpic>();
  /** Gathers that run. */
  readonly gathers = new Set<LiveEpic>();
  /** Epics that run and have a deadline: all gathers, and others. */
  readonly timed = new Set<LiveEpic>();
  /** Epics with a named source that run. */
  readonly named = new Set<LiveEpic>();
  /** Epics that changed in this step. */
  readonly touched = new Set<LiveEpic>();
  readonly counters: Counters = {
    staleReports: new Map(),
    leasesExpired: 0,
    grantsLost: 0,
    refused: 0,
    recalls: 0,
    byes: 0,
    rounds: 0,
  };
  /** The store takes no records. */
  stalled = false;
  /** Workers can reach this master. A hub of its own says so before any worker comes. */
  linked = true;
  /** Too much is on its way to workers. */
  linkFull = false;
  now: Now = { wallMs: 0, monoMs: 0 };
  /** How long it has listened: leases age by this, so a master stopped or cut off expires nobody. */
  listenedMs = 0;
  /** Records written so far: the number of the newest. */
  recorded = 0;
  #records: EpicRecord[] = [];
  #messages: Outgoing[] = [];
  #reads: ReadWanted[] = [];
  #dues: DueWanted[] = [];
  #waits: { work: string; ms: number }[] = [];

  constructor(id: string, term: number, settings: CoreSettings, seal: Seal) {
    this.id = id;
    this.term = term;
    this.settings = settings;
    this.seal = seal;
  }

  /** Writes a record and applies it: nothing else changes durable state. */
  record(record: EpicRecord): void {
    this.ledger.apply(record);
    this.#records.push(record);
    this.recorded += 1;
  }

  /** Settles units; what the store keeps of those that did not fail is needed no more. */
  settle(live: LiveEpic, settling: Settling): void {
    const { epic } = live;
    const rows = epic.resume.size === 0 ? [] : rowsOf(epic, settling);
    const kept = rows.length === 0 ? {} : { rows };
    this.record({ k: 'settled', epic: epic.id, ...settling, ...kept });
  }

  /** Sends to one session; `after` names the record that must be durable first. */
  send(session: string, message: MasterMessage, after = 0, payload: Uint8Array[] = []): void {
    this.#messages.push({ to: 'worker', session, message, payload, after });
  }

  /** Stops units on a worker; never before the grant that brings them. */
  abort(session: string, epic: string, units?: Ranges): void {
    const what = units ? { units } : {};
    this.send(
      session,
      { t: 'abort', term: this.term, epic, ...what },
      this.sessions.get(session)?.after ?? 0,
    );
  }

  broadcast(message: MasterMessage, after = 0): void {
    this.#messages.push({ to: 'workers', message, payload: [], after });
  }

  read(read: ReadWanted): void {
    this.#reads.push(read);
  }

  fetchDue(wanted: DueWanted): void {
    this.#dues.push(wanted);
  }

  waited(work: string, ms: number): void {
    this.#waits.push({ work, ms });
  }

  /** Counts a report of units that its sender no longer held. */
  stale(work: string): void {
    const { staleReports } = this.counters;
    if (staleReports.has(work) || staleReports.size < METRIC_WORKS_MAX) {
      staleReports.set(work, (staleReports.get(work) ?? 0) + 1);
    }
  }

  /** Takes the output gathered since the last call. */
  output(wakeAt: number): StepOutput {
    const output = {
      records: this.#records,
      messages: this.#messages,
      reads: this.#reads,
      dues: this.#dues,
      waits: this.#waits,
      wakeAt,
    };
    this.#records = [];
    this.#messages = [];
    this.#reads = [];
    this.#dues = [];
    this.#waits = [];
    return output;
  }

  /** The live side of an active epic, made when first asked for. */
  liveOf(id: string): LiveEpic | undefined {
    const known = this.live.get(id);
    if (known) return known;
    const epic = this.ledger.epics.get(id);
    if (!epic?.active) return undefined;
    const live = new LiveEpic(epic);
    this.live.set(id, live);
    if (epic.gather) this.gathers.add(live);
    if (deadlineOf(epic) !== undefined) this.timed.add(live);
    if (epic.source.type === 'named') this.named.add(live);
    this.touched.add(live);
    return live;
  }

  /** Takes units out of a grant; drops the grant when it is empty. Returns how many it held. */
  release(grant: Grant, units: Ranges): number {
    const before = grant.units.count;
    const count = grant.units.removeAll(units);
    if (count === 0) return 0; // A list before this one in the same report may have emptied and dropped it.
    const session = this.sessions.get(grant.session);
    const bytes = before === 0 ? 0 : Math.floor((grant.bytes * count) / before);
    grant.bytes -= bytes;
    if (session) session.bytes -= bytes;
    grant.live.leased -= count;
    this.touched.add(grant.live);
    if (grant.units.isEmpty) this.dropGrant(grant);
    return count;
  }

  dropGrant(grant: Grant): void {
    grant.live.leased -= grant.units.count;
    this.touched.add(grant.live);
    grant.live.grants.delete(grant);
    if (grant.live.control.grant === grant) grant.live.control.grant = undefined; // O3
    const session = this.sessions.get(grant.session);
    if (session) session.bytes -= grant.bytes;
    assert(
      session?.grants.delete(grantKey(grant.term, grant.n)),
      `grant ${grant.n} of ${grant.session} is not on its session`,
    );
  }

  /**
   * Gives unsettled units back: ready again, or cancelled where the epic closes. Within a lease of a crash what had
   * been read before waits on: who gave it back may not be the last who held it, and that one may yet come.
   */
  putBack(live: LiveEpic, all: Ranges): void {
    if (all.length === 0) return;
    this.touched.add(live);
    const { epic } = live;
    if (epic.closing !== undefined) return endUnrun(this, live, all);
    const isWaiting = this.listenedMs < this.settings.leaseMs && live.recoveredTo > 0;
    const doubtful = isWaiting ? IntervalSet.of(all).intersect([0, live.recoveredTo]) : [];
    live.heldBack.addAll(doubtful);
    const units = isWaiting ? IntervalSet.of(doubtful).missingFrom(all) : all;
    const stored = IntervalSet.of(epic.storedAmong(units));
    live.putBack(stored.isEmpty ? units : stored.missingFrom(units));
    if (stored.isEmpty) return;
    const back: ParkedUnit[] = [];
    eachOf(stored.ranges(), (unit) => {
      const { attempt, step } = epic.resume.get(unit) as Resume;
      back.push({ unit, attempt, step, dueWallMs: this.now.wallMs, code: '' });
    });
    park(this, live, back);
  }

  /** Keeps `hungry` in step with a session's credit. */
  weigh(session: Session): void {
    if (session.credit > 0) this.hungry.add(session);
    else this.hungry.delete(session);
  }

  /** Whether any session runs this epic. */
  isOffered(live: LiveEpic): boolean {
    for (const session of this.sessions.values()) {
      if (!session.expired && this.offers(session, live)) return true;
    }
    return false;
  }

  /** Whether this session runs this epic: it offers the work in the version the epic froze. */
  offers(session: Session, live: LiveEpic): boolean {
    const manifest = session.works.get(live.epic.work);
    if (!manifest) return false;
    return live.epic.manifest === undefined || live.epic.manifest.hash === manifest.hash;
  }
}

/** Which of these units have a row that is needed no more. */
function rowsOf(epic: Epic, settling: Settling): Ranges {
  const { succeeded = [], skipped = [], cancelled = [], missing = [], answered = [] } = settling;
  const rows = new IntervalSet();
  for (const units of [succeeded, skipped, cancelled, missing]) rows.addAll(epic.storedAmong(units));
  // The row of what it is becomes the row of its answer.
  for (const { unit } of answered) rows.remove(unit, unit + 1);
  return rows.ranges();
}
