import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { SqliteStore } from '../../master/io/stores/sqlite.ts';
import type { ErrorCode } from '../../shared/core/errors.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { storeConformance } from './store.ts';

storeConformance('sqlite', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-store-'));
  let store: SqliteStore | undefined;
  return {
    async reopen() {
      await store?.close();
      store = new SqliteStore(dir);
      return store;
    },
    async remove() {
      await store?.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-store-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The one line that opening the directory is refused with. */
async function refusal(dir: string, code: ErrorCode): Promise<string> {
  const store = new SqliteStore(dir);
  try {
    await store.open();
  } catch (error) {
    assert.ok(error instanceof GimmeError, String(error));
    assert.equal(error.code, code);
    return error.message;
  } finally {
    await store.close();
  }
  return assert.fail(`${dir} was opened`);
}

test('a data directory of the first schema is taken over, epics in the order they were submitted', () =>
  inFolder(async (dir) => {
    const old = new Database(join(dir, 'journal.db'));
    old.exec(`CREATE TABLE boots (term INTEGER PRIMARY KEY); INSERT INTO boots VALUES (4);
      CREATE TABLE journal (seq INTEGER PRIMARY KEY, records TEXT NOT NULL);
      CREATE TABLE checkpoint (epic TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;`);
    const put = old.prepare('INSERT INTO checkpoint VALUES (?, ?)');
    const records = [100, 20, 3].map((wallMs, i) => ({ k: 'closing', epic: `e${i}`, reason: '', wallMs }));
    for (const record of records) put.run(record.epic, JSON.stringify([record]));
    old.pragma('user_version = 1');
    old.close();
    const store = new SqliteStore(dir);
    assert.deepEqual(await store.open(), { term: 5, records: records.reverse() });
    await store.close();
  }));

test('a data directory in use is refused, naming its owner', () =>
  inFolder(async (dir) => {
    const owner = new SqliteStore(dir);
    await owner.open();
    const line = await refusal(dir, 'data_in_use');
    assert.match(line, new RegExp(`in use by process ${process.pid} on \\S+`));
    await owner.append([{ k: 'closing', epic: 'a', reason: 'still works', wallMs: 1 }]);
    await owner.close();
  }));

test('a newer schema is refused before anything is written', () =>
  inFolder(async (dir) => {
    const file = join(dir, 'journal.db');
    const database = new Database(file);
    database.pragma('user_version = 999');
    database.exec('CREATE TABLE later (x)');
    database.close();
    const before = await readFile(file);
    assert.match(await refusal(dir, 'data_newer'), /newer version \(schema 999/);
    const after = await readFile(file);
    assert.ok(before.equals(after), 'the file was written to');
  }));

test('a file that is no journal, or a torn one, is refused with the cure', () =>
  inFolder(async (dir) => {
    await writeFile(
      join(dir, 'journal.db'),
      'this is not a database, but it is long enough to be looked at'.repeat(99),
    );
    assert.match(await refusal(dir, 'data_corrupt'), /damaged.*backup/);
  }));

test('a journal cut short is refused, not read as less', () =>
  inFolder(async (dir) => {
    const store = new SqliteStore(dir);
    await store.open();
    for (let i = 0; i < 200; i++) {
      await store.append([{ k: 'closing', epic: 'a', reason: 'x'.repeat(2_000), wallMs: i }]);
    }
    await store.close();
    await truncate(join(dir, 'journal.db'), 64 * 1024);
    await refusal(dir, 'data_corrupt');
  }));
