/** Blocks: what was read from a named source lies on the disk as it was given, or is known to be damaged. */
import assert from 'node:assert/strict';
import { mkdtemp, open, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { SourceSpec } from '../../../master/core/source.ts';
import { startsOf } from '../../../master/io/blocks.ts';
import { Spool } from '../../../master/io/spool.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { prefixed } from '../../../shared/protocol/codec.ts';

const LIMITS = { units: 100, bytes: 1_000_000 };
const named: SourceSpec = { type: 'named', id: 's', name: 'feed', args: 'null' };

async function spoolOf(t: TestContext): Promise<{ spool: Spool; path: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'blocks-'));
  t.after(() => rm(dir, { recursive: true }));
  return { spool: await Spool.open(dir), path: join(dir, 'spool', 's') };
}

function block(first: number, texts: readonly string[], bad: readonly number[] = []) {
  const framed = Buffer.concat(texts.map((text) => prefixed(Buffer.from(text))));
  const told = bad.map((unit) => ({ unit, code: 'invalid_unit', message: `record ${unit + 1}` }));
  return { first, count: texts.length, framed, bad: told };
}

const damaged = (error: unknown): boolean =>
  error instanceof GimmeError && error.code === 'source_damaged' && /restore it/.test(error.message);

test('blocks are read again as they were written, wherever they are numbered from', async (t) => {
  const { spool } = await spoolOf(t);
  const one = block(0, ['"a"', '', '"ccc"'], [1]);
  const two = block(3, ['"d"']);
  const next = await spool.append(named, 0, one);
  const size = await spool.append(named, next, two);
  const read = await spool.read(named, 0, 0, LIMITS);
  const starts = startsOf(one.framed);
  assert.deepEqual(
    { ...read, framed: [...read.framed] },
    {
      ...{ first: 0, count: 3, framed: [...one.framed], starts, bad: one.bad },
      ...{ offset: 0, next, end: false },
    },
  );
  const blocks: SourceSpec = { type: 'blocks', id: 's', bytes: size };
  const again = await spool.read(blocks, next, 3, LIMITS);
  assert.deepEqual([again.count, again.next, again.end], [1, size, true]);
  assert.deepEqual(await spool.read(blocks, size, 4, LIMITS), {
    ...{ first: 4, count: 0, framed: new Uint8Array(), starts: new Uint32Array(1), bad: [] },
    ...{ offset: size, next: size, end: true },
  });
  assert.equal((await spool.read(named, 0, 7, LIMITS)).bad[0]?.unit, 8);
});

test('a block is written over what was never recorded, however long that was', async (t) => {
  const { spool } = await spoolOf(t);
  const next = await spool.append(named, 0, block(0, ['"a"']));
  await spool.append(named, next, block(1, ['"lost"', `"${'x'.repeat(5_000)}"`]));
  const end = await spool.append(named, next, block(1, ['"b"']));
  const read = await spool.read({ type: 'blocks', id: 's', bytes: end }, next, 1, LIMITS);
  assert.deepEqual(
    [read.count, Buffer.from(read.framed).toString('latin1').slice(4), read.end],
    [1, '"b"', true],
  );
});

test('any byte that is not as it was written is found, and so is one that is at another place', async (t) => {
  const { spool, path } = await spoolOf(t);
  const size = await spool.append(named, 0, block(0, ['"a"', '"b"'], [1]));
  await spool.append(named, size, block(2, ['"c"']));
  for (let at = 0; at < size; at++) {
    await flip(path, at);
    await assert.rejects(spool.read(named, 0, 0, LIMITS), damaged, `byte ${at}`);
    await flip(path, at);
  }
  await spool.read(named, 0, 0, LIMITS);
  const bytes = Buffer.alloc(1_000);
  const handle = await open(path, 'r+');
  const { bytesRead } = await handle.read(bytes, 0, size, 0);
  await handle.write(bytes, 0, bytesRead, size);
  await handle.close();
  await assert.rejects(spool.read(named, size, 2, LIMITS), damaged);
  await truncate(path, size - 1);
  await assert.rejects(spool.read(named, 0, 0, LIMITS), damaged);
});

async function flip(path: string, at: number): Promise<void> {
  const handle = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 0x10;
  await handle.write(byte, 0, 1, at);
  await handle.close();
}
