/**
 * What is in a master's SQLite file, and how it is read and written. One process owns a data directory:
 * the file is locked for as long as it is open, and the lock goes with the process.
 *
 * K1: a newer schema is refused before anything is written.
 * K2: each boot gets the next number, durably, before anything else: it fences the boots before it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type ErrorCode, GimmeError } from '../../../shared/core/errors.ts';

/** Each entry brings the schema from its place in this list to the next. */
const MIGRATIONS = [
  `CREATE TABLE boots (term INTEGER PRIMARY KEY);
   CREATE TABLE journal (seq INTEGER PRIMARY KEY, records TEXT NOT NULL);
   CREATE TABLE checkpoint (epic TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;`,
  // Epics come back in the order they were submitted, which says which of two of one name is the newer.
  `CREATE TABLE ordered (seq INTEGER PRIMARY KEY, record TEXT NOT NULL);
   INSERT INTO ordered (record) SELECT record FROM checkpoint ORDER BY json_extract(record, '$[0].wallMs');
   DROP TABLE checkpoint;
   ALTER TABLE ordered RENAME TO checkpoint;`,
];

export class SqliteFile {
  readonly dir: string;
  readonly #database: Database.Database;
  readonly #insert: Database.Statement;
  readonly #term: number;

  constructor(dir: string) {
    this.dir = dir;
    this.#database = new Database(join(dir, 'journal.db'), { timeout: 200 });
    try {
      this.#own();
      this.#term = this.#boot();
    } catch (error) {
      this.#database.close();
      throw error;
    }
    writeFileSync(join(dir, 'owner'), `process ${process.pid} on ${hostname()}`);
    this.#insert = this.#database.prepare('INSERT INTO journal (records) VALUES (?)');
  }

  /** The number of this boot, and the records: the checkpoint, then what came after it. */
  read(): { term: number; records: string[] } {
    const rows = this.#database.prepare('SELECT record AS text FROM checkpoint ORDER BY seq').all();
    const later = this.#database.prepare('SELECT records AS text FROM journal ORDER BY seq').all();
    return { term: this.#term, records: [...rows, ...later].map((row) => (row as { text: string }).text) };
  }

  append(records: string): void {
    this.#insert.run(records);
  }

  checkpoint(epics: readonly string[]): void {
    const put = this.#database.prepare('INSERT INTO checkpoint (record) VALUES (?)');
    this.#database.transaction(() => {
      this.#database.exec('DELETE FROM checkpoint; DELETE FROM journal;');
      for (const record of epics) put.run(record);
    })();
  }

  close(): void {
    this.#database.close();
  }

  /** Takes the lock, checks the schema and brings it up to date (K1). */
  #own(): void {
    const database = this.#database;
    database.pragma('locking_mode = EXCLUSIVE');
    const version = database.pragma('user_version', { simple: true }) as number;
    if (version > MIGRATIONS.length) {
      const text = `the data directory ${this.dir} was written by a newer version (schema ${version}, this one knows`;
      throw new GimmeError('data_newer', `${text} ${MIGRATIONS.length}); run that version or another --data`);
    }
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.transaction(() => {
      for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
      database.pragma(`user_version = ${MIGRATIONS.length}`);
    })();
    const fault = database.pragma('quick_check(1)', { simple: true });
    if (fault !== 'ok') throw damaged(this.dir, String(fault));
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
