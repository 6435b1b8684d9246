/**
 * A worker's session as the master sees it: its demand, its grants and its lease. A session is one
 * worker process; it survives reconnects.
 *
 * S1: credit = level − units granted after `lastGrant`. Both are absolute, so a lost, doubled or late
 *     message never changes how much a worker ends up holding (G8). Demand of another term gives none: until the
 *     worker knows this master it takes what another one has sent.
 * S2: grant numbers of a session never repeat within a term, also not after its lease expired.
 * S3: no level is believed beyond what a worker may hold: a wrong one must not empty every source into it.
 */
import type { IntervalSet } from '../../shared/core/intervalSet.ts';
import { HELD_BYTES_MAX, HELD_UNITS_MAX } from '../../shared/core/limits.ts';
import type { Demand, Hello, StepCounters, WorkManifest } from '../../shared/protocol/messages.ts';
import type { Grant } from './live.ts';

/** A grant sent that the worker has not yet said it knows of. */
type Sent = { n: number; count: number; sentMs: number };

export class Session {
  readonly id: string;
  name = '';
  version = '';
  /** By work name. */
  works = new Map<string, WorkManifest>();
  labels: Readonly<Record<string, string>> = {};
  /** Names of the sources that it can read. */
  sources: ReadonlySet<string> = new Set();
  slots = 0;
  /** By `grantKey`. */
  readonly grants = new Map<number, Grant>();
  /**
   * By `grantKey`, unsettled units that its last Hello proved to be granted to it and that it does not hold any more:
   * they may be running there, so what it says of how they ended counts.
   */
  readonly outlived = new Map<number, { epic: string; units: IntervalSet }>();
  /** Bytes of the units in its grants, about. */
  bytes = 0;
  /** Listening time at which the lease lapses. */
  leaseUntilMs = 0;
  lastHeardMonoMs = 0;
  draining = false;
  /** An operator wants it to end. */
  endWanted = false;
  /** Its lease has expired: only its grant numbering is kept. */
  expired = false;
  steps: Readonly<Record<string, StepCounters>> = {};
  /** Listening time of the last Recall to it. */
  recalledMs = 0;
  /** Record that its newest grant waits for: the next one must not overtake it, nor an Abort of its units. */
  after = 0;
  /** `at` of the last Begin: a report told before it must not clear what it began. */
  beganAt = -1;
  readonly #term: number;
  #at = -1;
  #lastGrant = 0;
  #level = 0;
  #nextN = 1;
  #sent: Sent[] = [];
  #sentUnits = 0;

  /** `term` is its master's. */
  constructor(id: string, term: number) {
    this.id = id;
    this.#term = term;
  }

  /** Units that still fit (S1). */
  get credit(): number {
    if (this.draining || this.expired || this.bytes >= HELD_BYTES_MAX) return 0;
    return this.#level - this.#sentUnits;
  }

  get lastGrant(): number {
    return this.#lastGrant;
  }

  get held(): number {
    let sum = 0;
    for (const grant of this.grants.values()) sum += grant.units.count;
    return sum;
  }

  /** What a person is told of it: one silent for two heartbeats is suspect. */
  condition(monoMs: number, heartbeatMs: number): 'ready' | 'draining' | 'suspect' {
    if (monoMs - this.lastHeardMonoMs > 2 * heartbeatMs) return 'suspect';
    return this.draining ? 'draining' : 'ready';
  }

  /** Listening time at which the oldest grant not yet confirmed was sent. */
  get oldestSentMs(): number | undefined {
    return this.#sent[0]?.sentMs;
  }

  /** Takes what a Hello says of the worker itself. */
  introduce(hello: Hello): void {
    this.name = hello.name;
    this.version = hello.version;
    this.works = new Map(hello.works.map((work) => [work.name, work]));
    this.labels = hello.labels;
    this.sources = new Set(hello.sources);
    this.slots = hello.slots;
    this.expired = false;
    this.draining = this.endWanted;
    if (hello.term === this.#term) this.passed(hello.lastGrant);
  }

  /** Passes a number that was granted before (S2). */
  passed(n: number): void {
    this.#nextN = Math.max(this.#nextN, n + 1);
  }

  /** Takes a demand. Returns false when it is older than one already taken. */
  demand(demand: Demand): boolean {
    if (demand.at <= this.#at) return false;
    this.#at = demand.at;
    const isOurs = demand.term === this.#term; // S1
    this.#lastGrant = isOurs ? demand.lastGrant : 0;
    this.#level = isOurs ? Math.min(demand.level, HELD_UNITS_MAX) : 0; // S3
    while (this.#sent[0] && this.#sent[0].n <= this.#lastGrant) {
      this.#sentUnits -= this.#sent[0].count;
      this.#sent.shift();
    }
    return true;
  }

  /** Gives it from now on to take what it was sent: it has just connected. */
  restamp(nowMs: number): void {
    for (const sent of this.#sent) sent.sentMs = nowMs;
  }

  /** Numbers a probe; one that is not yet confirmed is sent again: however often a session asks, it is one. */
  probe(nowMs: number): number {
    const last = this.#sent.at(-1);
    return last?.count === 0 ? last.n : this.number(0, nowMs);
  }

  /** Numbers a new grant of `count` units. */
  number(count: number, nowMs: number): number {
    const n = this.#nextN++;
    this.#sent.push({ n, count, sentMs: nowMs });
    this.#sentUnits += count;
    return n;
  }

  /** Ends the session: only the numbering lives on, and what was sent and may yet arrive (S1). */
  expire(): void {
    this.expired = true;
    this.grants.clear();
    this.outlived.clear();
    this.bytes = 0;
    this.#level = 0;
    this.steps = {};
  }
}
