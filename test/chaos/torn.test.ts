/**
 * A store whose process dies at any instant, or whose disk is full in the middle of an append: journal and rows
 * agree, what was acknowledged is there, and what was not is there whole or not at all.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import type { EpicRecord } from '../../master/core/records.ts';
import { journaled, type UnitRow } from '../../master/core/rows.ts';
import { packAppend } from '../../master/io/stores/appendPack.ts';
import { Rows } from '../../master/io/stores/rows.ts';
import { SqliteFile, sqliteFault } from '../../master/io/stores/sqliteFile.ts';
import { HISTORY_BYTES_MAX } from '../../shared/core/limits.ts';
import { bytesOf, EPIC, recordsOf, submitted } from '../fixtures/store/plan.ts';
import { Process } from '../processes/process.ts';

const WRITER = fileURLToPath(new URL('../fixtures/store/writer.ts', import.meta.url));
const ALL = { epic: EPIC, limit: 100_000 };
/** Ends of the log of a file that is opened after a power cut, spread over its length. */
const CUTS = 24;
const PAGES_MAX = 1_073_741_823;

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-torn-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Opens the file in `dir` and verifies it. */
function check(dir: string): number {
  const file = new SqliteFile(dir, HISTORY_BYTES_MAX);
  try {
    file.read();
    return verify(file);
  } finally {
    file.close();
  }
}

/** Holds the rows of a file to its journal, and both to the plan; returns how many appends of it are there. */
function verify(file: SqliteFile): number {
  const expected = new Rows();
  let last = 0;
  for (let entries = file.history(0, 1_000); entries.length > 0; entries = file.history(last, 1_000)) {
    for (const { seq, records } of entries) {
      assert.equal(seq, last + 1, 'an entry is missing');
      const written = JSON.parse(records) as EpicRecord[];
      assert.deepEqual(written, last === 0 ? [submitted()] : recordsOf(last).map(journaled));
      for (const record of written) expected.apply(record);
      last = seq;
    }
  }
  const rows = unitsOf(file);
  for (const { unit, data } of rows)
    assert.deepEqual(data?.bytes, Buffer.from(bytesOf(unit)), `unit ${unit}`);
  assert.deepEqual(rows.map(withoutData), expected.units(ALL));
  const due = { epic: EPIC, dueWallMs: 1e12, limit: 100_000, bytes: 1e9 };
  assert.deepEqual(file.due(due).rows.map(withoutData), expected.due(due).rows);
  return Math.max(0, last - 1);
}

function unitsOf(file: SqliteFile): UnitRow[] {
  const rows: UnitRow[] = [];
  for (let after: number | undefined = -1; after !== undefined; ) {
    const piece = file.units({ ...ALL, after });
    rows.push(...piece.rows);
    after = piece.next;
  }
  return rows;
}

function withoutData({ data: _, ...row }: UnitRow): UnitRow {
  return row;
}

test('kill -9 between and in appends: rows and journal agree, and have what was acknowledged', () =>
  inFolder(async (dir) => {
    for (const [round, after] of [3, 61, 107].entries()) {
      const own = join(dir, `${round}`);
      await mkdir(own);
      const writer = new Process({ name: 'writer', entry: WRITER, args: [own], cwd: dir });
      await writer.line(new RegExp(`^durable ${after}$`));
      writer.signal('SIGKILL');
      assert.equal((await writer.ended).signal, 'SIGKILL', writer.lastWords());
      const acknowledged = Number(writer.out.at(-1)?.split(' ')[1]);
      const appends = check(own);
      assert.ok(appends >= acknowledged, `${acknowledged} were acknowledged, ${appends} are there`);
      assert.ok(appends <= acknowledged + 1, `${acknowledged} were acknowledged, but ${appends} are there`);
    }
  }));

test('a log cut anywhere by a power failure: rows and journal agree', () =>
  inFolder(async (dir) => {
    const file = new SqliteFile(dir, HISTORY_BYTES_MAX);
    file.read();
    const path = join(dir, 'journal.db');
    append(file, [submitted()]);
    for (let n = 1; n <= 40; n++) append(file, recordsOf(n));
    const image = join(dir, 'image');
    await mkdir(image);
    const { size } = await stat(`${path}-wal`);
    // Nothing of the log is in the file yet, so each of its beginnings is a state that a disk may be left in.
    assert.ok(size < 4_000_000, `the log has ${size} bytes`);
    const seen = new Set<number>();
    for (let i = 1; i <= CUTS; i++) {
      await copyFile(path, join(image, 'journal.db'));
      await copyFile(`${path}-wal`, join(image, 'journal.db-wal'));
      await truncate(join(image, 'journal.db-wal'), Math.floor((size * i) / CUTS) - (i % 3) * 700);
      seen.add(check(image));
    }
    file.close();
    assert.ok(seen.size > CUTS / 2 && Math.max(...seen) >= 39, `states seen: ${[...seen].join(' ')}`);
  }));

test('a disk that is full in the middle of an append: nothing of it is there, and it is taken later', (t) =>
  inFolder(async (dir) => {
    let isFull = false;
    // oxlint-disable-next-line typescript/unbound-method -- it is called with the database that it was taken from
    const prepare = Database.prototype.prepare;
    t.mock.method(Database.prototype, 'prepare', function (this: Database.Database, sql: string) {
      const statement = prepare.call(this, sql);
      if (!sql.startsWith('INSERT OR REPLACE INTO unit_data')) return statement;
      const run = statement.run.bind(statement) as (...values: unknown[]) => Database.RunResult;
      statement.run = (...values: unknown[]) => {
        // Rows before this one are in by now. SQLite takes the least size that fits what is there already.
        if ((values[0] as number) % 5 === 4) this.pragma(`max_page_count = ${isFull ? 1 : PAGES_MAX}`);
        return run(...values);
      };
      return statement;
    });
    const file = new SqliteFile(dir, HISTORY_BYTES_MAX);
    file.read();
    append(file, [submitted()]);
    for (let n = 1; n <= 10; n++) append(file, recordsOf(n));
    isFull = true;
    // Pages that were given back let some more through.
    const refused = Array.from({ length: 90 }, (_, i) => i + 11).find((n) => {
      try {
        append(file, recordsOf(n));
        return false;
      } catch (error) {
        assert.equal(sqliteFault(error, dir).code, 'disk_full');
        return true;
      }
    });
    assert.ok(refused !== undefined, 'the disk was never full');
    assert.equal(verify(file), refused - 1);
    isFull = false;
    append(file, recordsOf(refused));
    assert.equal(verify(file), refused);
    file.close();
    assert.equal(check(dir), refused);
  }));

function append(file: SqliteFile, records: readonly EpicRecord[]): void {
  file.append(packAppend(records, 1));
}
