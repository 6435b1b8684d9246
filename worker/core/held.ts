/**
 * A grant as the worker holds it. Each of its units is pending, running, waiting for a retry, or
 * reported; it leaves only when the master says Settled (or takes it back).
 */
import { countOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Control, Ranges, StepCounters, StepManifest, Work } from '../../shared/protocol/messages.ts';
import { Askings } from './askings.ts';
import { Outcomes } from './outcomes.ts';
import { type Attempts, attemptsWith, decodeState, NO_ATTEMPTS } from './stepState.ts';

/** One unit being run, or waiting to be. */
export class Run {
  readonly held: Held;
  readonly unit: number;
  attempts: Attempts = NO_ATTEMPTS;
  /** Where it goes on: at a step, given this. Undefined before its first step, and while one runs. */
  state: { index: number; input?: unknown } | undefined = undefined;
  /** The last state of it that the master has, and the step that it begins. */
  kept: { readonly step: number; readonly bytes: Uint8Array } | undefined = undefined;
  /** The state that it was granted with is none. */
  isUnreadable = false;
  /** Its at-most-once effect was allowed and is not known to have failed. */
  begun = false;
  /** Its outcome is decided elsewhere: it may end, but not be tried again here. */
  stopped = false;
  readonly #units: UnitBytes;
  readonly #position: number;

  /** `position` is that of its bytes among `units`: a view of them is made only for who wants it. */
  constructor(held: Held, unit: number, units: UnitBytes, position: number) {
    this.held = held;
    this.unit = unit;
    this.#units = units;
    this.#position = position;
  }

  get bytes(): Uint8Array {
    return this.#units.at(this.#position);
  }

  /** Its bytes as text, with U+FFFD where they are not UTF-8. */
  get text(): string {
    return this.#units.text(this.#position);
  }
}

/** How a unit that has run before goes on; `state` is the position of its state in the payload. */
type Again = { attempt: number; step: number; state: number | undefined };

export class Held {
  readonly epic: string;
  /** Epic whose effect keys its units have. */
  readonly effects: string;
  readonly work: string;
  readonly brief: string;
  /** Work and brief: what must be prepared before a unit of it starts. */
  readonly briefKey: string;
  readonly term: number;
  readonly n: number;
  /** Its units when it came, and the master's signature on them. */
  readonly granted: Ranges;
  readonly seal: string;
  /** What its one unit is, where that is none of the epic's. */
  readonly control: Control | undefined;
  /** Not yet told settled. */
  readonly units: IntervalSet;
  /** Not yet started. */
  readonly pending: IntervalSet;
  /** All but the one that was started last of all (`holdings.ts`). */
  readonly running = new Map<number, Run>();
  readonly asks = new Askings();
  readonly fresh = new Outcomes();
  readonly sent = new Outcomes();
  sentMonoMs = 0;
  readonly counters: StepCounters;
  /** Belongs to whoever runs its units: what is the same for all of them. */
  context: unknown;
  readonly #steps: readonly StepManifest[];
  readonly #again = new Map<number, Again>();
  readonly #bytes: UnitBytes;
  // The range that the last started unit was in, and the position of its first unit in the payload.
  #range = 0;
  #base = 0;

  constructor(work: Work, bytes: UnitBytes, counters: StepCounters, steps: readonly StepManifest[] = []) {
    this.epic = work.epic;
    this.effects = work.effects ?? work.epic;
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
    this.control = work.control;
    this.#bytes = bytes;
    this.#steps = steps;
    let states = countOf(work.units);
    for (const { unit, attempt, step, state } of work.again ?? []) {
      this.#again.set(unit, { attempt, step, state: state ? states++ : undefined });
    }
  }

  /** Starts the lowest pending unit. */
  start(): Run | undefined {
    const unit = this.pending.first;
    if (unit === undefined) return undefined;
    this.pending.remove(unit, unit + 1);
    const run = new Run(this, unit, this.#bytes, this.#positionOf(unit));
    const again = this.#again.get(unit);
    if (again) this.#resume(run, again);
    return run;
  }

  /** Has a unit go on where it was when its last holder told of it. */
  #resume(run: Run, { attempt, step, state: position }: Again): void {
    const kept = position === undefined ? undefined : this.#bytes.at(position);
    const state = kept && decodeState(kept);
    run.attempts = attemptsWith(state?.attempts ?? NO_ATTEMPTS, step, attempt);
    if (state && state.step > 0) run.state = { index: state.step, input: state.input };
    if (kept && state) run.kept = { step: state.step, bytes: kept };
    run.isUnreadable = kept !== undefined && state === undefined;
  }

  /** Whether a step from number `from` on, and before number `to`, has an at-most-once effect. */
  hasEffectOnce(from: number, to: number): boolean {
    return this.#steps.slice(from, to).some(({ effect }) => effect === 'at-most-once');
  }

  stepName(index: number): string {
    return this.#steps[index]?.name ?? '';
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
