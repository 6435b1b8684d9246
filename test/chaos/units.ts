/**
 * What the records that became durable say of each unit of an epic, folded by other code than the product's own.
 * Its findings carry the numbers of the checker's rules (`checker.ts`).
 */
import type { EpicRecord, EpicRecordOf, Outcome, Token } from '../../master/core/records.ts';
import { numbers } from '../processes/journal.ts';
import type { Kept } from './kept.ts';

/** What the records say of each unit (H1, H7). */
export class Units {
  readonly outcomes = new Map<number, Outcome>();
  readonly begun = new Set<number>();
  readonly faults: string[] = [];
  resolved = 0;
  #horizon = 0;
  #term = 0;
  #boots = 0;
  /** Tokens of begun units, and of those that became unknown. */
  readonly #by = new Map<number, string>();
  readonly #unknownBy = new Map<number, string>();

  constructor(kept: readonly Kept[], epic: string) {
    for (const { term, record } of kept) {
      if (term < this.#term) this.faults.push(`H7: a record of term ${term} after one of ${this.#term}`);
      if (term !== this.#term) this.#boots += 1;
      this.#term = term;
      if (record.epic === epic) this.#take(record);
    }
  }

  /** Masters that wrote something. */
  get boots(): number {
    return this.#boots;
  }

  count(outcome: Outcome): number {
    let sum = 0;
    for (const is of this.outcomes.values()) if (is === outcome) sum += 1;
    return sum;
  }

  #take(record: EpicRecord): void {
    if (record.k === 'horizon') {
      if (record.to < this.#horizon) this.faults.push(`H7: the horizon went back to ${record.to}`);
      this.#horizon = Math.max(this.#horizon, record.to);
    } else if (record.k === 'begun') this.#begin(record);
    else if (record.k === 'lease-expired') for (const unit of numbers(record.unknown)) this.#doubt(unit);
    else if (record.k === 'resolved') this.#resolve(record);
    else if (record.k === 'settled') this.#settled(record);
    if ('by' in record && record.by && record.by.term > this.#term)
      this.faults.push(`H7: a token of term ${record.by.term} in term ${this.#term}`);
  }

  #begin(record: EpicRecordOf<'begun'>): void {
    for (const unit of numbers(record.units)) {
      if (this.outcomes.has(unit))
        this.faults.push(`H1: unit ${unit} begins, and is ${this.outcomes.get(unit)}`);
      this.#within(unit);
      this.begun.add(unit);
      this.#by.set(unit, tokenOf(record.by));
    }
  }

  #settled(record: EpicRecordOf<'settled'>): void {
    for (const outcome of ['succeeded', 'skipped', 'cancelled'] as const)
      for (const unit of numbers(record[outcome] ?? [])) this.#settle(unit, outcome);
    for (const { unit, code } of record.failed ?? []) this.#settle(unit, 'failed', code);
    for (const { unit, code } of record.unknown ?? []) {
      this.#settle(unit, 'unknown', code);
      const by = this.#by.get(unit) ?? (record.by && tokenOf(record.by));
      if (by !== undefined) this.#unknownBy.set(unit, by);
    }
  }

  #doubt(unit: number): void {
    this.#settle(unit, 'unknown', 'lease_expired');
    const by = this.#by.get(unit);
    if (by === undefined) this.faults.push(`unit ${unit} is in doubt, but had not begun`);
    else this.#unknownBy.set(unit, by);
  }

  #settle(unit: number, outcome: Outcome, code = 'none'): void {
    const before = this.outcomes.get(unit);
    if (before !== undefined) this.faults.push(`H1: unit ${unit} is ${before}, then ${outcome}`);
    if (code === '') this.faults.push(`H3: unit ${unit} is ${outcome} without a reason`);
    this.#within(unit);
    this.outcomes.set(unit, outcome);
  }

  #resolve(record: EpicRecordOf<'resolved'>): void {
    const change = (unit: number, outcome: Outcome): void => {
      const before = this.outcomes.get(unit);
      if (before !== 'unknown') this.faults.push(`H1: unit ${unit} is resolved, and was ${before}`);
      if (this.#unknownBy.get(unit) !== tokenOf(record.by))
        this.faults.push(`H1: unit ${unit} is resolved by ${tokenOf(record.by)}, which did not begin it`);
      this.outcomes.set(unit, outcome);
      this.resolved += 1;
    };
    for (const unit of numbers(record.succeeded ?? [])) change(unit, 'succeeded');
    for (const { unit } of record.failed ?? []) change(unit, 'failed');
  }

  #within(unit: number): void {
    if (unit >= this.#horizon) this.faults.push(`H7: unit ${unit} ran beyond the horizon ${this.#horizon}`);
  }
}

function tokenOf({ session, term, n }: Token): string {
  return `${session} ${term}.${n}`;
}
