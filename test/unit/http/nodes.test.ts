/** The routes about nodes: health, readiness, workers and their drain; and the answer to a worker on the wrong link. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { buildHttp } from '../../../master/io/http.ts';
import { worker } from './fakeMaster.ts';
import { fakeParts } from './server.ts';

function build(t: TestContext) {
  const parts = fakeParts();
  const app = buildHttp(parts);
  t.after(() => app.close());
  return { ...parts, app };
}

const at = (url: string): InjectOptions => ({ method: 'GET', url });
const drain = (worker: string): InjectOptions => ({ method: 'POST', url: `/v1/workers/${worker}/drain` });

test('health, readiness and workers', async (t) => {
  const { app, api } = build(t);
  assert.deepEqual((await app.inject(at('/healthz'))).json(), { status: 'ok', version: '1.2.3' });
  assert.equal((await app.inject(at('/readyz'))).statusCode, 200);
  api.reason = 'the disk is full';
  const answer = await app.inject(at('/readyz'));
  assert.equal(answer.statusCode, 503);
  assert.match(answer.body, /the disk is full/);
  assert.deepEqual((await app.inject(at('/v1/workers'))).json(), { workers: [] });
});

test('a drain is accepted with the worker as it stands, by id and by name', async (t) => {
  const { app, api } = build(t);
  api.offered = [worker('w1', 'mail-1'), worker('w2', 'mail-2')];
  for (const [asked, id] of [
    ['w1', 'w1'],
    ['mail-2', 'w2'],
  ] as const) {
    const answer = await app.inject(drain(asked));
    assert.equal(answer.statusCode, 202, answer.body);
    assert.deepEqual(answer.json(), { ...api.offered.find((it) => it.id === id), state: 'draining' });
  }
});

const REFUSED: [string, InjectOptions, number, string, RegExp][] = [
  ['drain of nobody', drain('nobody'), 404, 'not_found', /no worker nobody/],
  ['drain of a path', drain('..%2Fx'), 404, 'not_found', /no worker has this id or name/],
  [
    'drain with a query',
    { ...drain('w1'), url: '/v1/workers/w1/drain?wait=1' },
    400,
    'bad_request',
    /unknown field "wait"/,
  ],
  ['drain with a body', { ...drain('w1'), payload: { force: true } }, 400, 'bad_request', /"force"/],
  [
    'drain by GET',
    { ...drain('w1'), method: 'GET' },
    404,
    'not_found',
    /no call GET \/v1\/workers\/w1\/drain/,
  ],
];

for (const [name, request, status, code, detail] of REFUSED) {
  test(`refused with a stable code, and nobody drains: ${name}`, async (t) => {
    const { app, api } = build(t);
    api.offered = [worker('w1', 'mail-1')];
    let drained = 0;
    api.onDrain = () => {
      drained += 1;
    };
    const answer = await app.inject(request);
    assert.equal(answer.statusCode, status, answer.body);
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    assert.equal(answer.json().code, code);
    assert.match(answer.json().detail, detail);
    assert.equal(drained, 0);
  });
}

test('a worker that comes by WebSocket where the link is another is refused, with the reason', async (t) => {
  const parts = fakeParts();
  const app = buildHttp({ ...parts, noLink: 'workers reach this master over NATS' });
  t.after(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  const ended = once(socket, 'end');
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  socket.write(
    'GET /v1/link?session=w1 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  );
  await ended;
  const [head = '', body = ''] = said.split('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 403 workers reach this master over NATS\r\n/);
  assert.equal(JSON.parse(body).code, 'link_refused');
});
