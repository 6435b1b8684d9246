/** Asking a gather over HTTP: 202, waiting, 303, the result and its raw answers, ETags, and keys that make one epic. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { buildHttp } from '../../../master/io/http.ts';
import type { EpicStatus, GatherStatus } from '../../../shared/protocol/api.ts';
import { type FakeMaster, statusOf } from './fakeMaster.ts';
import { fakeParts, serveFake } from './server.ts';

function build(t: TestContext) {
  const parts = fakeParts();
  const app = buildHttp(parts);
  t.after(() => app.close());
  return { ...parts, app };
}

const get = (url: string, headers: Record<string, string> = {}): InjectOptions => ({
  method: 'GET',
  url,
  headers,
});
const ask = (body: unknown, headers: Record<string, string> = {}): InjectOptions => ({
  method: 'POST',
  url: '/v1/gathers/fleet-report',
  headers: { 'content-type': 'application/json', ...headers },
  payload: JSON.stringify(body),
});

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
  assert.deepEqual([status, eta], ['scattering', '2024-01-01T00:00:10.000Z']);
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
  assert.deepEqual([late.statusCode, late.json().status], [202, 'scattering']);
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

const deep = `{"input":${'['.repeat(70)}${']'.repeat(70)}}`;
const raw = (payload: string): InjectOptions => ({ ...ask(null), payload });
const REFUSED: [string, InjectOptions, number, string, RegExp][] = [
  ['no body', raw(''), 400, 'bad_request', /the body is empty/],
  ['a list', ask([]), 400, 'bad_request', /the body must be an object/],
  ['no input', ask({ deadline: '1s' }), 400, 'bad_request', /field input is missing/],
  ['unknown field', ask({ input: 1, timeout: '1s' }), 400, 'bad_request', /unknown field "timeout"/],
  ['__proto__', raw('{"input":1,"__proto__":{"enough":1}}'), 400, 'bad_request', /__proto__/],
  ['__proto__ within', raw('{"input":{"__proto__":1}}'), 400, 'bad_request', /__proto__/],
  ['constructor', raw('{"input":{"constructor":{"prototype":1}}}'), 400, 'bad_request', /constructor/],
  ['depth bomb', raw(deep), 400, 'bad_request', /nested over 64 levels/],
  ['no JSON', raw('{"input":'), 400, 'bad_request', /not JSON/],
  [
    'work no id',
    { ...ask({ input: 1 }), url: '/v1/gathers/a%20b' },
    400,
    'bad_request',
    /field name must be/,
  ],
  [
    'work of every object',
    { ...ask({ input: 1 }), url: '/v1/gathers/constructor' },
    400,
    'bad_request',
    /name/,
  ],
  ['name no id', ask({ input: 1, name: 'a/b' }), 400, 'bad_request', /field name must be/],
  ['deadline a number', ask({ input: 1, deadline: 10 }), 400, 'bad_request', /field deadline must be/],
  ['deadline without unit', ask({ input: 1, deadline: '10' }), 400, 'bad_request', /with its unit/],
  [
    'deadline no duration',
    ask({ input: 1, deadline: 'soons' }),
    400,
    'bad_request',
    /field deadline must be/,
  ],
  ['deadline in the past', ask({ input: 1, deadline: '-5s' }), 400, 'bad_request', /is in the past/],
  ['deadline zero', ask({ input: 1, deadline: '0s' }), 400, 'bad_request', /deadline is zero/],
  ['deadline too long', ask({ input: 1, deadline: '31d' }), 400, 'bad_request', /too long: at most 30d/],
  [
    'deadline endless',
    ask({ input: 1, deadline: `${'9'.repeat(400)}d` }),
    400,
    'bad_request',
    /deadline must be/,
  ],
  ['enough zero', ask({ input: 1, enough: 0 }), 400, 'bad_request', /field enough must be .* from 1 on/],
  ['enough a text', ask({ input: 1, enough: '3' }), 400, 'bad_request', /field enough/],
  ['quorum of halves', ask({ input: 1, quorum: 1.5 }), 400, 'bad_request', /field quorum/],
  ['quorum below zero', ask({ input: 1, quorum: -1 }), 400, 'bad_request', /field quorum/],
  [
    'quorum above enough',
    ask({ input: 1, quorum: 3, enough: 2 }),
    400,
    'bad_request',
    /must not be above enough/,
  ],
  ['replyTo a number', ask({ input: 1, replyTo: 5 }), 400, 'bad_request', /field replyTo must be a text/],
  [
    'replyTo too long',
    ask({ input: 1, replyTo: `http://a/${'x'.repeat(3_000)}` }),
    400,
    'bad_request',
    /2048/,
  ],
  ['wait of no number', ask({ input: 1 }, { prefer: 'wait=soon' }), 400, 'bad_request', /whole seconds/],
  ['wait of nothing', ask({ input: 1 }, { prefer: 'wait' }), 400, 'bad_request', /whole seconds/],
  ['wait below zero', ask({ input: 1 }, { prefer: 'wait=-1' }), 400, 'bad_request', /whole seconds/],
  [
    'key empty',
    ask({ input: 1 }, { 'idempotency-key': '""' }),
    400,
    'bad_request',
    /idempotency-key must be/,
  ],
  [
    'key with blanks',
    ask({ input: 1 }, { 'idempotency-key': 'a b' }),
    400,
    'bad_request',
    /idempotency-key must/,
  ],
  ['key too long', ask({ input: 1 }, { 'idempotency-key': 'k'.repeat(256) }), 400, 'bad_request', /255/],
  [
    'query',
    { ...ask({ input: 1 }), url: '/v1/gathers/g?wait=1' },
    400,
    'bad_request',
    /unknown field "wait"/,
  ],
  ['other type', ask({ input: 1 }, { 'content-type': 'text/plain' }), 400, 'bad_request', /Content-Type/],
  [
    'CSV',
    { ...ask(null, { 'content-type': 'text/csv' }), payload: 'a\n1\n' },
    400,
    'bad_request',
    /Content-Type/,
  ],
  ['if-match on asking', ask({ input: 1 }, { 'if-match': '*' }), 400, 'bad_request', /if-match is not taken/],
  [
    'prefer on a submit',
    { ...get('/v1/epics'), headers: { prefer: 'wait=1' } },
    400,
    'bad_request',
    /prefer is not/,
  ],
  ['result of nobody', get('/v1/epics/nobody/result'), 404, 'not_found', /nobody/],
  ['results of nobody', get('/v1/epics/nobody/results'), 404, 'not_found', /nobody/],
  ['results by a path', get('/v1/epics/..%2Fx/results'), 404, 'not_found', /no epic/],
  ['results in XML', get('/v1/epics/nobody/results?format=xml'), 400, 'bad_request', /field format/],
  ['result with a query', get('/v1/epics/nobody/result?x=1'), 400, 'bad_request', /unknown field "x"/],
  ['a gather asked by GET', get('/v1/gathers/fleet-report'), 404, 'not_found', /no call GET/],
  ['cursor of units', get('/v1/epics/here/units?cursor=-1'), 400, 'bad_request', /field cursor/],
  ['cursor of epics', get('/v1/epics?cursor=a%2Fb'), 400, 'bad_request', /field cursor/],
];

for (const [name, request, status, code, detail] of REFUSED) {
  test(`refused in one line with a stable code: ${name}`, async (t) => {
    const { app, api } = build(t);
    api.add({ id: 'here' });
    const answer = await app.inject(request);
    assert.equal(answer.statusCode, status, answer.body);
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    const problem = answer.json();
    assert.deepEqual([problem.code, problem.status], [code, status]);
    assert.match(problem.detail, detail);
    assert.doesNotMatch(problem.detail, /\n|\bat .*\.[jt]s:/);
    assert.equal(api.asked.length, 0);
  });
}

test('an oversized body is refused with its own code, and leaves nothing', async (t) => {
  const { app, api } = build(t);
  const answer = await app.inject(ask({ input: 'x'.repeat(27 * 1024 * 1024) }));
  assert.deepEqual([answer.statusCode, answer.json().code], [413, 'too_large']);
  assert.equal(api.asked.length, 0);
});
