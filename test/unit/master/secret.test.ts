/** The secret of a data directory: made once, its owner's alone, and what is sealed with it stays sealed. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openSeal, sealWith } from '../../../master/io/secret.ts';
import { isId } from '../../../shared/core/ids.ts';

async function emptyDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-secret-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

test('a seal is HMAC-SHA-256 cut to 128 bits, and an id', () => {
  // RFC 4231, test case 5.
  const seal = sealWith(Buffer.alloc(20, 0x0c))('Test With Truncation');
  assert.equal(Buffer.from(seal, 'base64url').toString('hex'), 'a3b6167473100ee06e0c796c2955552b');
  assert.ok(isId(seal));
});

test('the secret is made once and read by its owner only', async (t) => {
  const dir = await emptyDir(t);
  // One that was being made when its process ended is none.
  await writeFile(join(dir, 'secret.part'), 'half', { mode: 0o644 });
  const first = await openSeal(dir);
  assert.deepEqual(await readdir(dir), ['secret']);
  const { mode, size } = await stat(join(dir, 'secret'));
  assert.deepEqual([mode & 0o777, size], [0o600, 32]);
  const again = await openSeal(dir);
  assert.equal(again('text'), first('text'));
  assert.notEqual(first('text'), first('texts'));
  const other = await openSeal(await emptyDir(t));
  assert.notEqual(other('text'), first('text'));
});

test('a damaged secret is named, with the cure, and stays as it is', async (t) => {
  const dir = await emptyDir(t);
  await writeFile(join(dir, 'secret'), 'short');
  await assert.rejects(openSeal(dir), {
    code: 'data_corrupt',
    message: /secret has not 32 bytes: restore it/,
  });
  assert.equal(await readFile(join(dir, 'secret'), 'utf8'), 'short');
  await rm(join(dir, 'secret'));
  await assert.rejects(openSeal(join(dir, 'gone')), { code: 'store_failed' });
});
