/**
 * The master's metrics for Prometheus. Durable counts come from synced records, so they equal the
 * arithmetic that every other surface shows; the rest is read from the core when it is scraped.
 * Labels are bounded: never an epic, a worker or a recipient.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { countOf } from '../../shared/core/intervalSet.ts';
import { METRIC_WORKS_MAX } from '../../shared/core/limits.ts';
import type { Epic } from '../core/epic.ts';
import type { EpicRecord, EpicRecordOf, Outcome } from '../core/records.ts';
import type { MasterState } from '../core/state.ts';
import type { Depth } from './depths.ts';
import { isComplete } from './gathers.ts';

const OUTCOMES: Outcome[] = ['succeeded', 'failed', 'unknown', 'skipped', 'cancelled', 'missing'];
const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120];
/** Of gathers: from those that are answered at once to those that wait for people. */
const GATHER_SECONDS = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 900, 3_600, 86_400];
/** Which answer of a gather an outcome of its units is; what was cancelled is none. */
const RESPONSES: Partial<Record<Outcome, string>> = {
  ...{ succeeded: 'answered', skipped: 'answered', failed: 'failed', unknown: 'failed', missing: 'missing' },
};

/** Gauges of prom-client's own set that are named as counters are; each is there under its right name, too. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export type MetricsSource = {
  version: string;
  /** What kind the link is. */
  link: string;
  /** Messages that the link dropped since they are no frames. */
  notFrames: () => number;
  state: MasterState;
  /** Synced epics. */
  epics: () => Iterable<Epic>;
  depths: () => Record<string, Depth>;
};

/** What one metric is, for docs/OPERATING.md. */
export type MetricRow = { name: string; kind: string; labels: readonly string[]; help: string };

export class MasterMetrics {
  /** Every metric but those of prom-client's own set. */
  readonly rows: MetricRow[] = [];
  readonly #source: MetricsSource;
  readonly #registry = new Registry();
  readonly #works = new Set<string>();
  /** What was already counted of each running epic; one that ended is counted for the last time at its end. */
  readonly #counted = new Map<string, Record<Outcome | 'read', number>>();
  readonly #read = this.#counter(
    'units_read_total',
    'Units read from sources, with those that this process found unfinished at its start',
    ['work'],
  );
  readonly #finished = this.#counter('units_finished_total', 'Units whose outcome is durable', [
    'work',
    'outcome',
  ]);
  readonly #epicsFinished = this.#counter('epics_finished_total', 'Epics ended', ['work', 'outcome']);
  readonly #progress = this.#gauge(
    'last_progress_timestamp_seconds',
    'When a unit of the work last settled',
    ['work'],
  );
  readonly #expired = this.#counter('leases_expired_total', 'Leases that lapsed with units of the work', [
    'work',
  ]);
  readonly #appendRecords = this.#counter('store_append_records_total', 'Records made durable', []);
  readonly #append = this.#histogram('store_append_seconds', 'Time of one append to the store', []);
  readonly #wait = this.#histogram(
    'grant_wait_seconds',
    'Time from reading a stretch of units to granting of it',
    ['work'],
  );
  readonly #http = this.#histogram('http_request_duration_seconds', 'Time of an HTTP answer', [
    'route',
    'code',
  ]);
  readonly #gathers = this.#histogram(
    'gather_duration_seconds',
    'Time from the submit of a gather to its end, unless it was cancelled',
    ['gather', 'outcome'],
    GATHER_SECONDS,
  );
  readonly #responses = this.#counter(
    'gather_responses_total',
    'Who was asked by gathers, by what came of it',
    ['gather', 'outcome'],
  );
  readonly #reconnects = this.#counter('link_reconnects_total', 'Times a lost link was made again', ['link']);
  #isLinked = false;

  constructor(source: MetricsSource) {
    this.#source = source;
    collectDefaultMetrics({ register: this.#registry });
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
    this.#reconnects.inc({ link: source.link }, 0);
    this.#gauge('build_info', 'Version and role of this process', ['version', 'role']).set(
      { version: source.version, role: 'master' },
      1,
    );
    this.#epicGauges();
    this.#unitGauges();
    this.#workerGauges();
    this.#mailboxGauges();
    this.#coreCounters();
    // What a process before this one settled is not counted again: it would look as if it had all happened now.
    for (const epic of source.epics()) {
      const { read, outstanding } = epic.totals();
      if (epic.active) this.#counted.set(epic.id, { ...epic.counts, read: read - outstanding });
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    for (const epic of this.#source.epics()) if (epic.active) this.#count(epic);
    return this.#registry.metrics();
  }

  /** Takes a synced record; `epic` is as it is after it. */
  synced(record: EpicRecord, epic: Epic | undefined, wallMs: number): void {
    if (!epic) return;
    const work = this.#work(epic.work);
    switch (record.k) {
      case 'settled':
      case 'resolved':
        this.#progress.set({ work }, wallMs / 1_000);
        return;
      case 'lease-expired':
        // What was read before a restart and never granted is in nobody's lease.
        if (record.again.length + record.unknown.length > 0) this.#expired.inc({ work });
        return;
      case 'epic-finished':
        this.#count(epic);
        this.#counted.delete(epic.id);
        this.#epicsFinished.inc({ work, outcome: record.outcome });
        this.#gathered(record, epic, work);
        return;
      case 'late':
        this.#responses.inc({ gather: work, outcome: 'late' }, countOf(record.units));
        return;
      default:
        return;
    }
  }

  appended(seconds: number, records: number): void {
    this.#append.observe(seconds);
    this.#appendRecords.inc(records);
  }

  granted(work: string, waitedMs: number): void {
    this.#wait.observe({ work: this.#work(work) }, waitedMs / 1_000);
  }

  linked(): void {
    this.#reconnects.inc({ link: this.#source.link }, this.#isLinked ? 1 : 0);
    this.#isLinked = true;
  }

  answered(route: string, code: number, seconds: number): void {
    this.#http.observe({ route, code: String(code) }, seconds);
  }

  /** Brings the counters up to where an epic's arithmetic stands. */
  #count(epic: Epic): void {
    const before = this.#counted.get(epic.id) ?? zero();
    const work = this.#work(epic.work);
    const { read } = epic.totals();
    this.#read.inc({ work }, read - before.read);
    before.read = read;
    for (const outcome of OUTCOMES) {
      // A resolved unknown stays counted as the unknown that it was.
      const more = Math.max(0, epic.counts[outcome] - before[outcome]);
      this.#finished.inc({ work, outcome }, more);
      const response = RESPONSES[outcome];
      if (epic.gather && response) this.#responses.inc({ gather: work, outcome: response }, more);
      before[outcome] = Math.max(before[outcome], epic.counts[outcome]);
    }
    this.#counted.set(epic.id, before);
  }

  #gathered({ outcome: how, wallMs }: EpicRecordOf<'epic-finished'>, epic: Epic, gather: string): void {
    if (!epic.gather || how === 'cancelled') return;
    const ended = isComplete(epic) ? 'complete' : 'partial';
    const outcome = how === 'failed' ? 'failed' : ended;
    this.#gathers.observe({ gather, outcome }, (wallMs - epic.submittedWallMs) / 1_000);
  }

  /** A work's name as a label; names come from whoever submits, so their number is bounded. */
  #work(name: string): string {
    if (this.#works.has(name)) return name;
    if (this.#works.size >= METRIC_WORKS_MAX) return 'other';
    this.#works.add(name);
    return name;
  }

  #epicGauges(): void {
    const { epics } = this.#source;
    const states = this.#gauge('epics', 'Epics known to this master', ['work', 'state'], (gauge) => {
      gauge.reset();
      for (const epic of epics()) gauge.inc({ work: this.#work(epic.work), state: epic.state });
    });
    const oldest = 'When the oldest epic with outstanding units was submitted';
    this.#gauge('oldest_outstanding_timestamp_seconds', oldest, ['work'], (gauge) => {
      gauge.reset();
      const first = new Map<string, number>();
      for (const epic of epics()) {
        if (!epic.active) continue;
        const work = this.#work(epic.work);
        first.set(work, Math.min(first.get(work) ?? Number.POSITIVE_INFINITY, epic.submittedWallMs / 1_000));
      }
      for (const [work, seconds] of first) gauge.set({ work }, seconds);
    });
    states.reset();
  }

  #unitGauges(): void {
    const { state } = this.#source;
    this.#gauge('units', 'Unsettled units of running epics', ['work', 'state'], (gauge) => {
      gauge.reset();
      for (const live of state.live.values()) {
        const work = this.#work(live.epic.work);
        gauge.inc({ work, state: 'ready' }, live.readyCount);
        gauge.inc({ work, state: 'leased' }, live.leased);
        gauge.inc({ work, state: 'delayed' }, live.epic.parked.count);
      }
    });
    this.#gauge('demand_units', 'Credit that workers offer', ['work'], (gauge) => {
      gauge.reset();
      for (const session of state.hungry) {
        for (const work of session.works.keys()) gauge.inc({ work: this.#work(work) }, session.credit);
      }
    });
  }

  #workerGauges(): void {
    const { state } = this.#source;
    this.#gauge('workers', 'Workers with a live lease', ['state'], (gauge) => {
      gauge.reset();
      for (const name of ['ready', 'draining', 'suspect']) gauge.set({ state: name }, 0);
      for (const session of state.sessions.values()) {
        if (!session.expired)
          gauge.inc({ state: session.condition(state.now.monoMs, state.settings.heartbeatMs) });
      }
    });
  }

  #mailboxGauges(): void {
    const { depths } = this.#source;
    const queues = (pick: (depth: Depth) => number) => (gauge: Gauge) => {
      for (const [queue, depth] of Object.entries(depths())) gauge.set({ queue }, pick(depth));
    };
    this.#gauge(
      'mailbox_depth',
      'How full each queue is',
      ['queue'],
      queues((queue) => queue.depth),
    );
    this.#gauge(
      'mailbox_depth_max',
      'How full each queue was at most',
      ['queue'],
      queues((queue) => queue.max),
    );
    this.#gauge(
      'mailbox_limit',
      'How full each queue may be',
      ['queue'],
      queues((queue) => queue.limit),
    );
  }

  #coreCounters(): void {
    const { state, notFrames } = this.#source;
    const { counters } = state;
    const stale = 'Reports of units that their sender no longer held';
    this.#counter('stale_reports_total', stale, ['work'], (counter) => {
      counter.reset();
      for (const [work, count] of counters.staleReports) counter.inc({ work: this.#work(work) }, count);
    });
    this.#mirror('grants_lost_total', 'Grants lost on the way and granted again', () => counters.grantsLost);
    this.#mirror(
      'refused_messages_total',
      'Messages refused: malformed, of a session not known, or about units that were not granted to it',
      () => counters.refused + notFrames(),
    );
    this.#mirror('work_available_total', 'Broadcasts of WorkAvailable', () => counters.rounds);
    this.#mirror('recalls_total', 'Units recalled for workers that starved', () => counters.recalls);
    const lost = this.#counter('workers_lost_total', 'Workers that went, by how', ['reason'], (counter) => {
      counter.reset();
      counter.inc({ reason: 'lease_expired' }, counters.leasesExpired);
      counter.inc({ reason: 'said_bye' }, counters.byes);
    });
    lost.reset();
  }

  /** A counter whose value lives in the core. */
  #mirror(name: string, help: string, value: () => number): void {
    this.#counter(name, help, [], (counter) => {
      counter.reset();
      counter.inc(value());
    });
  }

  #counter<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    collect?: (counter: Counter<L>) => void,
  ) {
    this.#row(name, 'counter', labelNames, help);
    return new Counter<L>({
      name: `gimmework_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      ...(collect && {
        collect(this: Counter<L>) {
          collect(this);
        },
      }),
    });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[], collect?: (gauge: Gauge<L>) => void) {
    this.#row(name, 'gauge', labelNames, help);
    return new Gauge<L>({
      name: `gimmework_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      ...(collect && {
        collect(this: Gauge<L>) {
          collect(this);
        },
      }),
    });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[], buckets = SECONDS) {
    this.#row(name, 'histogram', labelNames, help);
    const registers = [this.#registry];
    return new Histogram<L>({ name: `gimmework_${name}`, help, labelNames, registers, buckets });
  }

  #row(name: string, kind: string, labels: readonly string[], help: string): void {
    this.rows.push({ name: `gimmework_${name}`, kind, labels, help });
  }
}

function zero(): Record<Outcome | 'read', number> {
  return { read: 0, succeeded: 0, failed: 0, unknown: 0, skipped: 0, cancelled: 0, missing: 0 };
}
