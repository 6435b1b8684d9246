/**
 * Outcomes of one grant's units on their way to the master: `fresh` ones are not yet reported, `sent`
 * ones not yet told settled. What is reported is kept until the master says Settled.
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import { FAULT_MESSAGE_CHARS_MAX, RANGES_MAX } from '../../shared/core/limits.ts';
import type { GrantReport, Ranges, UnitFault, UnitLater } from '../../shared/protocol/messages.ts';

/** How a run of a unit ended on this worker. */
export type Outcome =
  | { kind: 'ok' }
  | { kind: 'skipped' }
  | { kind: 'failed'; code: string; message: string; step: string; attempt: number }
  | { kind: 'unknown'; code: string; message: string; step: string; attempt: number }
  /** To be run again as `attempt` of step number `step`; its begun effect, if any, certainly did not happen. */
  | { kind: 'retry'; step: number; attempt: number; delayMs: number; code: string };

/** Faults and delays listed in one message, and numbers in its ranges; more go into the next. */
export const LISTED_MAX = 128;
export const NUMBERS_MAX = RANGES_MAX;

export class Outcomes {
  readonly ok = new IntervalSet();
  readonly skipped = new IntervalSet();
  readonly back = new IntervalSet();
  readonly cleared = new IntervalSet();
  failed: UnitFault[] = [];
  unknown: UnitFault[] = [];
  later: UnitLater[] = [];

  get count(): number {
    const listed = this.failed.length + this.unknown.length + this.later.length;
    return this.ok.count + this.skipped.count + this.back.count + this.cleared.count + listed;
  }

  fail(kind: 'failed' | 'unknown', fault: UnitFault): void {
    this[kind].push({ ...fault, message: plain(fault.message) });
  }

  addAll(other: Outcomes): void {
    this.ok.addAll(other.ok.ranges());
    this.skipped.addAll(other.skipped.ranges());
    this.back.addAll(other.back.ranges());
    this.failed.push(...other.failed);
    this.unknown.push(...other.unknown);
    this.later.push(...other.later);
  }

  /** Forgets units: the master has them. */
  forget(units: Ranges): void {
    this.ok.removeAll(units);
    this.skipped.removeAll(units);
    this.back.removeAll(units);
    if (this.failed.length + this.unknown.length + this.later.length === 0) return;
    const gone = IntervalSet.of(units);
    const kept = (item: { unit: number }): boolean => !gone.has(item.unit);
    this.failed = this.failed.filter(kept);
    this.unknown = this.unknown.filter(kept);
    this.later = this.later.filter(kept);
  }

  /** Takes out what fits into one report with at most `room` listed units and `numbers` numbers in ranges. */
  take(room: number, numbers: number): Outcomes {
    let left = numbers;
    const part = new Outcomes();
    part.failed = this.failed.splice(0, room);
    part.unknown = this.unknown.splice(0, room - part.failed.length);
    part.later = this.later.splice(0, room - part.failed.length - part.unknown.length);
    for (const name of ['ok', 'skipped', 'back', 'cleared'] as const) {
      const ranges = this[name].ranges();
      const fits = ranges.length <= left ? ranges : ranges.slice(0, left & ~1);
      left -= fits.length;
      part[name].addAll(fits);
      if (fits.length === ranges.length) this[name].clear();
      else this[name].removeAll(fits);
    }
    return part;
  }

  get listed(): number {
    return this.failed.length + this.unknown.length + this.later.length;
  }

  /** Numbers in its ranges. */
  get numbers(): number {
    const { ok, skipped, back, cleared } = this;
    return 2 * (ok.intervalCount + skipped.intervalCount + back.intervalCount + cleared.intervalCount);
  }

  report(token: { epic: string; term: number; n: number }): GrantReport {
    const { epic, term, n } = token;
    const report: GrantReport = { epic, term, n };
    if (!this.ok.isEmpty) report.ok = this.ok.ranges();
    if (!this.skipped.isEmpty) report.skipped = this.skipped.ranges();
    if (!this.back.isEmpty) report.back = this.back.ranges();
    if (!this.cleared.isEmpty) report.cleared = this.cleared.ranges();
    if (this.failed.length > 0) report.failed = this.failed;
    if (this.unknown.length > 0) report.unknown = this.unknown;
    if (this.later.length > 0) report.later = this.later;
    return report;
  }
}

/** A message that fits on a line and in a report: control characters would grow sixfold in JSON. */
function plain(message: string): string {
  return message.slice(0, FAULT_MESSAGE_CHARS_MAX).replace(/[\p{Cc}\p{Cs}]+/gu, ' ');
}
