/** `gimme config print`: what holds, from where, and never a secret. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLIENT, DEMO, MASTER, SMTP_STUB, WORKER } from '../../../cli/settings.ts';
import { gimme } from './gimme.ts';

type Row = { of: string; flag?: string; env?: string; value?: string; from: string; fault?: string };

test('every setting is there once for each part, with its value and where it comes from', async () => {
  const env = {
    GIMMEWORK_LISTEN: '0.0.0.0:80',
    GIMMEWORK_SMTP_URL: 'smtp://user:hunter2@mail',
    GIMMEWORK_WORKS: 'a,b',
  };
  const { code, stdout, stderr } = await gimme(['config', 'print', '-o', 'json'], env);
  assert.deepEqual([code, stderr], [0, '']);
  assert.doesNotMatch(stdout, /hunter2/);
  const { settings } = JSON.parse(stdout) as { settings: Row[] };
  const of = (part: string, flag: string): unknown[] => {
    const found = settings.filter((row) => row.of.startsWith(part) && row.flag === flag);
    assert.equal(found.length, 1, `${part} ${flag}`);
    return [found[0]?.value, found[0]?.from];
  };
  assert.deepEqual(of('gimme master', '--listen'), ['0.0.0.0:80', 'GIMMEWORK_LISTEN']);
  assert.deepEqual(of('gimme worker', '--slots'), ['16', 'default']);
  assert.deepEqual(of('gimme worker', '--smtp'), ['(not shown)', 'GIMMEWORK_SMTP_URL']);
  assert.deepEqual(of('gimme worker', '--works'), ['a,b', 'GIMMEWORK_WORKS']);
  assert.deepEqual(of('gimme worker', '--name'), [undefined, 'not set']);
  assert.deepEqual(of('client', '--master'), ['http://127.0.0.1:7171', 'default']);
  const told = new Set(settings.map(({ flag, env: variable }) => flag ?? variable));
  for (const { flag, env: variable } of [CLIENT, DEMO, MASTER, SMTP_STUB, WORKER].flatMap((t) =>
    Object.values<{ flag?: string; env?: string }>(t),
  ))
    assert.ok(told.has(/--[a-z-]+/.exec(flag ?? '')?.[0] ?? variable), `${flag ?? variable} is not told`);
});

test('as a table; a bad value is marked and ends it with 2', async () => {
  const env = { GIMMEWORK_SLOTS: 'many', GIMMEWORK_NATS_TOKEN_FILE: '/no/such/file' };
  const { code, stdout, stderr } = await gimme(['config', 'print'], env);
  assert.equal(code, 2);
  assert.match(
    stdout,
    /^gimme master\n {2}FLAG +VARIABLE +VALUE +FROM\n {2}--listen +GIMMEWORK_LISTEN +127\.0\.0\.1:7171 +default\n/,
  );
  assert.match(stdout, /\n {2}--slots +GIMMEWORK_SLOTS +many +GIMMEWORK_SLOTS: bad\n/);
  assert.match(
    stderr,
    /^gimme: GIMMEWORK_SLOTS "many" must be a whole number [^\n]*; GIMMEWORK_NATS_TOKEN_FILE names a file [^\n]*\n$/,
  );
});
