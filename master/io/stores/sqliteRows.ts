/**
 * The rows of units in a master's SQLite file: applies changes to them and reads them by pages. Whoever appends
 * calls `apply` within the transaction of the append (W1).
 *
 * What changes with each wait of a unit is apart from its bytes, and only ended units are in the indexes by state and
 * code: a unit that is run again costs one small row and one index.
 *
 * R1: a read looks at STORE_READ_ROWS rows and STORE_READ_BYTES bytes at most, also where few of a million fit.
 * R2: all rows of an epic, or its parked ones, go at once as far as anybody can see, and are deleted a page at a time:
 *     a million of them in the transaction of an append would stop all others for seconds. Only where the id of a
 *     forgotten epic comes again, for which an idempotency key is enough, its rows go before the first of the new one.
 */
import type Database from 'better-sqlite3';
import { unreachable } from '../../../shared/core/errors.ts';
import { STORE_DROP_ROWS, STORE_READ_BYTES, STORE_READ_ROWS } from '../../../shared/core/limits.ts';
import type { Ranges } from '../../../shared/protocol/messages.ts';
import type { RowChange, RowState, UnitRow } from '../../core/rows.ts';
import type { DuePage, DueQuery, RowsQuery } from '../store.ts';

/** A piece of a page; the rest of it, if there is any, is above `next`. */
export type RowsPiece = { rows: UnitRow[]; next?: number };

/** Which rows of an epic are needed no more. */
type Dropped = 'all' | 'parked';

/** A row of the table `units` … */
type Unit = {
  id: number;
  epic: string;
  unit: number;
  state: RowState;
  code: string;
  message: string;
  step: number;
  attempt: number;
  due: number;
  key: string;
};
/** … and of `unit_data`: `saved` is the state that its step begins with. */
type Data = { bytes: Uint8Array | null; saved?: Uint8Array | null };

const COLUMNS = 'epic, unit, state, code, message, step, attempt, due, key';
const RANGE = 'WHERE epic = ? AND unit >= ? AND unit < ?';
/** As the indexes of ended units have it: SQLite takes them only where a query says the same. */
const ENDED = `state IN ('failed', 'unknown')`;

export class SqliteRows {
  readonly #database: Database.Database;
  readonly #put: Database.Statement;
  readonly #putData: Database.Statement;
  readonly #run: Database.Statement;
  readonly #drop: Database.Statement;
  readonly #hide: Database.Statement;
  readonly #hidden: Database.Statement;
  readonly #nextDropped: Database.Statement;
  readonly #due: Database.Statement;
  readonly #bytes: Database.Statement;

  constructor(database: Database.Database) {
    this.#database = database;
    // A put without a key keeps the one that is there, one without bytes leaves them alone (W2).
    this.#put = database
      .prepare(
        `INSERT INTO units (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (epic, unit) DO UPDATE SET state = excluded.state, code = excluded.code,
           message = excluded.message, step = excluded.step, attempt = excluded.attempt, due = excluded.due,
           key = iif(excluded.key = '', key, excluded.key)
         RETURNING id`,
      )
      .pluck();
    this.#putData = database.prepare('INSERT OR REPLACE INTO unit_data (id, bytes, saved) VALUES (?, ?, ?)');
    this.#run = database.prepare(`UPDATE units SET state = 'running' ${RANGE} AND state = 'parked'`);
    this.#drop = database.prepare(`DELETE FROM units ${RANGE}`);
    this.#hide = database.prepare('INSERT OR REPLACE INTO dropped (epic, which) VALUES (?, ?)');
    this.#hidden = database.prepare('SELECT which FROM dropped WHERE epic = ?').pluck();
    this.#nextDropped = database.prepare('SELECT epic, which FROM dropped LIMIT 1');
    this.#due = database.prepare(
      `SELECT id, ${COLUMNS}, bytes, saved FROM units INDEXED BY units_due LEFT JOIN unit_data USING (id)
       WHERE epic = ? AND state = 'parked' ORDER BY due, unit`,
    );
    this.#bytes = database.prepare('SELECT bytes FROM unit_data WHERE id = ?').pluck();
  }

  apply(changes: Iterable<RowChange>): void {
    for (const change of changes) this.#change(change);
  }

  units(query: RowsQuery): RowsPiece {
    const rows: UnitRow[] = [];
    const hidden = this.#hidden.get(query.epic) as Dropped | undefined;
    if (hidden === 'all') return { rows };
    let bytesLeft = STORE_READ_BYTES;
    let rowsLeft = STORE_READ_ROWS;
    for (const unit of this.#matching(query, STORE_READ_ROWS)) {
      rowsLeft -= 1;
      if (fits(unit, query) && unit.state !== hidden) {
        const bytes = query.bare ? undefined : (this.#bytes.get(unit.id) as Uint8Array | undefined);
        rows.push(rowOf(unit, { bytes: bytes ?? null }));
        bytesLeft -= bytes?.length ?? 0;
      }
      if (rows.length >= query.limit) return { rows };
      if (bytesLeft <= 0 || rowsLeft <= 0) return { rows, next: unit.unit };
    }
    return { rows };
  }

  due({ epic, dueWallMs, limit, bytes }: DueQuery): DuePage {
    const rows: UnitRow[] = [];
    if (this.#hidden.get(epic) !== undefined) return { rows };
    let left = bytes;
    for (const unit of this.#due.iterate(epic) as IterableIterator<Unit & Data>) {
      left -= (unit.bytes?.length ?? 0) + (unit.saved?.length ?? 0);
      if (unit.due > dueWallMs || rows.length >= limit || (left < 0 && rows.length > 0)) {
        return { rows, nextDueWallMs: unit.due };
      }
      rows.push(rowOf(unit, unit));
    }
    return { rows };
  }

  /** Deletes a page of rows that nobody sees any more (R2). Returns whether there are more. */
  dropSome(): boolean {
    const next = this.#nextDropped.get() as { epic: string; which: Dropped } | undefined;
    if (!next) return false;
    // In the order of an index, and where one can choose of that in which they were written.
    const of = next.which === 'all' ? 'epic = ? ORDER BY unit' : `epic = ? AND state = 'parked' ORDER BY due`;
    this.#database.transaction(() => {
      const page = `DELETE FROM units WHERE id IN (SELECT id FROM units WHERE ${of} LIMIT ?)`;
      const { changes } = this.#database.prepare(page).run(next.epic, STORE_DROP_ROWS);
      if (changes < STORE_DROP_ROWS)
        this.#database.prepare('DELETE FROM dropped WHERE epic = ?').run(next.epic);
    })();
    return true;
  }

  #dropNow(epic: string): void {
    this.#database.prepare('DELETE FROM units WHERE epic = ?').run(epic);
    this.#database.prepare('DELETE FROM dropped WHERE epic = ?').run(epic);
  }

  #change(change: RowChange): void {
    const { op } = change;
    switch (op) {
      case 'put': {
        const { epic, unit, state, code, message, step, attempt, dueWallMs, key, data } = change.row;
        if (this.#hidden.get(epic) === 'all') this.#dropNow(epic);
        const id: unknown = this.#put.get(epic, unit, state, code, message, step, attempt, dueWallMs, key);
        if (data) this.#putData.run(id, data.bytes, data.state ?? null);
        return;
      }
      case 'run':
        return eachRange(change.units, (from, to) => this.#run.run(change.epic, from, to));
      case 'drop':
        return eachRange(change.units, (from, to) => this.#drop.run(change.epic, from, to));
      case 'drop-parked':
        this.#hide.run(change.epic, 'parked' satisfies Dropped);
        return;
      case 'drop-all':
        this.#hide.run(change.epic, 'all' satisfies Dropped);
        return;
      default:
        return unreachable(op);
    }
  }

  /**
   * The first `count` rows, in the order of their units, that the best index gives for a query: some may not fit it.
   * They are read as they are asked for: a page may be a small part of them.
   */
  #matching({ epic, states, code, key, after = -1 }: RowsQuery, count: number): Iterable<Unit> {
    const select = (where: string, ...values: string[]): IterableIterator<Unit> => {
      const sql = `SELECT id, ${COLUMNS} FROM units WHERE epic = ? AND ${where} AND unit > ? ORDER BY unit LIMIT ?`;
      return this.#database.prepare(sql).iterate(epic, ...values, after, count) as IterableIterator<Unit>;
    };
    if (key !== undefined) return select('key = ?', key);
    if (!states?.every((state) => state === 'failed' || state === 'unknown')) return select('true');
    if (code !== undefined) return select(`code = ? AND ${ENDED}`, code);
    const found = states.flatMap((state) => [...select(`state = ? AND ${ENDED}`, state)]);
    return found.sort((a, b) => a.unit - b.unit).slice(0, count);
  }
}

function fits(unit: Unit, { states, code, key }: RowsQuery): boolean {
  if (states && !states.includes(unit.state)) return false;
  return (code === undefined || unit.code === code) && (key === undefined || unit.key === key);
}

function eachRange(units: Ranges, run: (from: number, to: number) => void): void {
  for (let i = 0; i + 1 < units.length; i += 2) run(units[i] as number, units[i + 1] as number);
}

function rowOf(unit: Unit, { bytes, saved }: Data): UnitRow {
  const { epic, state, code, message, step, attempt, due, key } = unit;
  const row = { epic, unit: unit.unit, state, code, message, step, attempt, dueWallMs: due, key };
  return bytes ? { ...row, data: { bytes, ...(saved && { state: saved }) } } : row;
}
