/**
 * Outcomes of one grant's units on their way to the master: `fresh` ones are not yet reported, `sent`
 * ones not yet told settled. What is reported is kept until the master says Settled.
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import {
  FAULT_MESSAGE_CHARS_MAX,
  KEY_CHARS_MAX,
  MESSAGE_BYTES_MAX,
  RANGES_MAX,
} from '../../shared/core/limits.ts';
import { prefixed } from '../../shared/protocol/codec.ts';
import type {
  Brings,
  GrantReport,
  Ranges,
  UnitAnswer,
  UnitFault,
  UnitLater,
} from '../../shared/protocol/messages.ts';

/** How a run of a unit ended on this worker. */
export type Outcome =
  /** With an `answer`, what its last step returned: JSON. */
  | { kind: 'ok'; answer?: Uint8Array }
  | { kind: 'skipped' }
  | { kind: 'failed'; code: string; message: string; step: string; attempt: number }
  | { kind: 'unknown'; code: string; message: string; step: string; attempt: number }
  | Retry;

/** To be run again as `attempt` of step number `step`, whose begun effect, if any, certainly did not happen. */
export type Retry = { kind: 'retry'; step: number; attempt: number; delayMs: number; code: string };

/** Faults and delays listed in one message, and numbers in its ranges; more go into the next. */
export const LISTED_MAX = 128;
export const NUMBERS_MAX = RANGES_MAX;
/** Bytes of one number in a list of ranges, at most: 2^53 and a comma. */
export const NUMBER_BYTES = 17;
/** Bytes of a report's names and token, at most, and of a message's own. */
const REPORT_BYTES = 256;
const MESSAGE_OWN_BYTES = 1_024;
/** Bytes of a listed unit without its texts, and of one character of a text in JSON, at most. */
const LISTED_BYTES = 320;
const CHAR_BYTES = 3;

/** What one message has room for. */
export type Room = { listed: number; numbers: number; bytes: number };

/** The room of an empty message. */
export function roomOf(): Room {
  return { listed: LISTED_MAX, numbers: NUMBERS_MAX, bytes: MESSAGE_BYTES_MAX - MESSAGE_OWN_BYTES };
}

/** A unit that is listed one by one: what is said of it, what it brings, and how many bytes that takes at most. */
export type Listed<T> = { readonly said: T; readonly payload: readonly Uint8Array[]; readonly bytes: number };

/** Lists a unit with what it brings: nothing, its bytes, or its bytes and then its state. */
export function listed<T extends { unit: number; message?: string }>(
  item: T,
  payload: readonly Uint8Array[],
  name: string | undefined,
): Listed<T & { key?: string; brings: Brings }> {
  const key = plain(name ?? '', KEY_CHARS_MAX);
  const said = { ...item, ...(key !== '' && { key }), brings: payload.length as Brings };
  let bytes = LISTED_BYTES + CHAR_BYTES * ((item.message?.length ?? 0) + key.length);
  for (const part of payload) bytes += 4 + part.length;
  return { said, payload, bytes };
}

/** The payload of a message that lists these, in this order. */
export function payloadOf(items: readonly Listed<unknown>[]): Uint8Array[] {
  return items.flatMap(({ payload }) => payload.map(prefixed));
}

export class Outcomes {
  readonly ok = new IntervalSet();
  readonly skipped = new IntervalSet();
  readonly back = new IntervalSet();
  readonly cleared = new IntervalSet();
  failed: Listed<UnitFault>[] = [];
  unknown: Listed<UnitFault>[] = [];
  later: Listed<UnitLater>[] = [];
  /** Succeeded, too, though not in `ok`: success and answer are told together. */
  answers: Listed<UnitAnswer>[] = [];

  get #listed(): number {
    return this.failed.length + this.unknown.length + this.later.length + this.answers.length;
  }

  get count(): number {
    const listed = this.#listed;
    return this.ok.count + this.skipped.count + this.back.count + this.cleared.count + listed;
  }

  /** Notes a fault; the unit's `bytes` go with it, so that a person can see it and have it tried again. */
  fail(kind: 'failed' | 'unknown', fault: UnitFault, bytes: Uint8Array, key: string | undefined): void {
    const message = plain(fault.message, FAULT_MESSAGE_CHARS_MAX);
    this[kind].push(listed({ ...fault, message }, bytes.length > 0 ? [bytes] : [], key));
  }

  addAll(other: Outcomes): void {
    this.ok.addAll(other.ok.ranges());
    this.skipped.addAll(other.skipped.ranges());
    this.back.addAll(other.back.ranges());
    this.failed.push(...other.failed);
    this.unknown.push(...other.unknown);
    this.later.push(...other.later);
    this.answers.push(...other.answers);
  }

  /** Forgets units: the master has them. */
  forget(units: Ranges): void {
    this.ok.removeAll(units);
    this.skipped.removeAll(units);
    this.back.removeAll(units);
    if (this.#listed === 0) return;
    const gone = IntervalSet.of(units);
    const kept = ({ said }: Listed<{ unit: number }>): boolean => !gone.has(said.unit);
    this.failed = this.failed.filter(kept);
    this.unknown = this.unknown.filter(kept);
    this.later = this.later.filter(kept);
    this.answers = this.answers.filter(kept);
  }

  /** Takes out what fits into `room`, and takes its place from it; undefined where nothing does. */
  take(room: Room): Outcomes | undefined {
    room.bytes -= REPORT_BYTES;
    const part = new Outcomes();
    part.failed = takeListed(this.failed, room);
    part.unknown = takeListed(this.unknown, room);
    part.later = takeListed(this.later, room);
    part.answers = takeListed(this.answers, room);
    for (const name of ['ok', 'skipped', 'back', 'cleared'] as const) {
      const ranges = this[name].ranges();
      const left = Math.max(0, Math.min(room.numbers, Math.floor(room.bytes / NUMBER_BYTES)));
      const fits = ranges.length <= left ? ranges : ranges.slice(0, left & ~1);
      room.numbers -= fits.length;
      room.bytes -= fits.length * NUMBER_BYTES;
      part[name].addAll(fits);
      if (fits.length === ranges.length) this[name].clear();
      else this[name].removeAll(fits);
    }
    return part.count > 0 ? part : undefined;
  }

  report(token: { epic: string; term: number; n: number }): GrantReport {
    const { epic, term, n } = token;
    const report: GrantReport = { epic, term, n };
    const ok = this.#succeeded();
    if (!ok.isEmpty) report.ok = ok.ranges();
    if (!this.skipped.isEmpty) report.skipped = this.skipped.ranges();
    if (!this.back.isEmpty) report.back = this.back.ranges();
    if (!this.cleared.isEmpty) report.cleared = this.cleared.ranges();
    if (this.failed.length > 0) report.failed = this.failed.map(({ said }) => said);
    if (this.unknown.length > 0) report.unknown = this.unknown.map(({ said }) => said);
    if (this.later.length > 0) report.later = this.later.map(({ said }) => said);
    if (this.answers.length > 0) report.answers = this.answers.map(({ said }) => said);
    return report;
  }

  #succeeded(): IntervalSet {
    if (this.answers.length === 0) return this.ok;
    const all = IntervalSet.of(this.ok.ranges());
    for (const { said } of this.answers) all.add(said.unit, said.unit + 1);
    return all;
  }

  /** What its listed units bring, in the order in which a report lists them. */
  payload(): Uint8Array[] {
    return payloadOf([...this.failed, ...this.unknown, ...this.later, ...this.answers]);
  }
}

/** Takes out the first ones that fit. */
function takeListed<T>(items: Listed<T>[], room: Room): Listed<T>[] {
  let count = 0;
  for (const { bytes } of items) {
    if (room.listed === 0 || bytes > room.bytes) break;
    room.listed -= 1;
    room.bytes -= bytes;
    count += 1;
  }
  return items.splice(0, count);
}

/** A text that fits on a line and in a report: control characters would grow sixfold in JSON. */
function plain(text: string, charsMax: number): string {
  return text.slice(0, charsMax).replace(/[\p{Cc}\p{Cs}]+/gu, ' ');
}
