import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Spool } from '../../../master/io/spool.ts';
import { SpoolFile } from '../../../master/io/spoolFile.ts';
import { SumsWriter } from '../../../master/io/spoolSums.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { READ_BYTES, READ_UNITS_MAX, SPOOL_SUM_BYTES } from '../../../shared/core/limits.ts';

const LIMITS = { units: READ_UNITS_MAX, bytes: READ_BYTES };

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'spoolfile-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

/** A spool of these bytes, and a way to look at it anew each time. */
async function fileOf(
  t: TestContext,
  bytes: Buffer,
): Promise<{ path: string; reopen: () => Promise<SpoolFile> }> {
  const path = join(await folder(t), 'spool');
  await writeFile(path, bytes);
  const sums = new SumsWriter();
  // In parts that fit no chunk.
  for (let at = 0; at < bytes.length; at += 100_003) sums.add(bytes.subarray(at, at + 100_003));
  await sums.publish(path);
  let file: SpoolFile | undefined;
  t.after(() => file?.close());
  return {
    path,
    async reopen() {
      await file?.close();
      file = await SpoolFile.open(path, bytes.length);
      return file;
    },
  };
}

/** Turns one bit of a file. */
async function turn(path: string, at: number): Promise<void> {
  const handle = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 0x10;
  await handle.write(byte, 0, 1, at);
  await handle.close();
}

const damaged = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GimmeError, String(error));
  assert.equal(error.code, 'source_damaged');
  assert.match(error.message, pattern);
  assert.match(error.message, /restore it from a backup and resume the epic, or cancel it/);
  return true;
};

const SIZES = [0, 1, SPOOL_SUM_BYTES - 1, SPOOL_SUM_BYTES, SPOOL_SUM_BYTES + 1, 3.5 * SPOOL_SUM_BYTES];

test('what is read is what was written, wherever a read begins and ends', async (t) => {
  const room = Buffer.alloc(2 * SPOOL_SUM_BYTES);
  for (const size of SIZES) {
    const bytes = randomBytes(size);
    const { reopen } = await fileOf(t, bytes);
    const edges = [
      0,
      1,
      1_000,
      SPOOL_SUM_BYTES - 1,
      SPOOL_SUM_BYTES,
      SPOOL_SUM_BYTES + 1,
      2.5 * SPOOL_SUM_BYTES,
    ];
    for (const at of edges.toReversed()) {
      const file = await reopen();
      for (const length of edges) {
        const expected = bytes.subarray(at, at + length);
        assert.ok(expected.equals(await file.read(at, length)), `${length} bytes at ${at} of ${size}`);
        assert.ok(
          expected.equals(await file.read(at, length, room)),
          `${length} bytes at ${at} of ${size}, again`,
        );
      }
    }
  }
});

test('one bit that is not as it was written: its chunk is refused, the others are read', async (t) => {
  const size = 3.5 * SPOOL_SUM_BYTES;
  const bytes = randomBytes(size);
  const { path, reopen } = await fileOf(t, bytes);
  for (const at of [0, SPOOL_SUM_BYTES - 1, SPOOL_SUM_BYTES, 2 * SPOOL_SUM_BYTES + 77, size - 1]) {
    await turn(path, at);
    const file = await reopen();
    const hurt = Math.floor(at / SPOOL_SUM_BYTES);
    for (let chunk = 0; chunk * SPOOL_SUM_BYTES < size; chunk++) {
      const start = chunk * SPOOL_SUM_BYTES;
      if (chunk !== hurt) {
        assert.ok(bytes.subarray(start, start + 9).equals(await file.read(start, 9)), `chunk ${chunk}`);
        continue;
      }
      const end = Math.min(start + SPOOL_SUM_BYTES, size) - 1;
      const names = damaged(new RegExp(`the spool ${path} is damaged in bytes ${start} to ${end};`));
      await assert.rejects(file.read(start + 5, 1), names);
      await assert.rejects(file.read(0, size), names);
    }
    await turn(path, at);
    assert.ok(bytes.equals(await (await reopen()).read(0, size)), 'put right, it is read');
  }
});

test('a chunk is looked at once while the file is open, and anew when it is opened again', async (t) => {
  const bytes = randomBytes(2 * SPOOL_SUM_BYTES);
  const { path, reopen } = await fileOf(t, bytes);
  const file = await reopen();
  await file.read(0, 10);
  await turn(path, 500);
  assert.ok(bytes.subarray(0, 10).equals(await file.read(0, 10)));
  await turn(path, SPOOL_SUM_BYTES + 500);
  await assert.rejects(file.read(SPOOL_SUM_BYTES, 10), damaged(/bytes 262144 to 524287/));
  await assert.rejects((await reopen()).read(0, 10), damaged(/bytes 0 to 262143/));
});

test('sums that are gone, cut, or damaged make the spool unreadable', async (t) => {
  const { path, reopen } = await fileOf(t, randomBytes(SPOOL_SUM_BYTES + 1));
  const sums = await readFile(`${path}.sums`);
  assert.equal(sums.length, 12);
  for (let at = 0; at < sums.length; at++) {
    await turn(`${path}.sums`, at);
    await assert.rejects(reopen(), damaged(/spool\.sums is not as it was written/));
    await turn(`${path}.sums`, at);
  }
  await writeFile(`${path}.sums`, sums.subarray(0, 8));
  await assert.rejects(reopen(), damaged(/spool\.sums is not as it was written/));
  await rm(`${path}.sums`);
  await assert.rejects(reopen(), damaged(/spool\.sums is gone/));
  await writeFile(`${path}.sums`, sums);
  assert.equal((await (await reopen()).read(0, 9)).length, 9);
});

test('a damaged spool gives what is before the damage, and the rest once it is put right', async (t) => {
  const dir = await folder(t);
  const spool = await Spool.open(dir);
  t.after(() => spool.close());
  const line = `${'x'.repeat(999)}\n`;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 2_000; i++) yield Buffer.from(line);
  }
  const source = await spool.write('ndjson', body(), 'one');
  const path = join(dir, 'spool', 'one');
  await turn(path, 1_500_000);
  let offset = 0;
  let count = 0;
  const readOn = async (): Promise<void> => {
    for (let end = false; !end; ) {
      const batch = await spool.read(source, offset, count, { ...LIMITS, bytes: 100_000 });
      ({ next: offset, end } = batch);
      count += batch.count;
    }
  };
  await assert.rejects(readOn(), damaged(/damaged in bytes 1310720 to 1572863/));
  assert.ok(count > 1_000 && count < 1_320, `${count} units were read`);
  await assert.rejects(readOn(), damaged(/damaged in bytes 1310720 to 1572863/));
  await turn(path, 1_500_000);
  await readOn();
  assert.equal(count, 2_000);
});
