/** Asking a gather over HTTP: 202, waiting, 303, the result and its raw answers, ETags, and keys that make one epic. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { InjectOptions } from 'fastify';
import type { EpicStatus, GatherStatus } from '../../../shared/protocol/api.ts';
import { ask, build, get } from './asking.ts';
import { type FakeMaster, statusOf } from './fakeMaster.ts';
import { serveFake } from './server.ts';

function gatherOf(epic: EpicStatus, fields: Partial<GatherStatus>): GatherStatus {
  assert.ok(epic.gather);
  return { ...epic.gather, ...fields };
}

function finish(api: FakeMaster, epic: EpicStatus, value: unknown): void {
  api.value = JSON.stringify(value);
  const totals = { ...statusOf('x').totals, succeeded: 10, outstanding: 0 };
  const gather = gatherOf(epic, { phase: 'fold', responses: 10, complete: true });
  api.change(epic.id, { state: 'finished', totals, gather, finishedAt: '2024-01-01T00:00:01.000Z' });
}

test('asked: 202, Location, status and eta; polled: 200 with responses-received, then 303 to the result', async (t) => {
  const { app, api } = build(t);
  const asked = await app.inject(
    ask({ input: { fleet: 7 }, deadline: '10s', enough: 3, quorum: 1, name: 'weekly' }),
  );
  assert.equal(asked.statusCode, 202, asked.body);
  assert.equal(asked.headers.location, '/v1/epics/epic-1');
  const { status, eta, links } = asked.json();
  assert.deepEqual([status, eta], ['running', '2024-01-01T00:00:10.000Z']);
  assert.deepEqual(links, {
    self: '/v1/epics/epic-1',
    result: '/v1/epics/epic-1/result',
    results: '/v1/epics/epic-1/results',
  });
  const settings = { name: 'weekly', deadlineMs: 10_000, enough: 3, quorum: 1 };
  assert.deepEqual(api.asked, [{ work: 'fleet-report', input: { fleet: 7 }, ...settings }]);

  const epic = api.epic('weekly') as EpicStatus;
  api.change('epic-1', {
    state: 'running',
    gather: gatherOf(epic, { phase: 'work', items: 10, responses: 4 }),
  });
  const polled = await app.inject(get('/v1/epics/epic-1'));
  assert.deepEqual(
    [polled.statusCode, polled.json()['responses-received'], polled.json().status],
    [200, 4, 'running'],
  );
  const early = await app.inject(get('/v1/epics/epic-1/result'));
  assert.deepEqual([early.statusCode, early.json().code], [409, 'wrong_state']);
  assert.match(
    early.json().detail,
    /running and has no result yet; it takes answers until 2024-01-01T00:00:10/,
  );

  finish(api, epic, { trips: [1, 'ü'] });
  const over = await app.inject(get('/v1/epics/epic-1'));
  assert.deepEqual([over.statusCode, over.headers.location], [303, '/v1/epics/epic-1/result']);
  assert.equal(over.json().state, 'finished', 'the epic itself is in the body of the redirect');
  const result = await app.inject(get(String(over.headers.location)));
  assert.equal(result.statusCode, 200);
  assert.deepEqual(result.json(), { complete: true, missing: [], failed: 0, value: { trips: [1, 'ü'] } });
  assert.equal(Number(result.headers['content-length']), Buffer.byteLength(result.body));
});

test('Prefer: wait answers with the result that is there in time, and 202 where it is not', async (t) => {
  const { app, api } = build(t);
  api.onAsked = (epic) => setImmediate(() => finish(api, epic, [1, 2]));
  const done = await app.inject(ask({ input: null }, { prefer: 'respond-async, wait=10' }));
  assert.equal(done.statusCode, 200, done.body);
  assert.deepEqual(done.json().value, [1, 2]);
  assert.equal(done.headers['preference-applied'], 'wait=10');
  assert.equal(done.headers.location, '/v1/epics/epic-1');
  assert.equal(done.headers['content-location'], '/v1/epics/epic-1/result');
  api.onAsked = () => {};
  const late = await app.inject(ask({ input: null }, { prefer: 'wait=0' }));
  assert.deepEqual([late.statusCode, late.json().status], [202, 'running']);
  assert.equal(late.headers['preference-applied'], 'wait=0');
  const other = await app.inject(ask({ input: null }, { prefer: 'handling=lenient' }));
  assert.deepEqual([other.statusCode, other.headers['preference-applied']], [202, undefined]);
  assert.equal(api.listening, 1, 'only /v1/events listens on');
});

test('one that fails within the wait answers with its problem and where its answers are', async (t) => {
  const { app, api } = build(t);
  const fault = { code: 'quorum_missed', message: '1 answered, of at least 5' };
  api.onAsked = (epic) => setImmediate(() => api.change(epic.id, { state: 'failed', fault }));
  const failed = await app.inject(ask({ input: null }, { prefer: 'wait=60' }));
  assert.equal(failed.statusCode, 409);
  assert.match(String(failed.headers['content-type']), /^application\/problem\+json/);
  assert.deepEqual(failed.json(), {
    type: 'urn:gimmework:error:quorum_missed',
    title: 'quorum missed',
    status: 409,
    detail: 'gather epic-1 failed: quorum_missed: 1 answered, of at least 5; its answers are kept',
    code: 'quorum_missed',
    retryable: false,
    fault,
    links: { self: '/v1/epics/epic-1', results: '/v1/epics/epic-1/results' },
  });
  assert.equal((await app.inject(get('/v1/epics/epic-1'))).statusCode, 200, 'a failed one is not redirected');
  assert.equal((await app.inject(get('/v1/epics/epic-1/result'))).json().code, 'quorum_missed');
  api.onAsked = (epic) =>
    setImmediate(() => api.change(epic.id, { state: 'cancelled', reason: 'wrong fleet' }));
  const cancelled = await app.inject(ask({ input: null }, { prefer: 'wait=60' }));
  assert.deepEqual([cancelled.statusCode, cancelled.json().code], [409, 'epic_failed']);
  assert.match(cancelled.json().detail, /was cancelled: wrong fleet/);
});

test('a wait ends when who waits has gone, and when the master stops', async (t) => {
  const { api, port, app } = await serveFake(t);
  const wait = () => {
    const socket = connect(port, '127.0.0.1');
    const body = '{"input":null}';
    const head =
      'POST /v1/gathers/g HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nprefer: wait=60\r\n';
    socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
    return socket;
  };
  const asked = () =>
    new Promise<void>((resolve) => {
      api.onAsked = () => setImmediate(resolve);
    });
  const first = asked();
  const gone = wait();
  await first;
  assert.equal(api.listening, 2, 'events, and the wait');
  gone.destroy();
  for (let i = 0; api.listening > 1 && i < 1_000; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(api.listening, 1);
  const second = asked();
  const open = wait();
  await second;
  const closing = app.close();
  let text = '';
  open.on('data', (chunk) => {
    text += String(chunk);
  });
  await once(open, 'close');
  await closing;
  assert.match(text, /^HTTP\/1\.1 202 /);
});

test('answers leave as NDJSON or CSV, also before the end; an epic that is no gather has none', async (t) => {
  const { app, api } = build(t);
  await app.inject(ask({ input: null }));
  api.replies = [{ name: 'a "b"', n: 1 }, 'two\nlines', null];
  const lines = await app.inject(get('/v1/epics/epic-1/results'));
  assert.match(String(lines.headers['content-type']), /^application\/x-ndjson/);
  assert.equal(
    lines.body,
    '{"unit":0,"answer":{"name":"a \\"b\\"","n":1}}\n{"unit":1,"answer":"two\\nlines"}\n{"unit":2,"answer":null}\n',
  );
  const csv = await app.inject(get('/v1/epics/epic-1/results', { accept: 'text/csv' }));
  assert.match(String(csv.headers['content-type']), /^text\/csv/);
  assert.equal(
    csv.body,
    'unit,answer\r\n0,"{""name"":""a \\""b\\"""",""n"":1}"\r\n1,"""two\\nlines"""\r\n2,"null"\r\n',
  );
  assert.equal((await app.inject(get('/v1/epics/epic-1/results?format=csv'))).body, csv.body);
  api.add({ id: 'plain' });
  for (const url of ['/v1/epics/plain/results', '/v1/epics/plain/result']) {
    const refused = await app.inject(get(url));
    assert.deepEqual([refused.statusCode, refused.json().code], [409, 'wrong_state'], url);
  }
});

test('a value of any size is streamed, never held whole', async (t) => {
  const { url, api } = await serveFake(t);
  const epic = await api.gather({ work: 'g', input: null });
  finish(api, epic, null);
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  const chunks = 200;
  let made = 0;
  let taken = 0;
  let ahead = 0;
  async function* parts() {
    yield Buffer.from('"');
    for (; made < chunks; made++) {
      ahead = Math.max(ahead, made * chunk.length - taken);
      yield chunk;
    }
    yield Buffer.from('"');
  }
  api.result = async () => ({
    ...{ complete: false, missing: [3, 5], failed: 1, bytes: chunks * chunk.length + 2 },
    value: Readable.from(parts(), { objectMode: false }),
  });
  const answer = await fetch(`${url}/v1/epics/${epic.id}/result`);
  for await (const piece of answer.body as unknown as AsyncIterable<Uint8Array>) taken += piece.length;
  assert.equal(taken, Number(answer.headers.get('content-length')));
  assert.equal(made, chunks);
  assert.ok(ahead < 20 * 1024 * 1024, `${ahead} bytes were made ahead of what was read`);
});

test('an ETag names what is durable: 304 while it stands, another once it changed, 412 on a stale change', async (t) => {
  const { app, api } = build(t);
  api.add({ id: 'weekly' });
  const first = await app.inject(get('/v1/epics/weekly'));
  const etag = String(first.headers.etag);
  assert.match(etag, /^"[\w-]{22}"$/);
  api.change('weekly', { rate: 12.5, leased: 3, workers: 2, bottleneck: 'workers', etaMs: 5 });
  const same = await app.inject(get('/v1/epics/weekly', { 'if-none-match': `"other", W/${etag}` }));
  assert.deepEqual([same.statusCode, same.body, same.headers.etag], [304, '', etag]);
  api.change('weekly', { totals: { ...statusOf('x').totals, succeeded: 1, outstanding: 9 } });
  const changed = await app.inject(get('/v1/epics/weekly', { 'if-none-match': etag }));
  assert.equal(changed.statusCode, 200);
  const now = String(changed.headers.etag);
  assert.notEqual(now, etag);
  const change = (url: string, method: 'POST' | 'PATCH', payload: unknown, match: string): InjectOptions => ({
    ...{
      method,
      url: `/v1/epics/weekly${url}`,
      headers: { 'content-type': 'application/json', 'if-match': match },
    },
    payload: JSON.stringify(payload),
  });
  const calls = [
    ['', 'PATCH', { paused: true }],
    ['/cancel', 'POST', { reason: 'x' }],
    ['/retry', 'POST', {}],
  ] as const;
  for (const [url, method, body] of calls) {
    const stale = await app.inject(change(url, method, body, `W/${now}, ${etag}`));
    assert.deepEqual([stale.statusCode, stale.json().code], [412, 'precondition_failed'], url);
  }
  assert.equal(api.epic('weekly')?.state, 'running');
  assert.equal((await app.inject(change('', 'PATCH', { paused: true }, now))).statusCode, 200);
  const paused = String((await app.inject(get('/v1/epics/weekly'))).headers.etag);
  assert.notEqual(paused, now);
  assert.equal((await app.inject(change('/cancel', 'POST', { reason: 'x' }, '*'))).statusCode, 200);
});

test('one idempotency key makes one gather and one epic; another payload is a conflict', async (t) => {
  const { app, api, spool } = build(t);
  const key = { 'idempotency-key': '"fleet-7-monday"' };
  const first = await app.inject(ask({ input: { fleet: 7 } }, key));
  const again = await app.inject(ask({ input: { fleet: 7 } }, { 'idempotency-key': 'fleet-7-monday' }));
  assert.deepEqual([first.statusCode, again.statusCode], [202, 202]);
  assert.equal(again.json().id, first.json().id);
  assert.match(first.json().id, /^[0-9a-z]{24}$/);
  assert.equal(api.asked.length, 1);
  const other = await app.inject(ask({ input: { fleet: 8 } }, key));
  assert.deepEqual([other.statusCode, other.json().code], [422, 'idempotency_conflict']);

  const upload = (brief: string): InjectOptions => ({
    ...{ method: 'POST', url: `/v1/epics?work=greet&brief=${brief}`, payload: 'email\na@b.c\n' },
    headers: { 'content-type': 'text/csv', 'idempotency-key': 'weekly-47' },
  });
  const one = await spoolBrief(app, '"one"');
  const made = await app.inject(upload(one));
  assert.equal(made.statusCode, 202, made.body);
  assert.equal((await app.inject(upload(one))).json().id, made.json().id);
  const kept = spool.kept.size;
  assert.equal((await app.inject(upload(await spoolBrief(app, '"two"')))).statusCode, 422);
  assert.equal(spool.kept.size, kept, 'what made no epic is not kept');
  assert.equal(api.all.length, 2);
});

async function spoolBrief(app: ReturnType<typeof build>['app'], payload: string): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  return (await app.inject({ method: 'POST', url: '/v1/briefs', headers, payload })).json().hash;
}
