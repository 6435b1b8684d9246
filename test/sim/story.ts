/** What became of each unit, so that a failure can be told as the story of the unit concerned. */
import type { EpicRecord, Token } from '../../master/core/records.ts';
import { assert } from '../../shared/core/errors.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';

/** A promise did not hold. */
export class Broken extends Error {
  readonly rule: string;
  readonly epic: string;
  readonly unit: number | undefined;

  constructor(rule: string, epic: string, unit: number | undefined, what: string) {
    super(`${rule}: ${unit === undefined ? `epic ${epic}` : `unit ${unit} of ${epic}`} ${what}`);
    this.rule = rule;
    this.epic = epic;
    this.unit = unit;
  }
}

/** Records that concern an epic as a whole. */
const TOLD_OF_EPICS = new Set<EpicRecord['k']>([
  'closing',
  'epic-finished',
  'scattered',
  'folding',
  'folded',
  'paused',
  'resumed',
  'purged',
]);

type Line = { atMs: number; epic: string; units: Ranges | undefined; what: string };

export class Story {
  readonly #nowMs: () => number;
  readonly #lines: Line[] = [];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Something happened to these units, or (without them) to the whole epic, or (epic '*') to everybody. */
  add(epic: string, units: Ranges | undefined, what: string): void {
    if (units?.length !== 0) this.#lines.push({ atMs: this.#nowMs(), epic, units, what });
  }

  /** Tells what a record says of an epic of which so many units had been read before. */
  record(record: EpicRecord, readBefore: number): void {
    const { epic, k } = record;
    if (k === 'settled' || k === 'resolved') {
      const by = record.by ? ` by ${tokenOf(record.by)}` : '';
      this.add(epic, record.succeeded ?? [], `${k}: succeeded${by}`);
      for (const { unit, code } of record.failed ?? []) {
        this.add(epic, [unit, unit + 1], `${k}: failed, ${code}${by}`);
      }
      if (k === 'resolved') return;
      this.add(epic, record.skipped ?? [], `settled: skipped${by}`);
      this.add(epic, record.cancelled ?? [], 'settled: cancelled');
      this.add(epic, record.missing ?? [], 'settled: missing');
      for (const { unit, code } of record.unknown ?? []) {
        this.add(epic, [unit, unit + 1], `settled: unknown, ${code}${by}`);
      }
    } else if (k === 'begun') this.add(epic, record.units, `begun by ${tokenOf(record.by)}`);
    else if (k === 'saved') {
      for (const { unit, step } of record.units) this.add(epic, [unit, unit + 1], `is kept at step ${step}`);
    } else if (k === 'cleared') this.add(epic, record.units, 'its begun effect did not happen');
    else if (k === 'parked') {
      for (const { unit, step, attempt } of record.units) {
        this.add(epic, [unit, unit + 1], `waits for attempt ${attempt} of step ${step}`);
      }
    } else if (k === 'lease-expired') {
      const { session, again, unknown, unclaimed } = record;
      this.add(epic, again, `taken from ${session}: to run again`);
      this.add(epic, unclaimed ?? [], 'claimed by nobody after a crash: to run again');
      this.add(epic, unknown, `taken from ${session}: unknown`);
    } else if (k === 'horizon') this.add(epic, [readBefore, record.to], 'is read');
    else if (k === 'late') this.add(epic, record.units, 'answers too late');
    else if (TOLD_OF_EPICS.has(k)) this.add(epic, undefined, k);
  }

  /** The lines that concern this unit, or the whole epic. */
  of(epic: string, unit: number | undefined): string[] {
    return this.#lines
      .filter((line) => line.epic === '*' || line.epic === epic)
      .filter(({ units }) => units === undefined || unit === undefined || has(units, unit))
      .map(
        ({ atMs, units, what }) =>
          `${at(atMs)}  ${what}${unit === undefined && units ? ` ${text(units)}` : ''}`,
      );
  }
}

/** A token as one word. */
export function tokenOf({ session, term, n }: Token): string {
  return `${session}/${term}/${n}`;
}

/** Virtual time for a person. */
export function at(ms: number): string {
  return `${(ms / 1_000).toFixed(3).padStart(9)} s`;
}

/** Calls `see` for each number in these ranges. */
export function each(ranges: Ranges | undefined, see: (unit: number) => void): void {
  if (!ranges) return;
  assert(ranges.length % 2 === 0, `ranges with an odd end: ${ranges.join()}`);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let unit = ranges[i] as number; unit < (ranges[i + 1] as number); unit++) see(unit);
  }
}

/** Ascending numbers as ranges. */
export function rangesOf(units: readonly number[]): number[] {
  const ranges: number[] = [];
  for (const unit of units) {
    if (ranges.at(-1) === unit) ranges[ranges.length - 1] = unit + 1;
    else ranges.push(unit, unit + 1);
  }
  return ranges;
}

function has(ranges: Ranges, unit: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (unit >= (ranges[i] as number) && unit < (ranges[i + 1] as number)) return true;
  }
  return false;
}

function text(ranges: Ranges): string {
  const parts: string[] = [];
  for (let i = 0; i < ranges.length; i += 2) parts.push(`${ranges[i]}–${(ranges[i + 1] as number) - 1}`);
  return parts.join(' ');
}
