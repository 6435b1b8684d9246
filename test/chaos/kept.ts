/**
 * Every record that a master ever made durable, with the term it was written in. A checkpoint takes the place of
 * the records before it, so a trigger in the same file keeps a copy of each: in the same transaction, so that
 * no crash parts the two.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { EpicRecord } from '../../master/core/records.ts';

export type Kept = { term: number; record: EpicRecord };

const TRIGGERS = `
  CREATE TABLE kept (seq INTEGER PRIMARY KEY, term INTEGER NOT NULL, records TEXT NOT NULL);
  CREATE TRIGGER keep AFTER INSERT ON journal BEGIN
    INSERT INTO kept (term, records) VALUES ((SELECT max(term) FROM boots), NEW.records);
  END;`;

/** Has everything kept from now on. The directory must have been used by a master, and be used by none now. */
export function keepRecords(dataDir: string): void {
  const database = new Database(join(dataDir, 'journal.db'));
  database.exec(TRIGGERS);
  database.close();
}

/** What was kept, in its order. No master may use the directory now. */
export function readKept(dataDir: string): Kept[] {
  const database = new Database(join(dataDir, 'journal.db'));
  const rows = database.prepare('SELECT term, records FROM kept ORDER BY seq').all();
  database.close();
  return rows.flatMap((row) => {
    const { term, records } = row as { term: number; records: string };
    return (JSON.parse(records) as EpicRecord[]).map((record) => ({ term, record }));
  });
}
