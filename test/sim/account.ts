/**
 * The account of one epic: its records added up anew, without the core's code. One account follows what is
 * decided, another what is durable.
 *
 * A1: a unit has one outcome at most, which changes only from unknown, once, by the token that began it (G5).
 * A2: only units that have been read have an outcome; nothing is read backwards or after the end.
 * A3: an epic finishes only when its source is drained and every unit read has its outcome (G1).
 * A4: only an epic that is over is forgotten, and nothing of it is recorded afterwards.
 */
import type { EpicRecord, EpicRecordOf, Outcome, UnitData } from '../../master/core/records.ts';
import { unreachable } from '../../shared/core/errors.ts';
import { Broken, each, tokenOf } from './story.ts';

export type Counts = Record<Outcome, number>;

export class Account {
  readonly epic: string;
  read = 0;
  /** Units of its source that are none of its own. */
  readonly absent = new Set<number>();
  isPurged = false;
  isDrained = false;
  /** Its source gave up for good. */
  hasSourceFailed = false;
  /** Its work is known. */
  isFrozen = false;
  isClosing = false;
  /** What becomes of units without an outcome while it closes. */
  closingAs: 'cancelled' | 'missing' = 'cancelled';
  /** Of a gather: its units are known; its answers are frozen; how many units it has. */
  items: number | undefined;
  isFolding = false;
  /** What each unit of a gather answered. */
  readonly answers = new Map<number, string>();
  state: 'running' | 'finished' | 'failed' | 'cancelled' = 'running';
  readonly outcomes = new Map<number, Outcome>();
  readonly counts: Counts = { succeeded: 0, failed: 0, unknown: 0, skipped: 0, cancelled: 0, missing: 0 };
  /** Units whose effect a token began, and nobody said that it did not happen. */
  readonly begun = new Map<number, string>();
  /** Unit and token of all that ever began. */
  readonly everBegun = new Set<string>();
  /** How a unit that ran before is to go on. */
  readonly resume = new Map<number, { attempt: number; step: number; dueWallMs: number }>();
  readonly parked = new Set<number>();
  /** The step that the state which is kept of a unit begins with. */
  readonly states = new Map<number, number>();
  /** Nothing of it is to be granted. */
  isPaused = false;
  /** How often each unit was taken from whoever ran it: by a lapsed lease or for a later try. */
  readonly released = new Map<number, number>();
  /** Unknown units and the token that may yet say how they ended. */
  readonly #takenFrom = new Map<number, string>();

  constructor(epic: string) {
    this.epic = epic;
  }

  /** Units that are or were its own to run. */
  get own(): number {
    return this.read - this.absent.size;
  }

  apply(record: EpicRecord): void {
    if (this.isPurged) throw new Broken('A4', this.epic, undefined, `is forgotten, and ${record.k} follows`);
    switch (record.k) {
      case 'epic-submitted':
        return;
      case 'settings-frozen':
        this.isFrozen = true;
        return;
      case 'epic-checkpoint':
        throw new Broken('A2', this.epic, undefined, 'wrote a checkpoint as a record');
      case 'horizon':
        return this.#horizon(record);
      case 'settled':
        return this.#settled(record);
      case 'resolved':
        return this.#resolved(record);
      case 'begun':
        return each(record.units, (unit) => this.#begin(unit, tokenOf(record.by)));
      case 'cleared':
        return each(record.units, (unit) => void this.begun.delete(unit));
      case 'parked':
        return this.#parked(record);
      case 'unparked':
        return each(record.units, (unit) => this.#unparked(unit));
      case 'parked-cancelled':
        for (const unit of this.parked) this.#end(unit, this.closingAs);
        this.parked.clear();
        return;
      case 'saved':
        return this.#saved(record);
      case 'scattered':
        this.items = record.items;
        this.isDrained = record.items === 0;
        return;
      case 'source-failed':
        this.isDrained = true;
        this.hasSourceFailed = true;
        return;
      case 'folding':
        this.isFolding = true;
        return;
      case 'folded':
      case 'late':
      case 'delivered':
        return;
      case 'purged':
        if (this.state === 'running')
          throw new Broken('A4', this.epic, undefined, 'is forgotten and not over');
        this.isPurged = true;
        return;
      case 'paused':
      case 'resumed':
        this.isPaused = record.k === 'paused';
        return;
      case 'lease-expired':
        return this.#expired(record);
      case 'closing':
        this.isClosing = true;
        this.closingAs = record.as ?? 'cancelled';
        return;
      case 'epic-finished':
        return this.#finished(record);
      default:
        return unreachable(record);
    }
  }

  #horizon({ to, end, absent }: EpicRecordOf<'horizon'>): void {
    if (to < this.read || this.isDrained) {
      throw new Broken('A2', this.epic, undefined, `is read to ${to} after ${this.read}`);
    }
    this.read = to;
    this.isDrained = end;
    each(absent, (unit) => this.absent.add(unit));
  }

  #settled(record: EpicRecordOf<'settled'>): void {
    each(record.succeeded, (unit) => this.#end(unit, 'succeeded'));
    each(record.skipped, (unit) => this.#end(unit, 'skipped'));
    each(record.cancelled, (unit) => this.#end(unit, 'cancelled'));
    each(record.missing, (unit) => this.#end(unit, 'missing'));
    this.#answered(record);
    for (const { unit } of record.failed ?? []) this.#end(unit, 'failed');
    for (const { unit } of record.unknown ?? []) {
      this.#end(unit, 'unknown');
      // What its own worker calls unknown is its last word.
      const by = record.by === undefined ? this.begun.get(unit) : undefined;
      if (by !== undefined) this.#takenFrom.set(unit, by);
    }
  }

  #answered({ answered = [] }: Pick<EpicRecordOf<'settled'>, 'answered'>): void {
    for (const { unit, data } of answered) this.answers.set(unit, new TextDecoder().decode(data.bytes));
  }

  #resolved(record: EpicRecordOf<'resolved'>): void {
    const by = tokenOf(record.by);
    const change = (unit: number, outcome: Outcome): void => {
      if (this.outcomes.get(unit) !== 'unknown' || this.#takenFrom.get(unit) !== by) {
        throw new Broken('A1', this.epic, unit, `is resolved by ${by}, which may not`);
      }
      this.#takenFrom.delete(unit);
      this.counts.unknown -= 1;
      this.counts[outcome] += 1;
      this.outcomes.set(unit, outcome);
    };
    each(record.succeeded, (unit) => change(unit, 'succeeded'));
    this.#answered(record);
    for (const { unit } of record.failed ?? []) change(unit, 'failed');
  }

  #end(unit: number, outcome: Outcome): void {
    const before = this.outcomes.get(unit);
    if (before !== undefined) {
      throw new Broken('A1', this.epic, unit, `becomes ${outcome} and was ${before}`);
    }
    if (this.absent.has(unit)) throw new Broken('A2', this.epic, unit, `is ${outcome} and none of its own`);
    if (unit >= this.read) throw new Broken('A2', this.epic, unit, `is ${outcome} and was never read`);
    this.outcomes.set(unit, outcome);
    this.counts[outcome] += 1;
  }

  /** Those that bring nothing come back to the store from whoever was to have them. */
  #parked({ units }: EpicRecordOf<'parked'>): void {
    for (const { unit, attempt, step, dueWallMs, data } of units) {
      if (this.parked.has(unit)) throw new Broken('A1', this.epic, unit, 'is parked twice');
      this.parked.add(unit);
      this.begun.delete(unit);
      this.resume.set(unit, { attempt, step, dueWallMs });
      if (data) this.#release(unit);
      this.#keep(unit, data);
    }
  }

  #begin(unit: number, token: string): void {
    this.begun.set(unit, token);
    this.everBegun.add(`${unit} ${token}`);
  }

  /** What comes before a state has happened, and is in doubt no more. */
  #saved({ units }: EpicRecordOf<'saved'>): void {
    for (const { unit, step, data } of units) {
      this.resume.set(unit, { attempt: 1, step, dueWallMs: 0 });
      this.begun.delete(unit);
      this.#keep(unit, data);
    }
  }

  #keep(unit: number, data: UnitData | undefined): void {
    if (!data) return;
    const { step } = data.state ? (JSON.parse(new TextDecoder().decode(data.state)) as { step: number }) : {};
    if (step === undefined || step === 0) this.states.delete(unit);
    else this.states.set(unit, step);
  }

  #unparked(unit: number): void {
    if (!this.parked.delete(unit)) throw new Broken('A1', this.epic, unit, 'is unparked and was not parked');
  }

  #expired({ again, unknown, unclaimed }: EpicRecordOf<'lease-expired'>): void {
    each(again, (unit) => {
      const { attempt = 1, step = 0 } = this.resume.get(unit) ?? {};
      this.resume.set(unit, { attempt: attempt + 1, step, dueWallMs: 0 });
      this.#release(unit);
    });
    each(unclaimed, (unit) => this.#release(unit));
    each(unknown, (unit) => {
      const by = this.begun.get(unit);
      if (by === undefined) throw new Broken('G4', this.epic, unit, 'is unknown and was never begun');
      this.#release(unit);
      this.#end(unit, 'unknown');
      this.#takenFrom.set(unit, by);
    });
  }

  #release(unit: number): void {
    this.released.set(unit, (this.released.get(unit) ?? 0) + 1);
  }

  #finished({ outcome }: EpicRecordOf<'epic-finished'>): void {
    const left = this.own - this.outcomes.size;
    if (!this.isDrained || left > 0) {
      const what = `finishes with ${left} outstanding and is ${this.isDrained ? '' : 'not '}drained`;
      throw new Broken('A3', this.epic, undefined, what);
    }
    if (this.hasSourceFailed && !this.isClosing && outcome !== 'failed')
      throw new Broken('A3', this.epic, undefined, `is ${outcome} though its source failed`);
    this.state = outcome;
  }
}
