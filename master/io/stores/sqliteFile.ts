/**
 * A master's SQLite file: the journal with its history, the checkpoint, and the rows of units (`sqliteRows.ts`).
 * One process owns a data directory: the file is locked for as long as it is open, and the lock goes with the process.
 *
 * K2: each boot gets the next number, durably, before anything else: it fences the boots before it.
 * K3: an append is one transaction: its records and what they do to the rows are there together or not at all.
 * K4: entries of the journal are numbered without a repeat: only those that a checkpoint covers are ever deleted,
 *     and how far that is is kept beside them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type ErrorCode, GimmeError } from '../../../shared/core/errors.ts';
import { HISTORY_FORGOTTEN_MAX, STORE_READ_BYTES } from '../../../shared/core/limits.ts';
import type { DuePage, DueQuery, RowsQuery } from '../store.ts';
import { type Append, changesIn, recordsOf } from './appendPack.ts';
import { type RowsPiece, SqliteRows } from './sqliteRows.ts';
import { checkSchema, migrate } from './sqliteSchema.ts';

/** An entry of the journal with its records as JSON. */
export type Entry = { seq: number; wallMs: number; records: string };

/** Pages kept in memory. Eight times as many made a master with 100,000 parked units larger and nothing faster. */
const CACHE_KB = 2 * 1024;
/** A file up to this size is looked through at each start. */
const CHECKED_BYTES_MAX = 64 * 1024 * 1024;
/** A file that is left longer than this by a large transaction is cut to it. */
const WAL_BYTES_KEPT = 64 * 1024 * 1024;

export class SqliteFile {
  readonly dir: string;
  readonly #historyBytesMax: number;
  readonly #database: Database.Database;
  readonly #rows: SqliteRows;
  readonly #insert: Database.Statement;
  readonly #submitted: Database.Statement;
  readonly #append: (append: Append) => void;
  readonly #term: number;
  /** Number of the last entry. */
  #seq = 0;
  /** Bytes of the entries that no checkpoint covers. */
  #uncovered = 0;

  constructor(dir: string, historyBytesMax: number) {
    this.dir = dir;
    this.#historyBytesMax = historyBytesMax;
    this.#database = new Database(join(dir, 'journal.db'), { timeout: 200 });
    try {
      this.#own();
      this.#term = this.#boot();
    } catch (error) {
      this.#database.close();
      throw error;
    }
    writeFileSync(join(dir, 'owner'), `process ${process.pid} on ${hostname()}`);
    this.#rows = new SqliteRows(this.#database);
    this.#insert = this.#database.prepare(
      'INSERT INTO journal (seq, wall, records) VALUES (?, ?, CAST(? AS TEXT))',
    );
    this.#submitted = this.#database.prepare('INSERT OR REPLACE INTO epics (epic, since) VALUES (?, ?)');
    this.#append = this.#database.transaction((append: Append) => this.#write(append));
  }

  /** The number of this boot, and the records: the checkpoint, then what came after it. */
  read(): { term: number; records: string[] } {
    const { covered } = this.#database.prepare('SELECT covered FROM history').get() as { covered: number };
    const records = this.#database.prepare('SELECT record FROM checkpoint ORDER BY seq').pluck().all();
    const later = this.#database.prepare('SELECT seq, records FROM journal WHERE seq > ? ORDER BY seq');
    this.#seq = covered;
    for (const entry of later.iterate(covered) as IterableIterator<Entry>) {
      this.#seq = entry.seq;
      this.#uncovered += Buffer.byteLength(entry.records);
      records.push(entry.records);
    }
    return { term: this.#term, records: records as string[] };
  }

  append(append: Append): void {
    this.#append(append);
    this.#seq += 1;
    this.#uncovered += append.records;
  }

  /** `epics` are those that the records are about. */
  checkpoint(records: readonly string[], epics: readonly string[]): void {
    const put = this.#database.prepare('INSERT INTO checkpoint (record) VALUES (?)');
    const cover = this.#database.prepare('UPDATE history SET covered = ?, bytes = bytes + ?');
    const forget = this.#database.prepare(
      'DELETE FROM epics WHERE epic NOT IN (SELECT value FROM json_each(?))',
    );
    this.#database.transaction(() => {
      this.#database.exec('DELETE FROM checkpoint');
      for (const record of records) put.run(record);
      cover.run(this.#seq, this.#uncovered);
      forget.run(JSON.stringify(epics));
      this.#forgetHistory();
    })();
    this.#uncovered = 0;
  }

  units(query: RowsQuery): RowsPiece {
    return this.#rows.units(query);
  }

  due(query: DueQuery): DuePage {
    return this.#rows.due(query);
  }

  /** Tidies up a little of what is needed no more; returns whether to go on. */
  tidy(): boolean {
    return this.#rows.dropSome();
  }

  /** The first entries after number `after`: at most `limit`, and as many as are read at once. */
  history(after: number, limit: number): Entry[] {
    const entries: Entry[] = [];
    const select = 'SELECT seq, wall AS wallMs, records FROM journal WHERE seq > ? ORDER BY seq LIMIT ?';
    let left = STORE_READ_BYTES;
    for (const entry of this.#database.prepare(select).iterate(after, limit) as IterableIterator<Entry>) {
      entries.push(entry);
      left -= entry.records.length;
      if (left <= 0) break;
    }
    return entries;
  }

  close(): void {
    this.#database.close();
  }

  /** K3 */
  #write(append: Append): void {
    const seq = this.#seq + 1;
    this.#insert.run(seq, append.wallMs, recordsOf(append));
    for (const epic of append.submitted) this.#submitted.run(epic, seq);
    this.#rows.apply(changesIn(append));
  }

  /** Deletes entries from before the oldest known epic, and the oldest ones beyond the limit. */
  #forgetHistory(): void {
    const first = this.#database.prepare('SELECT min(since) FROM epics').pluck().get() as number | null;
    let left = this.#database.prepare('SELECT bytes FROM history').pluck().get() as number;
    let upTo = 0;
    // Nothing else is uncovered by now, so what is deleted is covered (K4).
    const oldest = 'SELECT seq, octet_length(records) AS bytes FROM journal ORDER BY seq LIMIT ?';
    const entries = this.#database.prepare(oldest).iterate(HISTORY_FORGOTTEN_MAX);
    for (const { seq, bytes } of entries as IterableIterator<{ seq: number; bytes: number }>) {
      if (seq >= (first ?? this.#seq + 1) && left <= this.#historyBytesMax) break;
      upTo = seq;
      left -= bytes;
    }
    this.#database.prepare('DELETE FROM journal WHERE seq <= ?').run(upTo);
    this.#database.prepare('UPDATE history SET bytes = ?').run(left);
  }

  /** Takes the lock, checks the schema (K1) and brings it up to date. */
  #own(): void {
    const database = this.#database;
    database.pragma('locking_mode = EXCLUSIVE');
    checkSchema(database, this.dir);
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma(`cache_size = -${CACHE_KB}`);
    database.pragma(`journal_size_limit = ${WAL_BYTES_KEPT}`);
    migrate(database);
    this.#checkPages();
  }

  /**
   * Looks for damaged pages: in the whole of a small file, and of a large one (history and rows) only where a start
   * depends on it, so that it does not take longer with every day. SQLite tells of the others when it meets them.
   */
  #checkPages(): void {
    const database = this.#database;
    const bytes = database.prepare('SELECT page_count * page_size FROM pragma_page_count, pragma_page_size');
    const isSmall = (bytes.pluck().get() as number) <= CHECKED_BYTES_MAX;
    const tables = isSmall ? ['1'] : ['boots', 'checkpoint', 'epics', 'history'];
    for (const table of tables) {
      const fault = database.pragma(`quick_check(${table})`, { simple: true });
      if (fault !== 'ok') throw damaged(this.dir, String(fault));
    }
  }

  /** K2 */
  #boot(): number {
    const next = 'INSERT INTO boots (term) SELECT coalesce(max(term), 0) + 1 FROM boots RETURNING term';
    const { term } = this.#database.prepare(next).get() as { term: number };
    this.#database.prepare('DELETE FROM boots WHERE term < ?').run(term);
    return term;
  }
}

/** Makes an error of SQLite one that names the directory and the cure. */
export function sqliteFault(error: unknown, dir: string): { code: ErrorCode; message: string } {
  if (error instanceof GimmeError) return { code: error.code, message: error.message };
  const code = (error as { code?: string }).code ?? '';
  const why = error instanceof Error ? error.message : String(error);
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    const cure = 'stop it or choose another --data';
    return {
      code: 'data_in_use',
      message: `the data directory ${dir} is in use by ${ownerOf(dir)}: ${cure}`,
    };
  }
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') return damaged(dir, why);
  if (code.startsWith('SQLITE_CANTOPEN') || code.startsWith('SQLITE_READONLY')) {
    const cure = 'correct its owner and mode, or choose another --data';
    return { code: 'store_failed', message: `cannot open the journal in ${dir}: ${cure}` };
  }
  if (code === 'SQLITE_FULL') return { code: 'disk_full', message: `the disk of ${dir} is full: make room` };
  return { code: 'store_failed', message: `cannot use the journal in ${dir}: ${why} ${code}`.trim() };
}

/** The refusal of a journal that is not as it was written. */
export function damaged(dir: string, why: string): GimmeError {
  const cure = 'restore it from a backup or choose another --data';
  return new GimmeError('data_corrupt', `the journal in ${dir} is damaged (${why}): ${cure}`);
}

function ownerOf(dir: string): string {
  try {
    return readFileSync(join(dir, 'owner'), 'utf8').slice(0, 200);
  } catch {
    return 'another process';
  }
}
