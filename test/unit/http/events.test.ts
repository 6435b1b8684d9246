import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import type { ShownEpic } from '../../../master/io/epicShown.ts';
import { EVENTS_EPICS_MAX } from '../../../shared/core/limits.ts';
import type { EventMessage } from '../../../shared/protocol/api.ts';
import { serveFake } from './server.ts';

type Served = Awaited<ReturnType<typeof serveFake>>;

function subscribe(t: TestContext, { port }: Served, query = '', headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/events${query}`, { headers });
  t.after(() => socket.terminate());
  const messages: EventMessage[] = [];
  let wake = (): void => {};
  socket.on('message', (data) => {
    messages.push(JSON.parse((data as Buffer).toString()) as EventMessage);
    wake();
  });
  const next = async (): Promise<EventMessage> => {
    while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return messages.shift() as EventMessage;
  };
  return { socket, next };
}

/** What a refused upgrade is answered. */
async function refusal(t: TestContext, served: Served, path: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${served.port}${path}`, { headers });
  t.after(() => socket.terminate());
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, problem: JSON.parse(text) };
}

test('a subscriber gets a snapshot, then what changed', async (t) => {
  const served = await serveFake(t);
  served.api.add();
  served.api.add();
  const { next } = subscribe(t, served);
  const snapshot = await next();
  assert.equal(snapshot.type, 'snapshot');
  assert.deepEqual(
    snapshot.epics.map((e) => e.id),
    ['epic-2', 'epic-1'],
  );
  served.api.change('epic-1', { rate: 7 });
  const changed = await next();
  assert.equal(changed.type, 'changed');
  assert.deepEqual(
    changed.epics.map((e) => [e.id, e.rate]),
    [['epic-1', 7]],
  );
});

test('a gather is told as by every call: running with its responses, and at its end with the link of its result', async (t) => {
  const served = await serveFake(t);
  const { id, gather } = await served.api.gather({ work: 'quotes', input: null });
  const { next } = subscribe(t, served, `?epic=${id}`);
  const told = async () => {
    const { status, state, 'responses-received': responses, links } = (await next()).epics[0] as ShownEpic;
    return { status, state, responses, result: links.result };
  };
  const result = `/v1/epics/${id}/result`;
  assert.deepEqual(await told(), { status: 'running', state: 'scattering', responses: 0, result });
  assert.ok(gather);
  served.api.change(id, { state: 'finished', gather: { ...gather, responses: 3, complete: true } });
  assert.deepEqual(await told(), { status: 'finished', state: 'finished', responses: 3, result });
});

test('a subscriber of one epic, by id or name, hears of no other', async (t) => {
  const served = await serveFake(t);
  served.api.add({ name: 'weekly' });
  served.api.add();
  const { next } = subscribe(t, served, '?epic=weekly');
  assert.deepEqual(
    (await next()).epics.map((e) => e.id),
    ['epic-1'],
  );
  served.api.change('epic-2', { rate: 1 });
  served.api.change('epic-1', { rate: 2 });
  assert.deepEqual(
    (await next()).epics.map((e) => [e.id, e.rate]),
    [['epic-1', 2]],
  );
});

test('a storm of changes comes in messages of bounded size', async (t) => {
  const served = await serveFake(t);
  const { next } = subscribe(t, served);
  await next();
  const count = EVENTS_EPICS_MAX * 3 + 1;
  const ids = Array.from({ length: count }, (_, i) => served.api.add({ id: `e${i}` }).id);
  served.api.changeAll(ids);
  const seen = new Set<string>();
  while (seen.size < count) {
    const { epics } = await next();
    assert.ok(epics.length <= EVENTS_EPICS_MAX);
    for (const epic of epics) seen.add(epic.id);
  }
});

test('a page of another site is refused, its own is not', async (t) => {
  const served = await serveFake(t);
  const { status, problem } = await refusal(t, served, '/v1/events', { origin: 'http://evil.example' });
  assert.equal(status, 403);
  assert.match(problem.detail, /Origin/);
  assert.equal((await refusal(t, served, '/v1/events', { origin: 'null' })).status, 403);
  const own = subscribe(t, served, '', { origin: `http://127.0.0.1:${served.port}` });
  assert.equal((await own.next()).type, 'snapshot');
});

test('unknown paths, epics and parameters are refused with a problem document', async (t) => {
  const served = await serveFake(t);
  for (const [path, status, code] of [
    ['/v1/other', 404, 'not_found'],
    ['/v1/events/', 404, 'not_found'],
    ['/v1/events?epic=nobody', 404, 'not_found'],
    ['/v1/events?epic=..%2Fx', 404, 'not_found'],
    ['/v1/events?colour=red', 400, 'bad_request'],
  ] as const) {
    const refused = await refusal(t, served, path);
    assert.equal(refused.status, status, path);
    assert.equal(refused.problem.code, code, path);
    assert.equal(refused.problem.status, status, path);
  }
});

test('upgrades of the worker link are left to its own listener', async (t) => {
  const served = await serveFake(t);
  const asked = once(served.app.server, 'upgrade');
  const socket = new WebSocket(`ws://127.0.0.1:${served.port}/v1/link`);
  socket.on('error', () => {});
  const [, link] = await asked;
  assert.equal(link.destroyed, false);
  assert.equal(link.writableEnded, false);
  link.destroy();
});

test('a subscriber that sends more than a control frame is cut', async (t) => {
  const served = await serveFake(t);
  const { socket, next } = subscribe(t, served);
  await next();
  socket.send('x'.repeat(5_000));
  const [code] = await once(socket, 'close');
  assert.equal(code, 1009);
});

test('a subscriber that does not read is cut, and its buffer stays bounded', async (t) => {
  const served = await serveFake(t);
  served.api.add({ bottleneck: 'x'.repeat(200_000) });
  const key = 'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  const socket = connect(served.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.write(
    `GET /v1/events HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n${key}\r\n`,
  );
  await once(socket, 'data');
  socket.pause();
  let bufferedBytes = -1;
  served.log.onLine = (line) => {
    if (line.includes('subscriber cut')) bufferedBytes = Number(/"bufferedBytes":(\d+)/.exec(line)?.[1]);
  };
  for (let i = 0; i < 500; i++) {
    if (bufferedBytes >= 0) break;
    served.api.change('epic-1', { rate: i });
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(bufferedBytes > 1_000_000, 'it was cut because of its buffer');
  assert.ok(bufferedBytes < 2_000_000, `${bufferedBytes} bytes were buffered`);
});
