/**
 * The journal of a fixture master: every durable record in its order, and what it says of each unit.
 * It is read here by other code than the product's own, so that both would have to be wrong alike.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { EpicRecord, EpicRecordOf, Outcome } from '../../master/core/records.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';

export class Journal {
  readonly records: readonly EpicRecord[];

  constructor(records: readonly EpicRecord[]) {
    this.records = records;
  }

  of<K extends EpicRecord['k']>(kind: K): EpicRecordOf<K>[] {
    return this.records.filter((record): record is EpicRecordOf<K> => record.k === kind);
  }

  /** Outcome of each unit of an epic; throws when a settled one is settled again, but for a resolved `unknown`. */
  outcomes(epic: string): Map<number, Outcome> {
    const outcomes = new Map<number, Outcome>();
    const settle = (outcome: Outcome, units: readonly number[]): void => {
      for (const unit of units) {
        const before = outcomes.get(unit);
        if (before !== undefined) throw new Error(`unit ${unit} is ${before}, then ${outcome}`);
        outcomes.set(unit, outcome);
      }
    };
    for (const record of this.records) {
      if (record.epic !== epic) continue;
      if (record.k === 'lease-expired') settle('unknown', numbers(record.unknown));
      if (record.k === 'resolved') {
        const certain = [...numbers(record.succeeded ?? []), ...(record.failed ?? []).map((it) => it.unit)];
        for (const unit of certain) {
          if (outcomes.get(unit) !== 'unknown') throw new Error(`unit ${unit} is resolved, but not unknown`);
          outcomes.delete(unit);
        }
        settle('succeeded', numbers(record.succeeded ?? []));
        settle(
          'failed',
          (record.failed ?? []).map((it) => it.unit),
        );
      }
      if (record.k !== 'settled') continue;
      for (const outcome of ['succeeded', 'skipped', 'cancelled'] as const)
        settle(outcome, numbers(record[outcome] ?? []));
      for (const outcome of ['failed', 'unknown'] as const)
        settle(
          outcome,
          (record[outcome] ?? []).map((it) => it.unit),
        );
    }
    return outcomes;
  }

  /** Units of an epic that ended so, ascending. */
  units(epic: string, outcome: Outcome): number[] {
    return [...this.outcomes(epic)]
      .filter(([, is]) => is === outcome)
      .map(([unit]) => unit)
      .sort((a, b) => a - b);
  }
}

/** Reads a journal as far as it is written. */
export function readJournal(path: string): Journal {
  if (!existsSync(path)) return new Journal([]);
  const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return new Journal(whole.map((line) => JSON.parse(line) as EpicRecord));
}

/** The members of ranges. */
export function numbers(ranges: Ranges): number[] {
  const all: number[] = [];
  for (let i = 0; i < ranges.length; i += 2)
    for (let n = ranges[i] as number; n < (ranges[i + 1] as number); n++) all.push(n);
  return all;
}
