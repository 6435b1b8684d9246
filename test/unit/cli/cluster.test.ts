/** `gimme worker ls`, `worker drain` and `status` against a fake master: what they show, and how they end. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { worker } from '../http/fakeMaster.ts';
import { serveFake } from '../http/server.ts';
import { gimme } from './gimme.ts';

async function served(t: TestContext) {
  const fake = await serveFake(t);
  const run = (...args: string[]) => gimme(args, { GIMMEWORK_MASTER: fake.url });
  return { ...fake, run };
}

test('worker ls shows a line for each worker, by name', async (t) => {
  const { run, api, url } = await served(t);
  const none = await run('worker', 'ls');
  assert.deepEqual(
    [none.code, none.stderr],
    [0, `no worker is known to ${url}; start one with \`gimme worker\`\n`],
  );
  api.offered = [
    worker('id-2', 'mail-2', { state: 'draining', works: ['greet', 'newsletter'] }),
    worker('id-1', 'mail-1', { held: 1_234, slots: 16, lastHeardMs: 700 }),
  ];
  const { code, stdout, stderr } = await run('worker', 'ls');
  assert.equal(code, 0, stderr);
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
  assert.deepEqual(rows, [
    ['NAME', 'ID', 'STATE', 'SLOTS', 'HELD', 'WORKS', 'VERSION', 'HEARD'],
    ['mail-1', 'id-1', 'ready', '16', '1,234', 'greet', '1.2.3', '0.7s ago'],
    ['mail-2', 'id-2', 'draining', '4', '0', 'greet,newsletter', '1.2.3', '0.0s ago'],
  ]);
  const sorted = api.offered.toReversed();
  assert.deepEqual(JSON.parse((await run('worker', 'ls', '-o', 'json')).stdout), { workers: sorted });
  const lines = (await run('worker', 'ls', '-o', 'jsonl')).stdout.trim().split('\n');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    sorted,
  );
});

test('worker drain tells what follows; nobody and two of one name are refused', async (t) => {
  const { run, api } = await served(t);
  api.offered = [worker('id-1', 'mail-1', { held: 7 })];
  const { code, stdout, stderr } = await run('worker', 'drain', 'mail-1');
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'worker mail-1 (id-1) drains: it held 7 units\n');
  assert.match(stderr, /at most 25\.0s, hands back the rest and exits\.\nNext: gimme worker ls\n$/);
  assert.equal(JSON.parse((await run('worker', 'drain', 'id-1', '-o', 'json')).stdout).state, 'draining');
  const nobody = await run('worker', 'drain', 'mail-9');
  assert.deepEqual([nobody.code, nobody.stdout], [7, '']);
  assert.match(nobody.stderr, /^gimme: there is no worker mail-9\n$/);
});

test('worker drain --wait ends when the worker is gone, or at its timeout with 3', async (t) => {
  const { run, api } = await served(t);
  api.offered = [worker('id-1', 'mail-1', { held: 2 })];
  const late = await run('worker', 'drain', 'id-1', '--wait', '--timeout', '50ms');
  assert.equal(late.code, 3);
  assert.match(late.stderr, /^gimme: worker mail-1 still drains after 0\.1s and holds 2 units; [^\n]+\n$/);
  api.onDrain = () => {
    api.offered = [];
  };
  const gone = await run('worker', 'drain', 'id-1', '--wait');
  assert.deepEqual([gone.code, gone.stderr], [0, 'worker mail-1 is gone\n']);
});

test('status shows all on one screen', async (t) => {
  const { run, api, url } = await served(t);
  api.offered = [
    worker('id-1', 'a', { held: 3 }),
    worker('id-2', 'b', { state: 'draining' }),
    worker('id-3', 'c', { state: 'suspect', slots: 8 }),
  ];
  api.queues = {
    waiting_messages: { depth: 0, max: 5, limit: 1_000 },
    leased_units: { depth: 7, max: 40, limit: 80 },
    link_bytes: { depth: 0, max: 0, limit: 8 },
    ready_units: { depth: 2_000, max: 9_000, limit: 10_000 },
  };
  for (let i = 1; i <= 6; i++) api.add({ name: `weekly-${i}` });
  api.add({ state: 'finished' });
  const { code, stdout, stderr } = await run('status');
  assert.equal(code, 0, stderr);
  const arithmetic =
    'read 10 = succeeded 0 + failed 0 + unknown 0 + skipped 0 + cancelled 0 + missing 0 + outstanding 10';
  assert.deepEqual(stdout.split('\n'), [
    `master   ${url}   ready   id fake-master   term 1   store memory (not durable yet)   link websocket`,
    'workers  1 ready, 1 draining, 1 suspect   16 slots, 3 units held',
    'epics    6 running',
    ...[6, 5, 4, 3, 2].flatMap((n) => [`  … weekly-${n} (epic-${n})`, `    ${arithmetic}`]),
    '  and 1 more: gimme epic ls --state running',
    'queues   the fullest of 4',
    '  NAME              DEPTH   MOST   LIMIT  FULLEST',
    '  ready_units       2,000  9,000  10,000  90.0%',
    '  leased_units          7     40      80  50.0%',
    '  waiting_messages      0      5   1,000  0.5%',
    `metrics  ${url}/metrics`,
    '',
  ]);
  const json = JSON.parse((await run('status', '-o', 'json')).stdout);
  assert.deepEqual(json.readiness, { ready: true });
  assert.deepEqual(json.workers, { ready: 1, draining: 1, suspect: 1, slots: 16, held: 3 });
  assert.deepEqual([json.master.link, json.master.epics, json.queues[0].name], ['ws', 6, 'ready_units']);
});

test('status of a master that is not ready says why and exits 1', async (t) => {
  const { run, api } = await served(t);
  api.reason = 'the link\nis down';
  const { code, stdout } = await run('status');
  assert.equal(code, 1);
  assert.match(stdout, /^master {3}http:\S+ {3}NOT READY: the link is down {3}id fake-master/);
  assert.match(stdout, /\nqueues {3}nothing was queued yet\n/);
  assert.deepEqual(JSON.parse((await run('status', '-o', 'json')).stdout).readiness, {
    ready: false,
    reason: 'the link\nis down',
  });
});

test('master ls shows the master that is asked', async (t) => {
  const { run, api } = await served(t);
  api.add();
  const { code, stdout, stderr } = await run('master', 'ls');
  assert.deepEqual([code, stderr], [0, '']);
  const [head, row] = stdout.split('\n').map((line) => line.split(/ {2,}/));
  assert.deepEqual(head, ['ID', 'TERM', 'STORE', 'LINK', 'EPICS']);
  assert.deepEqual(row, ['fake-master', '1', 'memory (not durable yet)', 'ws', '1']);
  assert.equal(JSON.parse((await run('master', 'ls', '-o', 'jsonl')).stdout).id, 'fake-master');
});

test('status without a master is one line and exits 1', async () => {
  const { code, stdout, stderr } = await gimme(['status', '--master', 'http://127.0.0.1:9']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^gimme: no master answers at [^\n]+\n$/);
});

test('worker --help shows its options and the commands below it', async () => {
  const { code, stdout } = await gimme(['worker', '--help']);
  assert.equal(code, 0);
  for (const part of [
    /--works <module\.\.\.>/,
    /--nats <url>/,
    /\n {2}ls /,
    /\n {2}drain .*<worker>/,
    /GIMMEWORK_NATS_TOKEN\[_FILE\]/,
  ])
    assert.match(stdout, part);
  assert.doesNotMatch(stdout, /--nats-(password|token|nkey|seed)/);
});
