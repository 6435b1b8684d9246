import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Briefs } from '../../../master/io/briefs.ts';
import { BRIEF_BYTES_MAX } from '../../../shared/core/limits.ts';

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

async function briefsFor(t: TestContext, cacheBytesMax?: number) {
  const dir = await mkdtemp(join(tmpdir(), 'briefs-'));
  t.after(() => rm(dir, { recursive: true }));
  const briefs = await Briefs.open(dir, cacheBytesMax === undefined ? {} : { cacheBytesMax });
  return { briefs, dir, own: join(dir, 'briefs') };
}

test('a brief is kept under the hash of its bytes and outlives its Briefs', async (t) => {
  const { briefs, dir, own } = await briefsFor(t);
  const hash = await briefs.put(Buffer.from('{"subject":"ü"}'));
  assert.equal(hash, hashOf('{"subject":"ü"}'));
  assert.deepEqual(await readdir(own), [hash]);
  assert.equal((await briefs.get(hash)).toString(), '{"subject":"ü"}');
  const next = await Briefs.open(dir);
  assert.equal((await next.get(hash)).toString(), '{"subject":"ü"}');
});

test('the same brief put twice, also at once, is one file', async (t) => {
  const { briefs, own } = await briefsFor(t);
  const bytes = Buffer.alloc(300_000, 'b');
  const hashes = await Promise.all([briefs.put(bytes), briefs.put(bytes), briefs.put(Buffer.from('other'))]);
  assert.equal(hashes[0], hashes[1]);
  assert.equal(await briefs.put(bytes), hashes[0]);
  assert.deepEqual((await readdir(own)).sort(), [...new Set(hashes)].sort());
});

test('what a crash cut off is removed, and a file that something cut is written again', async (t) => {
  const { briefs, dir, own } = await briefsFor(t);
  await writeFile(join(own, `${hashOf('whole')}.part`), 'wh');
  await writeFile(join(own, hashOf('whole')), 'wh');
  await Briefs.open(dir);
  assert.deepEqual(await readdir(own), [hashOf('whole')]);
  await assert.rejects(briefs.get(hashOf('whole')), { code: 'source_damaged', message: /is damaged/ });
  await briefs.put(Buffer.from('whole'));
  assert.equal((await briefs.get(hashOf('whole'))).toString(), 'whole');
});

test('memory keeps the briefs used last, up to its bound, and the disk the others', async (t) => {
  const { briefs, own } = await briefsFor(t, 10);
  const [a, b, c, big] = await Promise.all(
    ['aaaa', 'bbbb', 'cccc', 'over ten bytes'].map((x) => briefs.put(Buffer.from(x))),
  );
  for (const hash of [a, b, a, c, big] as string[]) await briefs.get(hash);
  await rm(own, { recursive: true });
  assert.equal((await briefs.get(a as string)).toString(), 'aaaa');
  assert.equal((await briefs.get(c as string)).toString(), 'cccc');
  for (const hash of [b, big] as string[]) await assert.rejects(briefs.get(hash), { code: 'not_found' });
});

test('a brief over the limit, a hash that is none and a brief that is not there are refused', async (t) => {
  const { briefs, own } = await briefsFor(t);
  await assert.rejects(briefs.put(new Uint8Array(BRIEF_BYTES_MAX + 1)), {
    code: 'too_large',
    message: /limit is 26214400/,
  });
  for (const hash of ['', '../../etc/passwd', 'A'.repeat(64), `${'a'.repeat(64)}\n`, 'a'.repeat(63)]) {
    await assert.rejects(briefs.get(hash), { code: 'bad_request' });
  }
  await assert.rejects(briefs.get('a'.repeat(64)), { code: 'not_found', message: /is not there/ });
  await rm(own, { recursive: true });
  await assert.rejects(briefs.put(Buffer.from('x')), {
    code: 'store_failed',
    message: /cannot write the brief .*ENOENT/,
  });
});

test('briefs that nobody names are removed once they are old, and one put again is young', async (t) => {
  const { briefs, own } = await briefsFor(t, 0);
  const [named, old, again, young] = (await Promise.all(
    ['named', 'old', 'again', 'young'].map((x) => briefs.put(Buffer.from(x))),
  )) as [string, string, string, string];
  const longAgo = new Date(Date.now() - 100_000);
  for (const hash of [named, old, again]) await utimes(join(own, hash), longAgo, longAgo);
  await writeFile(join(own, 'not-a-brief'), 'x');
  await utimes(join(own, 'not-a-brief'), longAgo, longAgo);
  await briefs.put(Buffer.from('again'));
  await briefs.keepOnly(new Set([named]), Date.now() - 50_000);
  assert.deepEqual((await readdir(own)).sort(), [named, again, young, 'not-a-brief'].sort());
  await assert.rejects(briefs.get(old), { code: 'not_found' });
});

test('a brief that is put while it is being removed is there afterwards', async (t) => {
  const { briefs, own } = await briefsFor(t, 0);
  const bytes = Buffer.from('wanted');
  const hash = await briefs.put(bytes);
  const longAgo = new Date(Date.now() - 100_000);
  for (let delay = 0; delay < 12; delay++) {
    await utimes(join(own, hash), longAgo, longAgo);
    const removed = briefs.keepOnly(new Set(), Date.now() - 50_000);
    for (let turns = 0; turns < delay; turns++) await turn();
    await Promise.all([removed, briefs.put(bytes)]);
    assert.equal((await briefs.get(hash)).toString(), 'wanted', `put ${delay} turns later`);
  }
});
