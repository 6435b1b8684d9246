/**
 * The rows of units in a master's SQLite file: applies changes to them and reads them by pages. Whoever appends
 * calls `apply` within the transaction of the append (W1).
 *
 * R1: every read walks an index of just the rows it returns, so that a page costs the same among a million rows.
 */
import type Database from 'better-sqlite3';
import { unreachable } from '../../../shared/core/errors.ts';
import { STORE_READ_BYTES } from '../../../shared/core/limits.ts';
import type { Ranges } from '../../../shared/protocol/messages.ts';
import type { RowChange, RowState, UnitRow } from '../../core/rows.ts';
import type { DuePage, DueQuery, RowsQuery } from '../store.ts';

const STATES: readonly RowState[] = ['parked', 'running', 'failed', 'unknown'];

/** A row of the table; `saved` is the state that its step begins with. */
type Stored = {
  epic: string;
  unit: number;
  state: RowState;
  code: string;
  message: string;
  step: number;
  attempt: number;
  due: number;
  key: string;
  bytes: Uint8Array | null;
  saved?: Uint8Array | null;
};

const LISTED = 'epic, unit, state, code, message, step, attempt, due, key, bytes';
const RANGE = 'WHERE epic = ? AND unit >= ? AND unit < ?';

export class SqliteRows {
  readonly #database: Database.Database;
  readonly #put: Database.Statement;
  readonly #run: Database.Statement;
  readonly #drop: Database.Statement;
  readonly #dropParked: Database.Statement;
  readonly #dropAll: Database.Statement;
  readonly #due: Database.Statement;
  readonly #unit: Database.Statement;

  constructor(database: Database.Database) {
    this.#database = database;
    // A put without bytes, or without a key, keeps what is there (W2).
    this.#put = database.prepare(
      `INSERT INTO units (${LISTED}, saved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (epic, unit) DO UPDATE SET state = excluded.state, code = excluded.code,
         message = excluded.message, step = excluded.step, attempt = excluded.attempt, due = excluded.due,
         key = iif(excluded.key = '', key, excluded.key),
         bytes = iif(excluded.bytes IS NULL, bytes, excluded.bytes),
         saved = iif(excluded.bytes IS NULL, saved, excluded.saved)`,
    );
    this.#run = database.prepare(`UPDATE units SET state = 'running' ${RANGE} AND state = 'parked'`);
    this.#drop = database.prepare(`DELETE FROM units ${RANGE}`);
    this.#dropParked = database.prepare(`DELETE FROM units WHERE epic = ? AND state = 'parked'`);
    this.#dropAll = database.prepare('DELETE FROM units WHERE epic = ?');
    this.#due = database.prepare(
      `SELECT ${LISTED}, saved FROM units INDEXED BY units_due
       WHERE epic = ? AND state = 'parked' ORDER BY due, unit`,
    );
    this.#unit = database.prepare(`SELECT ${LISTED} FROM units WHERE id = ?`);
  }

  apply(changes: readonly RowChange[]): void {
    for (const change of changes) this.#change(change);
  }

  /** The first rows of the page: all of them where `end` is set, else as many as are read at once. */
  units(query: RowsQuery): { rows: UnitRow[]; end: boolean } {
    const rows: UnitRow[] = [];
    let left = STORE_READ_BYTES;
    for (const id of this.#ids(query)) {
      if (left <= 0) return { rows, end: false };
      const stored = this.#unit.get(id) as Stored;
      left -= sizeOf(stored);
      rows.push(rowOf(stored));
    }
    return { rows, end: true };
  }

  due({ epic, dueWallMs, limit, bytes }: DueQuery): DuePage {
    const rows: UnitRow[] = [];
    let left = bytes;
    for (const stored of this.#due.iterate(epic) as IterableIterator<Stored>) {
      left -= sizeOf(stored);
      if (stored.due > dueWallMs || rows.length >= limit || (left < 0 && rows.length > 0)) {
        return { rows, nextDueWallMs: stored.due };
      }
      rows.push(rowOf(stored));
    }
    return { rows };
  }

  #change(change: RowChange): void {
    const { op } = change;
    switch (op) {
      case 'put': {
        const { epic, unit, state, code, message, step, attempt, dueWallMs, key, data } = change.row;
        const saved = data?.state ?? null;
        const bytes = data?.bytes ?? null;
        this.#put.run(epic, unit, state, code, message, step, attempt, dueWallMs, key, bytes, saved);
        return;
      }
      case 'run':
        return eachRange(change.units, (from, to) => this.#run.run(change.epic, from, to));
      case 'drop':
        return eachRange(change.units, (from, to) => this.#drop.run(change.epic, from, to));
      case 'drop-parked':
        this.#dropParked.run(change.epic);
        return;
      case 'drop-all':
        this.#dropAll.run(change.epic);
        return;
      default:
        return unreachable(op);
    }
  }

  /** The rows of a page by their ids, in the order of their units (R1). */
  #ids({ epic, states, code, key, after = -1, limit }: RowsQuery): number[] {
    const fixed: [column: string, value: string][] = [['epic', epic]];
    if (code !== undefined) fixed.push(['code', code]);
    if (key !== undefined) fixed.push(['key', key]);
    // No index gives several states in the order of their units: they are read one by one and merged.
    const each = states ?? (code === undefined ? [undefined] : STATES);
    const found: { id: number; unit: number }[] = [];
    for (const state of each) {
      const by = state === undefined ? fixed : [...fixed, ['state', state] as const];
      const where = by.map(([column]) => `${column} = ?`).join(' AND ');
      const sql = `SELECT id, unit FROM units WHERE ${where} AND unit > ? ORDER BY unit LIMIT ?`;
      const values = by.map(([, value]) => value);
      found.push(...(this.#database.prepare(sql).all(...values, after, limit) as typeof found));
    }
    if (each.length > 1) found.sort((a, b) => a.unit - b.unit);
    return found.slice(0, limit).map(({ id }) => id);
  }
}

function eachRange(units: Ranges, run: (from: number, to: number) => void): void {
  for (let i = 0; i + 1 < units.length; i += 2) run(units[i] as number, units[i + 1] as number);
}

function sizeOf({ bytes, saved }: Stored): number {
  return (bytes?.length ?? 0) + (saved?.length ?? 0);
}

function rowOf({ due, bytes, saved, ...rest }: Stored): UnitRow {
  const data = bytes && { bytes, ...(saved && { state: saved }) };
  return { ...rest, dueWallMs: due, ...(data && { data }) };
}
