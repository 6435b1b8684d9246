/**
 * Rows: the units that the store keeps one by one, beside the journal: parked ones with their bytes and the state
 * they go on with, dead letters, unknown ones. Memory keeps only their count (G6). What a record does to
 * the rows is decided here, for every store alike.
 *
 * W1: a row changes in the append of the record that changes it.
 * W2: a row without bytes in a change keeps those it has.
 */
import { unreachable } from '../../shared/core/errors.ts';
import { eachOf } from '../../shared/core/intervalSet.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';
import type { EpicRecord, EpicRecordOf, ParkedUnit, RecordedFault, UnitData } from './records.ts';
import { lostFault } from './records.ts';

export type RowState = 'parked' | 'running' | 'failed' | 'unknown' | 'answered';

/** One unit that the store keeps. `step` is the name of a step where it ended, of the one that is next while it waits. */
export type UnitRow = {
  epic: string;
  unit: number;
  state: RowState;
  code: string;
  message: string;
  /** Index of the step, −1 before the first. */
  step: number;
  attempt: number;
  /** Of a parked one: not before this. */
  dueWallMs: number;
  /** Names the unit for people; may be empty. */
  key: string;
  data?: UnitData;
};

export type RowChange =
  /** Makes or replaces a row. Without `data` or `key` it keeps what it has (W2). */
  | { op: 'put'; row: UnitRow }
  /** Parked rows whose units go on: their state becomes `running`. */
  | { op: 'run'; epic: string; units: Ranges }
  /** Rows that are needed no more. Units without a row are passed over. */
  | { op: 'drop'; epic: string; units: Ranges }
  | { op: 'drop-parked'; epic: string }
  | { op: 'drop-all'; epic: string };

/** What a record does to the rows. */
export function rowChanges(record: EpicRecord): RowChange[] {
  const { epic } = record;
  switch (record.k) {
    case 'parked':
      return record.units.map((unit) => park(epic, unit));
    case 'unparked':
      return [{ op: 'run', epic, units: record.units }];
    case 'saved':
      return record.units.map(({ unit, step, key = '', data }) => ({
        op: 'put',
        row: {
          ...{ epic, unit, state: 'running', code: '', message: '', step, attempt: 1, dueWallMs: 0, key },
          ...(data && { data }),
        },
      }));
    case 'settled':
      return [
        ...(record.rows ? [{ op: 'drop', epic, units: record.rows } as const] : []),
        ...(record.failed ?? []).map((fault) => put(epic, 'failed', fault)),
        ...(record.unknown ?? []).map((fault) => put(epic, 'unknown', fault)),
        ...(record.answered ?? []).map(({ unit, data }) => answer(epic, unit, data)),
      ];
    case 'resolved':
      return [
        ...(record.succeeded ? [{ op: 'drop', epic, units: record.succeeded } as const] : []),
        ...(record.failed ?? []).map((fault) => put(epic, 'failed', fault)),
        ...(record.answered ?? []).map(({ unit, data }) => answer(epic, unit, data)),
      ];
    case 'parked-cancelled':
      return [{ op: 'drop-parked', epic }];
    case 'purged':
      return [{ op: 'drop-all', epic }];
    case 'lease-expired': {
      const changes: RowChange[] = [];
      eachOf(record.unknown, (unit) => {
        changes.push(put(epic, 'unknown', lostFault(unit, record.session)));
      });
      return changes;
    }
    case 'epic-submitted':
    case 'settings-frozen':
    case 'horizon':
    case 'source-failed':
    case 'begun':
    case 'cleared':
    case 'scattered':
    case 'folding':
    case 'folded':
    case 'late':
    case 'delivered':
    case 'paused':
    case 'resumed':
    case 'closing':
    case 'epic-checkpoint':
    case 'epic-finished':
      return [];
    default:
      return unreachable(record);
  }
}

/** The record as the journal keeps it: what rows hold (bytes, states) is not written twice. */
export function journaled(record: EpicRecord): EpicRecord {
  switch (record.k) {
    case 'parked':
      return { ...record, units: record.units.map(({ data: _, ...unit }) => unit) };
    case 'saved':
      return { ...record, units: record.units.map(({ data: _, ...unit }) => unit) };
    case 'settled':
    case 'resolved': {
      const { failed, answered } = record;
      const { unknown }: Partial<EpicRecordOf<'settled'>> = record.k === 'settled' ? record : {};
      if (!failed && !unknown && !answered) return record;
      const { answered: _, ...rest } = record as EpicRecordOf<'settled'>;
      return {
        ...rest,
        ...(failed && { failed: failed.map(withoutData) }),
        ...(unknown && { unknown: unknown.map(withoutData) }),
      };
    }
    default:
      return record;
  }
}

/** Without a spread, since there may be very many: V8 keeps what that makes for long. */
function park(epic: string, parked: ParkedUnit): RowChange {
  const { unit, step, attempt, dueWallMs, code, key = '', data } = parked;
  const row: UnitRow = { epic, unit, state: 'parked', code, message: '', step, attempt, dueWallMs, key };
  if (data) row.data = data;
  return { op: 'put', row };
}

function put(epic: string, state: 'failed' | 'unknown', fault: RecordedFault): RowChange {
  const { unit, code, message, stepIndex, attempt, key = '', data } = fault;
  const row: UnitRow = {
    epic,
    unit,
    state,
    code,
    message,
    step: stepIndex ?? -1,
    attempt,
    dueWallMs: 0,
    key,
  };
  return { op: 'put', row: data ? { ...row, data } : row };
}

/** In the place of what was kept of the unit itself: it is needed no more. */
function answer(epic: string, unit: number, data: UnitData): RowChange {
  const blank = { code: '', message: '', step: -1, attempt: 1, dueWallMs: 0, key: '' };
  return { op: 'put', row: { epic, unit, state: 'answered', ...blank, data } };
}

function withoutData({ data: _, ...fault }: RecordedFault): RecordedFault {
  return fault;
}
