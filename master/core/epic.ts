/**
 * An epic's durable state: what a replay of its records gives. Owns the arithmetic and who began
 * what; does not own grants, sessions or bytes (they are volatile, see `live.ts`).
 *
 * States: running → finished | failed | cancelled. `closing` is set while one that is cancelled or past its
 * deadline waits for units whose effect may have begun; `paused` while nothing of it is granted.
 *
 * E1: read = succeeded + failed + unknown + skipped + cancelled + missing + outstanding (G1).
 * E2: a settled unit is never settled again; only `resolved` may change an `unknown` one, once (G5).
 * E3: only `apply` changes anything here.
 * E4: a parked unit is passed like a settled one, so that neither the cursor nor memory waits for it (G6), and
 *     is outstanding all the same. The store has its bytes.
 */
import { assert, unreachable } from '../../shared/core/errors.ts';
import { countOf, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { ScatteredSet } from '../../shared/core/scatteredSet.ts';
import type { Totals } from '../../shared/protocol/api.ts';
import type { Ranges, WorkManifest } from '../../shared/protocol/messages.ts';
import { restore } from './epicCheckpoint.ts';
import { extentAt } from './extents.ts';
import { countFault, uncountFault } from './faultCounts.ts';
import { GatherState } from './gatherState.ts';
import {
  type EndsAsked,
  type EpicCheckpoint,
  type EpicRecord,
  type EpicRecordOf,
  type Extent,
  type LedgerState,
  lostFault,
  type Outcome,
  type RecordedFault,
  type Resume,
  type RetryOf,
  type Token,
} from './records.ts';
import type { SourceSpec } from './source.ts';
import { Stages } from './stages.ts';

export class Epic {
  readonly id: string;
  readonly name: string;
  readonly work: string;
  /** Of a gather only known once it is scattered. */
  source: SourceSpec;
  readonly brief: string;
  readonly submittedWallMs: number;
  readonly retryOf: RetryOf | undefined;
  /** Where another epic's units are tried again, which of them; all others of its source are absent. */
  readonly only: IntervalSet | undefined;

  /** What a gather has beyond every epic. */
  gather: GatherState | undefined;
  /** What the submit of one that is no gather said of its end (`ending.ts`). */
  readonly ends: EndsAsked | undefined;
  /** Nobody is to be told of its end any more. */
  delivered = false;

  state: LedgerState = 'running';
  manifest: WorkManifest | undefined;
  /** Units of the source that were looked at; `absent` ones of them are none of this epic's. */
  read = 0;
  absent = 0;
  /** Where the next read of the source begins. */
  offset: number;
  /** After which a named source goes on, as JSON; undefined before its first unit. */
  cursor: string | undefined;
  drained = false;
  closing: string | undefined;
  /** What becomes of units without an outcome while it closes. */
  closingAs: 'cancelled' | 'missing' = 'cancelled';
  /** Why it failed. */
  fault: { code: string; message: string } | undefined;
  /** Why it is paused. */
  paused: string | undefined;
  finishedWallMs: number | undefined;
  /** Settled, parked (E4) or absent. */
  readonly passed = new IntervalSet();
  /** Which of them are parked. */
  readonly parked = new ScatteredSet();
  /** Where units were read, from the first unsettled one on. Forgotten once they and all before are settled. */
  readonly extents: Extent[] = [];
  readonly counts: Record<Outcome, number> = {
    succeeded: 0,
    failed: 0,
    unknown: 0,
    skipped: 0,
    cancelled: 0,
    missing: 0,
  };
  /** Failed and unknown units by code (`faultCounts.ts`). */
  readonly faults = new Map<string, number>();
  /** Units whose at-most-once effect has begun, and under which token. */
  readonly begun = new Map<number, Token>();
  /** Units neither settled nor parked that have run before. */
  readonly resume = new Map<number, Resume>();
  /** At which step outstanding units go on. */
  readonly stages = new Stages();
  /** Unknown units and the token that may still resolve them. */
  readonly unknownBy = new Map<number, { by: Token; code: string }>();

  constructor(record: EpicRecordOf<'epic-submitted'> | EpicCheckpoint) {
    this.id = record.epic;
    this.name = record.name;
    this.work = record.work;
    this.source = record.source;
    this.brief = record.brief;
    this.submittedWallMs = record.wallMs;
    this.retryOf = record.retryOf;
    this.ends = record.ends;
    this.only = record.retryOf && IntervalSet.of(record.retryOf.only);
    this.offset = record.source.type === 'spool' ? record.source.body : 0;
    if (record.k === 'epic-checkpoint') restore(this, record);
    else if (record.gather) this.gather = new GatherState(record.gather, record.wallMs);
  }

  get outstanding(): number {
    return this.read - this.passed.count + this.parked.count;
  }

  get settledCount(): number {
    return this.passed.count - this.parked.count - this.absent;
  }

  get active(): boolean {
    return this.state === 'running';
  }

  /** Whether no effect begins without asking. */
  get asksFirst(): boolean {
    return this.manifest?.steps.every((step) => step.effect !== 'at-least-once') ?? true;
  }

  /** Whether every step may be run any number of times, so that a granted unit can be given up at once. */
  get effectFree(): boolean {
    return this.manifest?.steps.every((step) => step.effect === 'none') ?? true;
  }

  /** Outstanding units by the step that they go on at; undefined while its steps are not known. */
  states(): Record<string, number> | undefined {
    const steps = this.manifest?.steps;
    const counts = steps && this.stages.counts(steps.length, this.outstanding);
    return steps && Object.fromEntries(steps.map(({ name }, i) => [name, counts?.[i] ?? 0]));
  }

  totals(): Totals {
    return { read: this.read - this.absent, ...this.counts, outstanding: this.outstanding };
  }

  /** Which of these units have no outcome yet: those that wait in the store, too. */
  unsettledAmong(units: Ranges): Ranges {
    const unsettled = this.passed.missingFrom(units);
    if (this.parked.isEmpty) return unsettled;
    const all = IntervalSet.of(unsettled);
    all.addAll(this.parked.intersect(units));
    return all.ranges();
  }

  /** Which of these units the store has the bytes of. */
  storedAmong(units: Ranges): Ranges {
    if (this.resume.size === 0) return [];
    const stored = new IntervalSet();
    eachOf(units, (unit) => {
      if (this.resume.get(unit)?.stored) stored.add(unit, unit + 1);
    });
    return stored.ranges();
  }

  /** Index of the step of this name; undefined where no step had begun. */
  stepIndexOf(name: string): number | undefined {
    const index = this.manifest?.steps.findIndex((step) => step.name === name) ?? -1;
    return index >= 0 ? index : undefined;
  }

  apply(record: EpicRecord): void {
    switch (record.k) {
      case 'epic-submitted':
      case 'epic-checkpoint':
        return assert(false, `epic ${this.id} submitted twice`);
      case 'settings-frozen':
        this.manifest = record.manifest;
        return this.gather?.freeze(record.manifest.gather);
      case 'scattered':
        return this.#scattered(record);
      case 'folding':
      case 'folded':
      case 'late':
        return this.#gathered(record);
      case 'delivered':
        this.delivered = true;
        return;
      case 'horizon':
        assert(record.to >= this.read && !this.drained, `horizon of ${this.id} moved back to ${record.to}`);
        return this.#advance(record);
      case 'source-failed':
        this.drained = true;
        this.fault = record.fault;
        return;
      case 'settled':
        return this.#settle(record);
      case 'resolved':
        return this.#resolve(record);
      case 'begun':
        return eachOf(record.units, (unit) => void this.begun.set(unit, record.by));
      case 'cleared':
        return eachOf(record.units, (unit) => void this.begun.delete(unit));
      case 'parked':
        return this.#park(record);
      case 'unparked':
        return this.#unpark(record);
      case 'saved':
        return this.#save(record);
      case 'parked-cancelled':
        return this.#giveUpParked();
      case 'paused':
      case 'resumed':
        this.paused = record.k === 'paused' ? record.reason : undefined;
        return;
      case 'purged':
        return assert(false, `epic ${this.id} is purged by its ledger`);
      case 'lease-expired':
        return this.#expire(record);
      case 'closing':
        this.closing = record.reason;
        this.closingAs = record.as ?? 'cancelled';
        return;
      case 'epic-finished':
        return this.#finish(record);
      default:
        return unreachable(record);
    }
  }

  #scattered({ source, items, to }: EpicRecordOf<'scattered'>): void {
    this.source = source;
    this.offset = source.type === 'spool' ? source.body : 0;
    this.drained = items === 0;
    this.gather?.scattered(items, to);
  }

  #gathered(record: EpicRecordOf<'folding' | 'folded' | 'late'>): void {
    const { gather } = this;
    assert(gather, `epic ${this.id} is no gather`);
    if (record.k === 'folding') gather.phase = 'fold';
    else if (record.k === 'folded') gather.result = { bytes: record.bytes, hash: record.hash };
    else gather.late.addAll(record.units);
  }

  #giveUpParked(): void {
    this.counts[this.closingAs] += this.parked.count;
    if (this.closingAs === 'missing') this.gather?.missing.addAll(this.parked.ranges());
    this.stages.leave(this.parked.ranges());
    this.parked.clear();
  }

  #advance({ to, offset, end, absent, cursor }: EpicRecordOf<'horizon'>): void {
    if (to > this.read) this.extents.push({ first: this.read, end: to, offset: this.offset, next: offset });
    this.read = to;
    this.offset = offset;
    if (cursor !== undefined) this.cursor = cursor;
    this.drained = end;
    if (!absent) return;
    this.absent += this.passed.addAll(absent);
    this.#prune();
  }

  /** The stretch that a unit below `read` was read in; undefined once it and all before it are settled. */
  extentOf(unit: number): Extent | undefined {
    return extentAt(this.extents, unit);
  }

  #settle(record: EpicRecordOf<'settled'>): void {
    this.#count('succeeded', record.succeeded);
    this.#count('skipped', record.skipped);
    this.#count('cancelled', record.cancelled);
    this.#count('missing', record.missing);
    if (record.missing) this.gather?.missing.addAll(record.missing);
    for (const fault of record.failed ?? []) this.#fault('failed', fault);
    for (const fault of record.unknown ?? []) {
      // What its own worker reports as unknown is its last word; only what was taken from it may be resolved.
      const by = record.by ? undefined : this.begun.get(fault.unit);
      const code = this.#fault('unknown', fault);
      if (by) this.unknownBy.set(fault.unit, { by, code });
    }
  }

  #count(outcome: Outcome, units: Ranges | undefined): void {
    if (!units || units.length === 0) return;
    const added = this.passed.addAll(units);
    assert(added === countOf(units), `epic ${this.id} settles units twice: ${outcome}`, units); // E2
    this.counts[outcome] += added;
    this.stages.leave(units);
    this.#forget(units);
    this.#prune();
  }

  #prune(): void {
    const low = this.passed.firstGap(this.extents[0]?.first ?? 0);
    while (this.extents[0] && this.extents[0].end <= low) this.extents.shift();
  }

  /** Returns the code that it is counted under. */
  #fault(outcome: 'failed' | 'unknown', fault: Pick<RecordedFault, 'unit' | 'code'>): string {
    this.#count(outcome, [fault.unit, fault.unit + 1]);
    return countFault(this.faults, fault.code);
  }

  #forget(units: Ranges): void {
    if (this.begun.size === 0 && this.resume.size === 0) return;
    eachOf(units, (unit) => {
      this.begun.delete(unit);
      this.resume.delete(unit);
    });
  }

  #resolve(record: EpicRecordOf<'resolved'>): void {
    eachOf(record.succeeded ?? [], (unit) => {
      this.#unfault(unit);
      this.counts.succeeded += 1;
    });
    for (const fault of record.failed ?? []) {
      this.#unfault(fault.unit);
      this.counts.failed += 1;
      countFault(this.faults, fault.code);
    }
  }

  #unfault(unit: number): void {
    const unknown = this.unknownBy.get(unit);
    assert(unknown, `epic ${this.id} resolves unit ${unit}, which is not unknown`); // E2
    this.unknownBy.delete(unit);
    this.counts.unknown -= 1;
    uncountFault(this.faults, unknown.code);
  }

  #park(record: EpicRecordOf<'parked'>): void {
    const units = new IntervalSet();
    for (const { unit, step } of record.units) {
      this.begun.delete(unit);
      this.resume.delete(unit);
      this.stages.move(unit, step);
      units.add(unit, unit + 1);
    }
    const added = this.passed.addAll(units.ranges());
    assert(added === record.units.length, `epic ${this.id} parks units that are settled or parked`); // E2
    this.parked.addAll(units.ranges());
    this.#prune();
  }

  /** What comes before the state has happened, with its effects: a unit that is lost now goes on after them. */
  #save(record: EpicRecordOf<'saved'>): void {
    for (const { unit, step } of record.units) {
      this.begun.delete(unit);
      this.resume.set(unit, { attempt: 1, step, stored: true });
      this.stages.move(unit, step);
    }
  }

  #unpark({ units, resume }: EpicRecordOf<'unparked'>): void {
    this.passed.removeAll(units);
    const removed = this.parked.removeAll(units);
    assert(removed === countOf(units), `epic ${this.id} unparks what is not parked`, units);
    for (let i = 0; i + 2 < resume.length; i += 3) {
      const [unit, attempt, step] = resume.slice(i, i + 3) as [number, number, number];
      this.resume.set(unit, { attempt, step, stored: true });
      this.stages.move(unit, step);
    }
  }

  #expire(record: EpicRecordOf<'lease-expired'>): void {
    eachOf(record.again, (unit) => {
      const before = this.resume.get(unit);
      this.resume.set(unit, {
        ...before,
        attempt: (before?.attempt ?? 1) + 1,
        step: before?.step ?? 0,
      });
    });
    eachOf(record.unknown, (unit) => {
      const by = this.begun.get(unit);
      const code = this.#fault('unknown', lostFault(unit, record.session));
      if (by) this.unknownBy.set(unit, { by, code });
    });
  }

  #finish(record: EpicRecordOf<'epic-finished'>): void {
    assert(
      this.drained && this.outstanding === 0,
      `epic ${this.id} finishes with ${this.outstanding} outstanding`,
    );
    this.state = record.outcome;
    this.fault = record.fault;
    this.finishedWallMs = record.wallMs;
    this.unknownBy.clear();
    this.begun.clear();
    this.resume.clear();
  }
}
