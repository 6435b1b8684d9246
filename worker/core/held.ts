/**
 * A grant as the worker holds it. Each of its units is pending, running, waiting for a retry, or
 * reported; it leaves only when the master says Settled (or takes it back).
 */
import { eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { RESEND_MS } from '../../shared/core/limits.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Ranges, StepCounters, Work } from '../../shared/protocol/messages.ts';
import { Outcomes } from './outcomes.ts';

/** One unit being run, or waiting to be. `state` belongs to whoever runs it (the input of the step to resume). */
export type Run = {
  readonly held: Held;
  readonly unit: number;
  readonly bytes: Uint8Array;
  /** Which run of step number `step` this is, from 1; steps before it are at their first. */
  attempt: number;
  step: number;
  state: unknown;
  /** Its at-most-once effect was allowed and is not known to have failed. */
  begun: boolean;
  /** Its outcome is decided elsewhere: it may end, but not be tried again here. */
  stopped: boolean;
  /** `at` of the first Begin since it asked; an answer to an earlier one is not for this asking. */
  askedAt: number;
};

export class Held {
  readonly epic: string;
  readonly work: string;
  readonly brief: string;
  /** Work and brief: what must be prepared before a unit of it starts. */
  readonly briefKey: string;
  readonly term: number;
  readonly n: number;
  /** Its units when it came, and the master's signature on them. */
  readonly granted: Ranges;
  readonly seal: string;
  /** Not yet told settled. */
  readonly units: IntervalSet;
  /** Not yet started. */
  readonly pending: IntervalSet;
  readonly running = new Map<number, Run>();
  /** Runs that asked to begin and have no answer yet. */
  readonly asking = new Map<number, Run>();
  readonly fresh = new Outcomes();
  readonly sent = new Outcomes();
  sentMonoMs = 0;
  askedMonoMs = 0;
  readonly counters: StepCounters;
  /** Belongs to whoever runs its units: what is the same for all of them. */
  context: unknown;
  /** Asked for in the next Begin message. */
  readonly #toAsk = new IntervalSet();
  readonly #again: Map<number, { attempt: number; step: number }> | undefined;
  readonly #bytes: UnitBytes;
  // The range that the last started unit was in, and the position of its first unit in the payload.
  #range = 0;
  #base = 0;

  constructor(work: Work, bytes: UnitBytes, counters: StepCounters) {
    this.epic = work.epic;
    this.work = work.work;
    this.brief = work.brief;
    this.briefKey = `${work.work} ${work.brief}`;
    this.term = work.term;
    this.n = work.n;
    this.units = IntervalSet.of(work.units);
    this.pending = IntervalSet.of(work.units);
    this.counters = counters;
    this.granted = work.units;
    this.seal = work.seal;
    this.#bytes = bytes;
    if (work.again) this.#again = new Map(work.again.map((item) => [item.unit, item]));
  }

  /** Starts the lowest pending unit. */
  start(): Run | undefined {
    const unit = this.pending.first;
    if (unit === undefined) return undefined;
    this.pending.remove(unit, unit + 1);
    const again = this.#again?.get(unit);
    const run: Run = {
      held: this,
      unit,
      bytes: this.#bytes.at(this.#positionOf(unit)),
      attempt: again?.attempt ?? 1,
      step: again?.step ?? 0,
      state: undefined,
      begun: false,
      stopped: false,
      askedAt: Number.POSITIVE_INFINITY,
    };
    this.running.set(unit, run);
    return run;
  }

  ask(run: Run): void {
    run.askedAt = Number.POSITIVE_INFINITY;
    this.asking.set(run.unit, run);
    this.#toAsk.add(run.unit, run.unit + 1);
  }

  /** Units for a Begin numbered `at`: those not asked for yet, and all of them when the answer is overdue. */
  takeAsks(at: number, nowMs: number): Ranges {
    if (this.asking.size > 0 && nowMs - this.askedMonoMs >= RESEND_MS) {
      for (const unit of this.asking.keys()) this.#toAsk.add(unit, unit + 1);
    }
    const units = this.#toAsk.ranges();
    if (units.length === 0) return units;
    // The time of the oldest without an answer: new ones must not put off its second sending.
    if (this.#toAsk.count === this.asking.size) this.askedMonoMs = nowMs;
    this.#toAsk.clear();
    eachOf(units, (unit) => {
      const run = this.asking.get(unit);
      if (run) run.askedAt = Math.min(run.askedAt, at);
    });
    return units;
  }

  /** Takes out up to `count` pending units, the last ones. */
  takeLast(count: number): Ranges {
    const kept = this.pending.take(Math.max(0, this.pending.count - count));
    const last = this.pending.ranges();
    this.pending.clear();
    this.pending.addAll(kept);
    return last;
  }

  /** Units start in ascending order, so the position only moves on. */
  #positionOf(unit: number): number {
    while (unit >= (this.granted[this.#range + 1] as number)) {
      this.#base += (this.granted[this.#range + 1] as number) - (this.granted[this.#range] as number);
      this.#range += 2;
    }
    return this.#base + unit - (this.granted[this.#range] as number);
  }
}
