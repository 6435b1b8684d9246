import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { packAppend } from '../../master/io/stores/appendPack.ts';
import { SqliteStore } from '../../master/io/stores/sqlite.ts';
import { SqliteFile } from '../../master/io/stores/sqliteFile.ts';
import type { ErrorCode } from '../../shared/core/errors.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { STORE_DROP_ROWS } from '../../shared/core/limits.ts';
import { horizon, storeConformance, submission } from './store.ts';

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

/** Writes a data directory as a version of an older schema left it. */
function writeOld(dir: string, version: 1 | 2, checkpoint: unknown[], journal: unknown[][]): void {
  const old = new Database(join(dir, 'journal.db'));
  old.exec(`CREATE TABLE boots (term INTEGER PRIMARY KEY); INSERT INTO boots VALUES (4);
    CREATE TABLE journal (seq INTEGER PRIMARY KEY, records TEXT NOT NULL);`);
  const table = version === 1 ? '(epic TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID' : '';
  old.exec(`CREATE TABLE checkpoint ${table || '(seq INTEGER PRIMARY KEY, record TEXT NOT NULL)'}`);
  const column = version === 1 ? 'epic' : 'seq';
  const put = old.prepare(`INSERT INTO checkpoint (${column}, record) VALUES (?, ?)`);
  for (const [i, record] of checkpoint.entries()) {
    put.run(version === 1 ? `e${i}` : i, JSON.stringify([record]));
  }
  const append = old.prepare('INSERT INTO journal (records) VALUES (?)');
  for (const records of journal) append.run(JSON.stringify(records));
  old.pragma(`user_version = ${version}`);
  old.close();
}

const ended = (epic: string, wallMs: number): Record<string, unknown> => ({
  ...{ k: 'epic-checkpoint', epic, name: epic, work: 'w', brief: 'b', wallMs, state: 'finished', read: 5 },
  ...{
    source: { type: 'range', from: 0, to: 5 },
    offset: 5,
    drained: true,
    extents: [],
    begun: [],
    resume: [],
  },
  ...{ counts: { succeeded: 5, failed: 0, unknown: 0, skipped: 0, cancelled: 0, missing: 0 }, faults: [] },
  ...{ unknownBy: [], finishedWallMs: wallMs + 1 },
});

test('finished epics of the first schema are taken over, in the order they were submitted', () =>
  inFolder(async (dir) => {
    const epics = [100, 20, 3].map((wallMs, i) => ended(`e${i}`, wallMs));
    writeOld(
      dir,
      1,
      epics.map((epic) => ({ ...epic, settled: [0, 5] })),
      [],
    );
    const store = new SqliteStore(dir);
    const { term, records } = await store.open();
    assert.equal(term, 5);
    assert.deepEqual(
      records,
      epics.reverse().map((epic) => ({ ...epic, passed: [0, 5], parked: 0, absent: 0 })),
    );
    await store.close();
  }));

test('a journal of the second schema is taken over, without the waits of its finished epics', () =>
  inFolder(async (dir) => {
    const submitted = { ...submission('a'), wallMs: 7 };
    const finished = { k: 'epic-finished', epic: 'a', outcome: 'finished', wallMs: 9 };
    const waits = { k: 'delayed', epic: 'a', units: [{ unit: 1, attempt: 2, step: 0, dueWallMs: 8 }] };
    writeOld(
      dir,
      2,
      [{ ...ended('z', 1), settled: [0, 5] }],
      [
        [submitted, waits],
        [horizon('a', 4), finished],
      ],
    );
    const store = new SqliteStore(dir);
    const { records } = await store.open();
    assert.deepEqual(records.slice(1), [submitted, horizon('a', 4), finished]);
    await store.append([horizon('b', 1)]);
    const history = await store.history({ after: 0, limit: 10 });
    assert.deepEqual(
      history.map(({ seq, wallMs }) => [seq, seq < 3 ? wallMs : undefined]),
      [
        [1, 7],
        [2, 9],
        [3, undefined],
      ],
    );
    await store.close();
  }));

test('unfinished epics of an older schema are refused before anything is written', () =>
  inFolder(async (dir) => {
    writeOld(dir, 2, [{ ...ended('a', 1), state: 'running', settled: [] }], [[submission('b')]]);
    const before = await readFile(join(dir, 'journal.db'));
    const line = await refusal(dir, 'data_older');
    assert.match(line, /older version \(schema 2\) and has 2 unfinished epics: finish or cancel them/);
    assert.ok(before.equals(await readFile(join(dir, 'journal.db'))), 'the file was written to');
  }));

test('history over its limit goes from the oldest on, and numbers go on after it', () =>
  inFolder(async (dir) => {
    let store = new SqliteStore(dir, { historyBytesMax: 4_000 });
    await store.open();
    const append = (i: number): Promise<void> =>
      store.append([{ k: 'closing', epic: 'a', reason: 'x'.repeat(1_000), wallMs: i }]);
    await store.append([submission('a')]);
    for (let i = 2; i <= 10; i++) await append(i);
    const seqs = async (): Promise<number[]> =>
      (await store.history({ after: 0, limit: 100 })).map(({ seq }) => seq);
    assert.equal((await seqs()).length, 10, 'what is not covered by a checkpoint was dropped');
    await store.checkpoint([submission('a')]);
    assert.deepEqual(await seqs(), [8, 9, 10]);
    await append(11);
    await store.close();
    store = new SqliteStore(dir, { historyBytesMax: 1 });
    assert.equal((await store.open()).records.length, 2);
    await store.checkpoint([submission('a')]);
    assert.deepEqual(await seqs(), []);
    await store.close();
    store = new SqliteStore(dir);
    await store.open();
    await append(12);
    assert.deepEqual(await seqs(), [12]);
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

test('rows that are needed no more are deleted a page at a time, over a restart, and no others', () =>
  inFolder((dir) => {
    const data = { bytes: new Uint8Array(9) };
    const units = Array.from({ length: STORE_DROP_ROWS + 1 }, (_, unit) => {
      return { unit, attempt: 2, step: 0, dueWallMs: 1, code: 'later', data };
    });
    let file = new SqliteFile(dir, 1e9);
    file.read();
    for (const epic of ['a', 'b', 'c']) file.append(packAppend([{ k: 'parked', epic, units }], 1));
    file.append(packAppend([{ k: 'unparked', epic: 'b', units: [0, 1], resume: [0, 2, 0] }], 1));
    file.append(
      packAppend(
        [
          { k: 'purged', epic: 'a' },
          { k: 'parked-cancelled', epic: 'b' },
        ],
        1,
      ),
    );
    const left = (): unknown[] => {
      file.close();
      const database = new Database(join(dir, 'journal.db'));
      const count = 'SELECT epic, count(*) AS rows FROM units JOIN unit_data USING (id) GROUP BY epic';
      const rows = database.prepare(count).all();
      const bytes = database.prepare('SELECT count(*) FROM unit_data').pluck().get();
      database.close();
      file = new SqliteFile(dir, 1e9);
      return [...rows, bytes];
    };
    const all = units.length;
    assert.deepEqual(left(), [
      { epic: 'a', rows: all },
      { epic: 'b', rows: all },
      { epic: 'c', rows: all },
      3 * all,
    ]);
    assert.equal(file.tidy(), true);
    assert.deepEqual(left()[0], { epic: 'a', rows: 1 });
    while (file.tidy());
    assert.deepEqual(left(), [{ epic: 'b', rows: 1 }, { epic: 'c', rows: all }, all + 1]);
    file.close();
    return Promise.resolve();
  }));
