/**
 * The tables of a master's SQLite file, and how a file of an older schema is brought up to date.
 *
 * K1: a newer schema, or an older one whose epics cannot go on in this one, is refused before anything is written.
 */
import type Database from 'better-sqlite3';
import { GimmeError } from '../../../shared/core/errors.ts';

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
  // The journal keeps its history: what a checkpoint stands for is no longer deleted, but marked as covered.
  // Finished epics are kept: their units have all passed, and waiting ones, which had records of their own, are over.
  `CREATE TABLE history (covered INTEGER NOT NULL, bytes INTEGER NOT NULL);
   INSERT INTO history VALUES (0, 0);
   CREATE TABLE epics (epic TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE units (
     id INTEGER PRIMARY KEY, epic TEXT NOT NULL, unit INTEGER NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL,
     message TEXT NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL, due REAL NOT NULL, key TEXT NOT NULL);
   CREATE TABLE unit_data (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL, saved BLOB);
   CREATE TRIGGER unit_gone AFTER DELETE ON units BEGIN DELETE FROM unit_data WHERE id = old.id; END;
   CREATE UNIQUE INDEX units_unit ON units (epic, unit);
   CREATE INDEX units_due ON units (epic, due, unit) WHERE state = 'parked';
   CREATE INDEX units_key ON units (epic, key, unit);
   CREATE INDEX units_ended ON units (epic, state, unit) WHERE state IN ('failed', 'unknown');
   CREATE INDEX units_code ON units (epic, code, unit) WHERE state IN ('failed', 'unknown');
   ALTER TABLE journal ADD COLUMN wall REAL NOT NULL DEFAULT 0;
   UPDATE journal SET records =
     (SELECT json_group_array(json(value)) FROM json_each(records) WHERE value ->> '$.k' <> 'delayed');
   UPDATE journal SET wall =
     coalesce((SELECT max(value ->> '$.wallMs') FROM json_each(records)), 0);
   INSERT INTO epics SELECT value ->> '$.epic', seq FROM journal, json_each(records)
     WHERE value ->> '$.k' = 'epic-submitted';
   UPDATE checkpoint SET record = json_set(json_remove(record, '$[0].settled'),
     '$[0].passed', json_extract(record, '$[0].settled'), '$[0].parked', 0, '$[0].absent', 0);`,
  // Of epics whose rows are needed no more, and are deleted a page at a time: all of them, or the parked ones.
  `CREATE TABLE dropped (epic TEXT PRIMARY KEY, which TEXT NOT NULL) WITHOUT ROWID;`,
];

/** The first schema with rows of units: epics that were not finished in one before cannot go on. */
const ROWS_SCHEMA = 3;

const UNFINISHED = `
  WITH record AS (
    SELECT value FROM checkpoint, json_each(record) UNION ALL SELECT value FROM journal, json_each(records))
  SELECT count(*) FROM record
  WHERE (value ->> '$.k' = 'epic-submitted'
      OR (value ->> '$.k' = 'epic-checkpoint' AND value ->> '$.state' = 'running'))
    AND value ->> '$.epic' NOT IN
      (SELECT value ->> '$.epic' FROM record WHERE value ->> '$.k' = 'epic-finished')`;

/** Throws data_newer or data_older where the file cannot be used as it is (K1). */
export function checkSchema(database: Database.Database, dir: string): void {
  const version = versionOf(database);
  if (version > MIGRATIONS.length) {
    const text = `the data directory ${dir} was written by a newer version (schema ${version}, this one knows`;
    throw new GimmeError('data_newer', `${text} ${MIGRATIONS.length}); run that version or another --data`);
  }
  if (version === 0 || version >= ROWS_SCHEMA) return;
  const count = database.prepare(UNFINISHED).pluck().get() as number;
  if (count === 0) return;
  const text = `the data directory ${dir} was written by an older version (schema ${version}) and has ${count}`;
  const cure = 'finish or cancel them with that version, or choose another --data';
  throw new GimmeError('data_older', `${text} unfinished ${count === 1 ? 'epic' : 'epics'}: ${cure}`);
}

/** Brings the file up to date, whole or not at all. */
export function migrate(database: Database.Database): void {
  const version = versionOf(database);
  if (version === MIGRATIONS.length) return;
  database.transaction(() => {
    for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
    database.pragma(`user_version = ${MIGRATIONS.length}`);
  })();
}

function versionOf(database: Database.Database): number {
  return database.pragma('user_version', { simple: true }) as number;
}
