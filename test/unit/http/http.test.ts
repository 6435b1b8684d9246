import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { buildHttp } from '../../../master/io/http.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { within } from '../../cluster/signals.ts';
import { fakeParts, serveFake } from './server.ts';

/** Far less than a request that never ends would hold it up. */
const CLOSE_MS = 30_000;
const RANGE = { work: 'greet', source: { type: 'range', from: 0, to: 10 } };

function build(t: TestContext) {
  const parts = fakeParts();
  const app = buildHttp(parts);
  t.after(() => app.close());
  return { ...parts, app };
}

test('a JSON submit of a range answers 202, Location and the epic', async (t) => {
  const { app, api } = build(t);
  const payload = { ...RANGE, name: 'weekly', brief: { text: 'hi' } };
  const answer = await app.inject({ method: 'POST', url: '/v1/epics', payload });
  assert.equal(answer.statusCode, 202);
  assert.equal(answer.headers.location, '/v1/epics/epic-1');
  const body = answer.json();
  assert.equal(body.status, 'running');
  assert.equal(body.links.self, '/v1/epics/epic-1');
  assert.equal(body.name, 'weekly');
  const source = { type: 'range', from: 0, to: 10 };
  assert.deepEqual(api.submitted, [{ work: 'greet', name: 'weekly', source, brief: { text: 'hi' } }]);
});

test('a source of workers is submitted by its name, with what it is given as JSON text', async (t) => {
  const { app, api, spool } = build(t);
  const source = { type: 'named', name: 'crm', args: { table: 'contacts' } };
  for (const given of [source, { type: 'named', name: 'crm' }]) {
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/epics',
      payload: { work: 'greet', source: given },
    });
    assert.equal(answer.statusCode, 202);
  }
  const [first, second] = api.submitted.map((submitted) => submitted.source);
  assert.ok(first?.type === 'named' && second?.type === 'named');
  assert.deepEqual([first.name, first.args, second.args], ['crm', '{"table":"contacts"}', 'null']);
  assert.notEqual(first.id, second.id);
  assert.equal(spool.kept.size, 0, 'nothing is read yet');
});

test('units in a JSON submit are spooled as lines', async (t) => {
  const { app, api, spool } = build(t);
  const payload = { work: 'greet', source: { type: 'units', units: [{ a: 1 }, 'two\nlines', null] } };
  const answer = await app.inject({ method: 'POST', url: '/v1/epics', payload });
  assert.equal(answer.statusCode, 202);
  const [kept] = [...spool.kept.values()];
  assert.equal(String(kept), '{"a":1}\n"two\\nlines"\nnull\n');
  assert.equal(api.submitted[0]?.source.type, 'spool');
});

test('a CSV upload is spooled as it is, with a brief put before', async (t) => {
  const { app, api, spool, briefs } = build(t);
  const text = '{"subject": "Ünï",  "n": 1}';
  const headers = { 'content-type': 'application/json' };
  const put = await app.inject({ method: 'POST', url: '/v1/briefs', headers, payload: text });
  assert.equal(put.statusCode, 201);
  assert.equal(String(briefs.kept.get(put.json().hash)), text);
  const url = `/v1/epics?work=greet&name=n1&brief=${put.json().hash}`;
  const csv = { 'content-type': 'text/csv; charset=UTF-8' };
  const answer = await app.inject({ method: 'POST', url, headers: csv, payload: 'email\r\na@b.c\r\n' });
  assert.equal(answer.statusCode, 202, answer.body);
  assert.equal(String([...spool.kept.values()][0]), 'email\r\na@b.c\r\n');
  assert.deepEqual(api.submitted[0]?.brief, { subject: 'Ünï', n: 1 });
  const format = api.submitted[0]?.source;
  assert.equal(format?.type === 'spool' && format.format, 'csv');
});

const json = (payload: string): InjectOptions => ({
  method: 'POST',
  url: '/v1/epics',
  headers: { 'content-type': 'application/json' },
  payload,
});
const field = (extra: object): InjectOptions => json(JSON.stringify({ ...RANGE, ...extra }));
const upload = (query: string, headers: Record<string, string> = {}): InjectOptions => ({
  method: 'POST',
  url: `/v1/epics?${query}`,
  headers: { 'content-type': 'text/csv', ...headers },
  payload: 'email\na@b.c\n',
});
const get = (url: string): InjectOptions => ({ method: 'GET', url });
const cancel = (payload: string): InjectOptions => ({ ...json(payload), url: '/v1/epics/epic-1/cancel' });

const REFUSED: [string, InjectOptions, number, string, RegExp][] = [
  [
    'no work',
    json('{"source":{"type":"range","from":0,"to":1}}'),
    400,
    'bad_request',
    /field work is missing/,
  ],
  ['work with a slash', field({ work: '../x' }), 400, 'bad_request', /field work must be/],
  ['work of a wrong type', field({ work: 5 }), 400, 'bad_request', /field work/],
  ['name with a space', field({ name: 'a b' }), 400, 'bad_request', /field name/],
  ['unknown field', field({ colour: 'red' }), 400, 'bad_request', /unknown field "colour"; known are work/],
  ['deadline in the past', field({ deadline: '-2m' }), 422, 'bad_deadline', /deadline is in the past/],
  ['deadline of an upload, zero', upload('work=w&deadline=0s'), 422, 'bad_deadline', /deadline is zero/],
  ['deadline too long', field({ deadline: '31d' }), 400, 'bad_request', /too long: at most 30d/],
  ['priority', field({ priority: 1 }), 400, 'bad_request', /"priority" is not supported yet/],
  ['rate', field({ rate: '5/s' }), 400, 'bad_request', /"rate" is not supported yet/],
  ['replyTo without a secret', field({ replyTo: 'http://x.example' }), 422, 'bad_reply_to', /no secret/],
  ['replyTo of an upload', upload('work=w&replyTo=ftp%3A%2F%2Fx'), 422, 'bad_reply_to', /must be a webhook/],
  ['key', upload('work=w&key=email'), 400, 'bad_request', /"key" is not supported yet/],
  ['no source', json('{"work":"w"}'), 400, 'bad_request', /field source must be/],
  ['source of no type', field({ source: { from: 1 } }), 400, 'bad_request', /field source must be/],
  [
    'range with text',
    field({ source: { type: 'range', from: '0', to: 1 } }),
    400,
    'bad_request',
    /source\.from/,
  ],
  [
    'range below 0',
    field({ source: { type: 'range', from: -1, to: 1 } }),
    400,
    'bad_request',
    /source\.from/,
  ],
  [
    'range of halves',
    field({ source: { type: 'range', from: 0, to: 1.5 } }),
    400,
    'bad_request',
    /source\.to/,
  ],
  ['range backwards', field({ source: { type: 'range', from: 2, to: 1 } }), 400, 'bad_request', /source\.to/],
  [
    'range with step',
    field({ source: { type: 'range', from: 0, to: 1, by: 2 } }),
    400,
    'bad_request',
    /"by"/,
  ],
  ['source without a name', field({ source: { type: 'named' } }), 400, 'bad_request', /source\.name/],
  [
    'source with a path',
    field({ source: { type: 'named', name: 'a/b' } }),
    400,
    'bad_request',
    /source\.name/,
  ],
  [
    'source with rows',
    field({ source: { type: 'named', name: 'crm', rows: 1 } }),
    400,
    'bad_request',
    /unknown field "rows"/,
  ],
  [
    'source with large args',
    field({ source: { type: 'named', name: 'crm', args: 'x'.repeat(4_095) } }),
    400,
    'bad_request',
    /source\.args is over 4096/,
  ],
  ['units no list', field({ source: { type: 'units', units: {} } }), 400, 'bad_request', /source\.units/],
  ['body a list', json('[]'), 400, 'bad_request', /the body must be an object/],
  ['body null', json('null'), 400, 'bad_request', /the body must be an object/],
  ['body empty', json(''), 400, 'bad_request', /empty/],
  ['body no JSON', json('{"work":'), 400, 'bad_request', /JSON/],
  ['__proto__', json('{"work":"w","brief":{"__proto__":{"a":1}}}'), 400, 'bad_request', /__proto__/],
  ['escaped __proto__', json('{"\\u005f_proto__":{"a":1}}'), 400, 'bad_request', /__proto__/],
  ['constructor', json('{"brief":{"constructor":{"prototype":{}}}}'), 400, 'bad_request', /constructor/],
  ['depth bomb', json('['.repeat(2_000_000)), 400, 'bad_request', /64 levels/],
  [
    'query beside JSON',
    { ...field({}), url: '/v1/epics?work=w' },
    400,
    'bad_request',
    /unknown field "work"/,
  ],
  ['upload without work', upload('name=x'), 400, 'bad_request', /field work is missing/],
  ['work twice', upload('work=a&work=b'), 400, 'bad_request', /field work/],
  ['unknown parameter', upload('work=w&x=1'), 400, 'bad_request', /unknown field "x"/],
  ['brief not put', upload('work=w&brief=nope'), 400, 'bad_request', /field brief: no brief nope/],
  ['brief as a path', upload('work=w&brief=..%2Fx'), 400, 'bad_request', /field brief must be/],
  [
    'idempotency key',
    upload('work=w', { 'idempotency-key': 'a b' }),
    400,
    'bad_request',
    /idempotency-key must be/,
  ],
  ['compressed', upload('work=w', { 'content-encoding': 'gzip' }), 400, 'bad_request', /content-encoding/],
  [
    'other charset',
    upload('work=w', { 'content-type': 'text/csv; charset=latin1' }),
    400,
    'bad_request',
    /charset/,
  ],
  [
    'other media type',
    upload('work=w', { 'content-type': 'text/plain' }),
    400,
    'bad_request',
    /Content-Type/,
  ],
  ['no such call', get('/v2/epics'), 404, 'not_found', /no call GET \/v2\/epics/],
  ['no such epic', get('/v1/epics/nobody'), 404, 'not_found', /nobody/],
  ['epic as a path', get('/v1/epics/..%2F..%2Fetc'), 404, 'not_found', /no epic/],
  ['bad escape', get('/v1/epics/%zz'), 400, 'bad_request', /%zz/],
  ['very long id', get(`/v1/epics/${'x'.repeat(900)}`), 404, 'not_found', /no epic/],
  ['limit 0', get('/v1/epics?limit=0'), 400, 'bad_request', /field limit/],
  ['limit too high', get('/v1/epics?limit=501'), 400, 'bad_request', /field limit/],
  ['limit no number', get('/v1/epics?limit=1e2'), 400, 'bad_request', /field limit/],
  ['state unknown', get('/v1/epics?state=paused'), 400, 'bad_request', /running, finished/],
  ['list by colour', get('/v1/epics?colour=red'), 400, 'bad_request', /unknown field "colour"/],
  ['get with a query', get('/v1/epics/epic-1?wait=1'), 400, 'bad_request', /unknown field "wait"/],
  ['cancel without reason', cancel('{}'), 400, 'bad_request', /field reason/],
  ['cancel with blanks', cancel('{"reason":"  "}'), 400, 'bad_request', /field reason/],
  [
    'cancel too wordy',
    cancel(JSON.stringify({ reason: 'x'.repeat(501) })),
    400,
    'bad_request',
    /500 characters/,
  ],
  ['cancel too large', cancel(JSON.stringify({ reason: 'x'.repeat(70_000) })), 413, 'too_large', /larger/],
];

for (const [name, request, status, code, detail] of REFUSED) {
  test(`refused in one line with a stable code: ${name}`, async (t) => {
    const { app, api, spool } = build(t);
    const answer = await app.inject(request);
    assert.equal(answer.statusCode, status, answer.body);
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    const problem = answer.json();
    assert.equal(problem.code, code);
    assert.equal(problem.status, status);
    assert.equal(problem.retryable, false);
    assert.match(problem.detail, detail);
    assert.doesNotMatch(problem.detail, /\n|\bat .*\.[jt]s:/);
    assert.equal(api.submitted.length, 0);
    assert.equal(spool.kept.size, 0);
  });
}

test('a body that is not UTF-8 is refused', async (t) => {
  const { app } = build(t);
  const headers = { 'content-type': 'application/json' };
  const payload = Buffer.from([0x22, 0xff, 0xfe, 0x22]);
  const answer = await app.inject({ method: 'POST', url: '/v1/briefs', headers, payload });
  assert.equal(answer.statusCode, 400);
  assert.match(answer.json().detail, /UTF-8/);
});

test('a submit that the master refuses leaves no spool', async (t) => {
  const { app, api, spool } = build(t);
  api.fault = new GimmeError('too_many_epics', 'there are too many epics');
  const answer = await app.inject(upload('work=w'));
  assert.equal(answer.statusCode, 503);
  assert.equal(answer.json().code, 'too_many_epics');
  assert.equal(answer.json().retryable, true);
  assert.equal(spool.kept.size, 0);
  assert.equal(spool.removed.length, 1);
});

test('an error without a code is a 500 that tells nothing, and is logged with its stack', async (t) => {
  const { app, api, log } = build(t);
  api.fault = new TypeError('secret of /inner/path');
  const answer = await app.inject(field({}));
  assert.equal(answer.statusCode, 500);
  assert.equal(answer.json().code, 'internal');
  assert.doesNotMatch(answer.body, /secret|inner|TypeError/);
  assert.match(
    log.lines.join('\n'),
    /secret of \/inner\/path.*fakeMaster|secret of \/inner\/path.*http\.test/,
  );
});

test('pages of epics link to the next one until the last', async (t) => {
  const { app, api } = build(t);
  for (let i = 0; i < 5; i++) api.add({ work: i === 2 ? 'other' : 'greet' });
  const seen: string[] = [];
  let url: string | undefined = '/v1/epics?limit=2&work=greet';
  while (url !== undefined) {
    const answer: LightMyRequestResponse = await app.inject(get(url));
    assert.equal(answer.statusCode, 200);
    seen.push(...answer.json().epics.map((e: { id: string }) => e.id));
    url = /<([^>]+)>; rel="next"/.exec(String(answer.headers.link ?? ''))?.[1];
    assert.equal(answer.json().next !== undefined, url !== undefined);
  }
  assert.deepEqual(seen, ['epic-5', 'epic-4', 'epic-2', 'epic-1']);
});

test('a name stands for its newest epic, but cancels none of several', async (t) => {
  const { app, api } = build(t);
  api.add({ name: 'weekly' });
  api.add({ name: 'weekly' });
  assert.equal((await app.inject(get('/v1/epics/weekly'))).json().id, 'epic-2');
  const by = (id: string): InjectOptions => ({ ...json('{"reason":"why"}'), url: `/v1/epics/${id}/cancel` });
  const refused = await app.inject(by('weekly'));
  assert.equal(refused.statusCode, 409);
  assert.equal(refused.json().code, 'ambiguous_name');
  const cancelled = await app.inject(by('epic-1'));
  assert.equal(cancelled.statusCode, 200);
  assert.deepEqual([cancelled.json().state, cancelled.json().reason], ['cancelled', 'why']);
  assert.equal(api.epic('epic-2')?.state, 'running');
});

test('closing ends although sockets, a request and a subscriber are open', async () => {
  const parts = fakeParts();
  const app = buildHttp(parts);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as { port: number };
  const idle = connect(port, '127.0.0.1');
  const half = connect(port, '127.0.0.1');
  const upgraded = connect(port, '127.0.0.1');
  for (const socket of [idle, half, upgraded]) socket.on('error', () => {});
  await Promise.all([once(idle, 'connect'), once(half, 'connect'), once(upgraded, 'connect')]);
  half.write(
    'POST /v1/epics?work=w HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 99\r\n\r\nemail',
  );
  const key = 'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  upgraded.write(
    `GET /v1/events HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n${key}\r\n`,
  );
  await once(upgraded, 'data');
  await within(app.close(), () => 'the server to close under open connections', CLOSE_MS);
  assert.equal(parts.api.listening, 0, 'events are no longer listened to');
  for (const socket of [idle, half, upgraded]) socket.destroy();
});

test('bytes that are not HTTP get a problem document', async (t) => {
  const { port } = await serveFake(t);
  const socket = connect(port, '127.0.0.1');
  socket.end('nonsense\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.match(text, /application\/problem\+json/);
  assert.match(text, /"code":"bad_request"/);
});
