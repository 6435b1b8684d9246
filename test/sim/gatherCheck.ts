/**
 * One gather, followed from messages and records alone (G7).
 *
 * F1: its units are what the newest scatter gave, all of it and in order, and nothing else.
 * F2: a unit for one responder goes to no other.
 * F3: intake ends at the deadline, or with enough answers, also after a crash.
 * F4: a unit that succeeded while answers were taken has its own answer recorded, once; a fold is given exactly
 *     these and is told exactly what is missing; its value is what the newest fold made of them.
 * F5: a late answer is counted once, of a unit that is missing, or unknown while it is folded, and changes nothing else.
 * F6: it finishes only with the answers that it needs, and fails for want of them only without.
 */
import type { EpicRecord, EpicRecordOf } from '../../master/core/records.ts';
import type { Part, Ranges, Work } from '../../shared/protocol/messages.ts';
import type { Account } from './account.ts';
import type { Told } from './controls.ts';
import { answerOf, hashOf, itemOf, type PlannedGather, valueOf } from './gatherPlan.ts';
import { Broken, each, tokenOf } from './story.ts';
import { gatherOf } from './works.ts';

/** Until a worker was there, nobody knows what its work says. */
const UNKNOWN_WORK_DEADLINE_MS = 120_000;

export type GatherParts = {
  epic: string;
  work: string;
  planned: PlannedGather;
  submittedWallMs: number;
  decided: () => Account;
  durable: () => Account;
  /** What a scatter gave, by the id of its source. */
  unitsOf: (source: EpicRecordOf<'scattered'>['source']) => readonly string[];
};

export class GatherCheck {
  readonly #parts: GatherParts;
  /** The token of the newest control grant. */
  #newest: string | undefined;
  /** Tokens whose last part the master has heard. */
  readonly #ended = new Set<string>();
  /** Who each unit is for; '' is anybody. */
  #to: ReadonlyMap<number, string> | undefined;
  readonly #late = new Set<number>();

  constructor(parts: GatherParts) {
    this.#parts = parts;
  }

  /** Another master: it knows no control grant of the one before. Records say the rest again. */
  recover(): void {
    this.#newest = undefined;
    this.#late.clear();
  }

  /** The master hears a part of what a scatter or a fold gives. */
  heard(session: string, { term, n, last }: Part): void {
    if (last) this.#ended.add(tokenOf({ session, term, n }));
  }

  /** A control grant is sent. `input` is what it is given. */
  control(session: string, { term, n, control }: Work, input: string, wallMs: number): void {
    const { isFolding, items, isClosing, isPaused, counts } = this.#parts.decided();
    this.#newest = tokenOf({ session, term, n });
    // No pause holds up the fold of what its deadline has closed, or that has passed it.
    const isPastDeadline = isFolding && this.#lateMs(wallMs) >= 0;
    if (isPaused && !isClosing && !isPastDeadline)
      this.#broken('H7', undefined, `has its ${control} granted while it is paused`);
    if (control === 'scatter') {
      if (items === undefined && !isClosing) return;
      this.#broken('F1', undefined, `is scattered again by ${this.#newest}`);
    }
    if (!isFolding) this.#broken('F4', undefined, `is folded by ${this.#newest} while answers are taken`);
    const { failed, unknown } = counts;
    const standing = { failed, unknown, items };
    if (input === JSON.stringify(standing)) return;
    this.#broken('F4', undefined, `is folded with ${input} and is ${JSON.stringify(standing)}`);
  }

  /** Units are granted to a responder. */
  granted(name: string, units: Ranges): void {
    each(units, (unit) => {
      const to = this.#to?.get(unit) ?? '';
      if (to !== '' && to !== name) this.#broken('F2', unit, `is for ${to} and goes to ${name}`);
    });
  }

  /** A record, after the account took it. `isDecided` only where it is not read again after a crash. */
  recorded(record: EpicRecord, isDecided: boolean): void {
    switch (record.k) {
      case 'scattered':
        return this.#scattered(record, isDecided);
      case 'settled':
      case 'resolved':
        return this.#settled(record);
      case 'folding':
        return this.#folding();
      case 'folded':
        return isDecided ? this.#folded(record) : undefined;
      case 'late':
        return each(record.units, (unit) => this.#tooLate(unit));
      case 'epic-finished':
        return this.#finished(record);
      default:
        return;
    }
  }

  /** F3, after a step of the master. */
  stepped(wallMs: number, isTick: boolean): void {
    const { isClosing, isFolding, state, items } = this.#parts.decided();
    if (isClosing || isFolding || state !== 'running') return;
    const { enough } = this.#asked();
    const answers = this.#answers();
    if (items !== undefined && enough !== undefined && answers >= enough) {
      this.#broken('F3', undefined, `takes more than ${answers} answers, and ${enough} are enough`);
    }
    const lateMs = this.#lateMs(wallMs);
    if (isTick && lateMs >= 0) this.#broken('F3', undefined, `takes answers ${lateMs} ms after its deadline`);
  }

  /** F4: a fold has been given these answers, and was told that these are missing. */
  folds(token: string, { answers, missing }: Told): void {
    const mine = valueOf([...this.#parts.durable().answers]);
    if (token !== this.#newest) return;
    const lost = this.#missing().join();
    if (missing.join() !== lost)
      this.#broken('F4', undefined, `is told of ${missing.join()} missing of ${lost}`);
    if (valueOf(answers) === mine) return;
    this.#broken('F4', undefined, `is folded of ${valueOf(answers)}, and was answered ${mine}`);
  }

  #scattered({ source, items, to }: EpicRecordOf<'scattered'>, isDecided: boolean): void {
    const units = this.#parts.unitsOf(source);
    const { planned } = this.#parts;
    const by = /"by":"([^"]+)"/.exec(units[0] ?? '')?.[1] ?? this.#newest ?? '';
    for (const [i, text] of units.entries()) {
      if (text !== itemOf(by, i)) this.#broken('F1', i, `is «${text}», not of ${by} or not in order`);
    }
    const isAll = planned.labels !== undefined || units.length === planned.items;
    const hasEnded = this.#ended.has(by) || (by === '' && !isDecided);
    if (!isAll || items !== units.length || !hasEnded) {
      this.#broken('F1', undefined, `has ${items} units of ${planned.items}, ${units.length} in its spool`);
    }
    if (isDecided && by !== this.#newest) {
      this.#broken('F1', undefined, `takes what ${by} gave, and ${this.#newest} was to scatter it`);
    }
    const names = new Map<number, string>();
    for (const [name, of] of to ?? []) each(of, (unit) => names.set(unit, name));
    this.#to = names;
    for (let i = 0; i < units.length && planned.to; i++) {
      if ((names.get(i) ?? '') !== planned.to[i]) this.#broken('F2', i, `is for «${names.get(i)}»`);
    }
  }

  #settled({ k, by, succeeded, answered = [] }: EpicRecordOf<'settled' | 'resolved'>): void {
    if (k === 'resolved' && this.#parts.decided().isFolding) {
      each(succeeded, (unit) => this.#broken('F4', unit, 'succeeds after its fold was begun'));
    }
    const fresh = new Set<number>();
    each(succeeded, (unit) => fresh.add(unit));
    for (const { unit, data } of answered) {
      const text = new TextDecoder().decode(data.bytes);
      if (!fresh.delete(unit)) this.#broken('F4', unit, `answers ${text} and does not succeed with it`);
      if (!by || text !== answerOf(tokenOf(by), unit)) this.#broken('F4', unit, `answers ${text}`);
    }
    for (const unit of fresh) this.#broken('F4', unit, 'succeeds without an answer');
  }

  #folding(): void {
    const { answers, counts } = this.#parts.decided();
    if (answers.size === counts.succeeded) return;
    this.#broken('F4', undefined, `has ${counts.succeeded} that succeeded and ${answers.size} answers`);
  }

  #folded({ hash }: EpicRecordOf<'folded'>): void {
    if (this.#newest === undefined || !this.#ended.has(this.#newest)) {
      this.#broken('F4', undefined, `has a value before its fold by ${this.#newest} has ended`);
    }
    if (hash === hashOf(valueOf([...this.#parts.durable().answers]))) return;
    this.#broken('F4', undefined, 'has a value that is not of its answers');
  }

  #tooLate(unit: number): void {
    const { outcomes, isFolding } = this.#parts.decided();
    const outcome = outcomes.get(unit);
    const isLost = outcome === 'missing' || (outcome === 'unknown' && isFolding);
    if (isLost && !this.#late.has(unit)) return void this.#late.add(unit);
    this.#broken('F5', unit, `answers too late${isLost ? ' again' : ` and is ${outcome}`}`);
  }

  #finished({ outcome, fault }: EpicRecordOf<'epic-finished'>): void {
    const answers = this.#answers();
    const { quorum = 0 } = this.#asked();
    const { items } = this.#parts.decided();
    const isShort = items !== undefined && items > 0 && answers < quorum;
    const isFailedForIt = outcome === 'failed' && fault?.code === 'quorum_missed';
    if (isShort ? outcome !== 'finished' : !isFailedForIt) return;
    this.#broken('F6', undefined, `is ${outcome} with ${answers} answers of at least ${quorum}`);
  }

  /** One that declined has answered, too. */
  #answers(): number {
    const { succeeded, skipped } = this.#parts.decided().counts;
    return succeeded + skipped;
  }

  #missing(): number[] {
    const missing = [...this.#parts.decided().outcomes].filter(([, outcome]) => outcome === 'missing');
    return missing.map(([unit]) => unit).sort((a, b) => a - b);
  }

  /** What its submit asks for, or else its work, once that is known. */
  #asked(): { enough: number | undefined; quorum: number | undefined } {
    const { planned, work, decided } = this.#parts;
    const known = decided().isFrozen ? gatherOf(work) : undefined;
    const { enough = known?.enough, quorum = known?.quorum } = planned.asked;
    return { enough: enough === undefined ? undefined : Math.max(enough, quorum ?? 0), quorum };
  }

  #lateMs(wallMs: number): number {
    return wallMs - this.#parts.submittedWallMs - this.#deadlineMs();
  }

  #deadlineMs(): number {
    const { planned, work, decided } = this.#parts;
    const known = decided().isFrozen ? gatherOf(work)?.deadlineMs : undefined;
    return planned.asked.deadlineMs ?? known ?? UNKNOWN_WORK_DEADLINE_MS;
  }

  #broken(rule: string, unit: number | undefined, what: string): never {
    throw new Broken(rule, this.#parts.epic, unit, what);
  }
}
