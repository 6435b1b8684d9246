/** The client's way with gathers: ask and wait, ask and leave, results, and keys. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Client, defineWork, type EpicStatus, isOver, range, stdin } from '../../../client/index.ts';
import { linesOf } from '../../../client/source.ts';
import { serveFake } from '../http/server.ts';

async function served(t: TestContext) {
  const fake = await serveFake(t);
  const finish = (epic: EpicStatus): void => {
    const gather = { ...epic.gather, phase: 'fold', complete: fake.api.missing.length === 0 } as const;
    fake.api.change(epic.id, {
      state: 'finished',
      gather: { ...gather, deadlineAt: '', responses: 2, late: 0 },
    });
  };
  return { ...fake, client: new Client({ master: fake.url }), finish };
}

test('ask resolves with the value, its type as the caller says, and what is missing', async (t) => {
  const { api, client, finish } = await served(t);
  api.value = '{"trips":3}';
  api.missing = [1, 3];
  api.onAsked = (epic) => setImmediate(() => finish(epic));
  const work = defineWork('fleet-report').step('compile', () => 1);
  const settings = { deadline: '10s', enough: 4, quorum: 1, name: 'weekly', idempotencyKey: 'monday' };
  const { value, ...rest } = await client.ask<{ trips: number }>(work, { fleet: 7 }, settings);
  assert.equal(value.trips, 3);
  assert.deepEqual(rest, { complete: false, missing: [1, 3], failed: 0 });
  const { id, ...asked } = api.asked[0] ?? assert.fail();
  assert.match(String(id), /^[0-9a-z]{24}$/, 'its id is made of the key');
  assert.deepEqual(asked, {
    ...{
      work: 'fleet-report',
      name: 'weekly',
      input: { fleet: 7 },
      deadlineMs: 10_000,
      enough: 4,
      quorum: 1,
    },
  });
});

test('a master that does not wait is followed by its events to the end', async (t) => {
  const { api, client, finish } = await served(t);
  const unheeding = new Client({
    master: client.master,
    fetch: (url, init) => {
      const headers = new Headers(init?.headers);
      headers.delete('prefer');
      return fetch(url, { ...init, headers });
    },
  });
  const asking = unheeding.ask('fleet-report', null, { deadline: 2_500 });
  const asked = await new Promise<EpicStatus>((resolve) => {
    api.onAsked = resolve;
  });
  assert.equal(api.asked[0]?.deadlineMs, 2_500);
  finish(asked);
  assert.deepEqual((await asking).value, null);
});

test('a gather that failed is epic_failed, with its own code in the words; its answers can be read', async (t) => {
  const { api, client } = await served(t);
  const fault = { code: 'fleet_unknown', message: 'no fleet 8' };
  api.onAsked = (epic) => setImmediate(() => api.change(epic.id, { state: 'failed', fault }));
  const asking = client.ask('fleet-report', { fleet: 8 });
  await assert.rejects(asking, { code: 'epic_failed', message: /failed: fleet_unknown: no fleet 8/ });
  api.replies = ['ä'.repeat(100_000), { n: 1 }];
  const seen = [];
  for await (const result of client.results('epic-1')) seen.push(result);
  assert.deepEqual(seen, [
    { unit: 0, answer: api.replies[0] },
    { unit: 1, answer: { n: 1 } },
  ]);
  api.add({ id: 'plain' });
  await assert.rejects(client.results('plain').next(), { code: 'wrong_state' });
  await assert.rejects(client.result('plain'), { code: 'wrong_state' });
});

test('gather resolves at once; the handle gives the status also where GET redirects, and the result', async (t) => {
  const { api, client, finish } = await served(t);
  const epic = await client.gather('fleet-report', [1, 2], { name: 'w' });
  assert.equal(epic.first.state, 'scattering');
  assert.equal(isOver(epic.first.state), false);
  await assert.rejects(epic.result(), { code: 'wrong_state' });
  finish(api.epic('w') as EpicStatus);
  assert.equal((await epic.status()).state, 'finished', 'a 303 carries the epic');
  assert.equal((await epic.wait()).state, 'finished');
  assert.equal((await epic.result()).complete, true);
});

test('a submit with a key makes one epic, uploaded or not', async (t) => {
  const { api, client } = await served(t);
  const submit = { work: 'greet', source: range(0, 3), idempotencyKey: 'k "1"' };
  await assert.rejects(client.submit(submit), { code: 'bad_request', message: /idempotency-key/ });
  const key = { work: 'greet', idempotencyKey: 'k1' };
  const first = await client.submit({ ...key, source: range(0, 3) });
  assert.equal((await client.submit({ ...key, source: range(0, 3) })).id, first.id);
  async function* input() {
    yield Buffer.from('email\nx@y.z\n');
  }
  const upload = () => client.submit({ work: 'greet', idempotencyKey: 'k2', source: stdin('csv', input()) });
  assert.equal((await upload()).id, (await upload()).id);
  assert.equal(api.all.length, 2);
});

test('lines are cut where they end, whatever the pieces are', async () => {
  const text = Buffer.from('{"a":"ü"}\n\n{"b":2}\nlast');
  for (const size of [1, 2, 3, 100]) {
    async function* pieces() {
      for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size);
    }
    const lines = [];
    for await (const line of linesOf(pieces())) lines.push(line);
    assert.deepEqual(lines, ['{"a":"ü"}', '', '{"b":2}', 'last'], `pieces of ${size}`);
  }
});
