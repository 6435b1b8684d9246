import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client, csv, defineWork, GimmeError, ndjson, range, stdin, units } from '../../../client/index.ts';
import { buildHttp } from '../../../master/io/http.ts';
import type { MasterView, WorkerView } from '../../../shared/protocol/api.ts';
import { ended, keptUnit, statusOf, worker } from '../http/fakeMaster.ts';
import { fakeParts, serveFake } from '../http/server.ts';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-client-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

function failsWith(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof GimmeError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };
}

test('files, units and ranges are submitted with brief and name', async (t) => {
  const { url, api, spool, briefs } = await serveFake(t);
  const dir = await folder(t);
  await writeFile(join(dir, 'r.csv'), 'email\na@b.c\n');
  await writeFile(join(dir, 'r.ndjson'), '{"a":1}\n');
  const client = new Client({ master: url });
  const work = defineWork('greet').step('say', () => 1);
  const epic = await client.submit({
    work,
    source: csv(join(dir, 'r.csv')),
    brief: { hi: 'ü' },
    name: 'weekly',
  });
  assert.deepEqual([epic.id, epic.name, epic.work], ['epic-1', 'weekly', 'greet']);
  await client.submit({ work: 'greet', source: ndjson(join(dir, 'r.ndjson')) });
  await client.submit({ work: 'greet', source: units([1, { b: 2 }]) });
  await client.submit({ work: 'greet', source: range(3, 9), brief: null });
  async function* input() {
    yield Buffer.from('email\n');
    yield Buffer.from('x@y.z\n');
  }
  await client.submit({ work: 'greet', source: stdin('csv', input()) });
  const texts = [...spool.kept.values()].map(String);
  assert.deepEqual(texts, ['email\na@b.c\n', '{"a":1}\n', '1\n{"b":2}\n', 'email\nx@y.z\n']);
  assert.deepEqual(
    api.submitted.map((s) => s.brief),
    [{ hi: 'ü' }, null, null, null, null],
  );
  assert.deepEqual(api.submitted[3]?.source, { type: 'range', from: 3, to: 9 });
  assert.equal(briefs.kept.size, 1);
});

test('epics are listed by pages, found by name and cancelled', async (t) => {
  const { url, api } = await serveFake(t);
  for (let i = 0; i < 3; i++) api.add({ name: 'weekly' });
  const client = new Client({ master: `${url}/` });
  const page = await client.epics({ limit: 2, state: 'running' });
  assert.deepEqual(
    page.epics.map((e) => e.id),
    ['epic-3', 'epic-2'],
  );
  const rest = await client.epics({ limit: 2, cursor: page.next ?? '' });
  assert.deepEqual(
    rest.epics.map((e) => e.id),
    ['epic-1'],
  );
  const epic = await client.epic('weekly');
  assert.equal(epic.id, 'epic-3');
  assert.equal((await epic.cancel('wrong subject')).reason, 'wrong subject');
  await assert.rejects(client.cancel('weekly', 'x'), failsWith('ambiguous_name', /3 epics are named weekly/));
  assert.deepEqual(await client.workers(), []);
});

test('workers and masters are listed, a worker is drained, readiness is told with its reason', async (t) => {
  const { url, api } = await serveFake(t);
  const client = new Client({ master: url });
  api.offered = [worker('w1', 'mail-1', { held: 3 })];
  api.queues = { journal_records: { depth: 1, max: 2, limit: 3 } };
  const workers: WorkerView[] = await client.workers();
  assert.deepEqual(workers, api.offered);
  const masters: MasterView[] = await client.masters();
  assert.deepEqual(masters, api.masters());
  assert.deepEqual(await client.drainWorker('mail-1'), { ...api.offered[0], state: 'draining' });
  await assert.rejects(client.drainWorker('../epics'), failsWith('not_found', /no worker/));
  assert.deepEqual(await client.readiness(), { ready: true });
  api.reason = 'the disk is full';
  assert.deepEqual(await client.readiness(), { ready: false, reason: 'the disk is full' });
});

test('what the master refuses keeps its code', async (t) => {
  const { url } = await serveFake(t);
  const client = new Client({ master: url });
  await assert.rejects(client.epic('nobody'), failsWith('not_found', /nobody/));
  await assert.rejects(client.epic('../../x'), failsWith('not_found', /no epic/));
  await assert.rejects(
    client.submit({ work: 'a b', source: range(0, 1) }),
    failsWith('bad_request', /field work/),
  );
});

test('an upload that is refused before its end says why', async (t) => {
  const { url } = await serveFake(t);
  const chunk = Buffer.alloc(64 * 1024, 'a,b\n');
  async function* large() {
    for (let i = 0; i < 400; i++) yield chunk;
  }
  const submit = new Client({ master: url }).submit({ work: 'a b', source: stdin('csv', large()) });
  await assert.rejects(submit, failsWith('bad_request', /field work/));
});

test('a large upload is not held in memory', async (t) => {
  const { url } = await serveFake(t);
  const client = new Client({ master: url });
  const chunk = Buffer.alloc(64 * 1024, 'a,b\n');
  const upload = async (bytes: number) => {
    async function* body() {
      for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk;
    }
    await client.submit({ work: 'greet', source: stdin('csv', body()) });
    return process.memoryUsage().rss;
  };
  const small = await upload(50 * 1024 * 1024);
  const large = await upload(200 * 1024 * 1024);
  assert.ok(large - small < 80_000_000, `memory grew by ${large - small} bytes`);
});

test('a source that cannot be read is named, before or during the upload', async (t) => {
  const { url, api, spool } = await serveFake(t);
  const dir = await folder(t);
  await mkdir(join(dir, 'd.csv'));
  const client = new Client({ master: url });
  const submit = (path: string) => client.submit({ work: 'greet', source: csv(path) });
  await assert.rejects(
    submit(join(dir, 'none.csv')),
    failsWith('bad_source', /none\.csv: there is no such file/),
  );
  await assert.rejects(submit(join(dir, 'd.csv')), failsWith('bad_source', /d\.csv: it is a folder/));
  const gone = new Promise<void>((resolve) => {
    spool.onRemove = resolve;
  });
  async function* broken() {
    yield Buffer.alloc(500_000, 'a\n');
    throw new GimmeError('bad_source', 'the disk is gone');
  }
  const submitted = client.submit({ work: 'greet', source: stdin('csv', broken()) });
  await assert.rejects(submitted, failsWith('bad_source', /the disk is gone/));
  await gone;
  assert.equal(api.submitted.length, 0);
});

test('an absent master and a foreign server are named with the cure', async () => {
  const server = createServer((_request, response) => response.end('<html>hello</html>'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const master = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await assert.rejects(
    new Client({ master }).epics(),
    failsWith('master_unreachable', /not a Gimmework master/),
  );
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  const absent = failsWith(
    'master_unreachable',
    /no master answers at http:.*connection refused.*gimme master/,
  );
  await assert.rejects(new Client({ master }).epics(), absent);
  assert.throws(() => new Client({ master: 'ftp://x' }), failsWith('bad_config', /ftp/));
});

// A master ends a connection that was idle; a request that was just then on its way was told of as no master at all.
test('a look is made again where the connection broke off; what changes something is not', async (t) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.method ?? '');
    if (asked.length === 2 || request.method === 'POST') {
      request.socket.destroy();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"workers":[]}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const client = new Client({ master: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  for (let i = 0; i < 3; i++) assert.deepEqual(await client.workers(), []);
  assert.deepEqual(asked, ['GET', 'GET', 'GET', 'GET']);
  await assert.rejects(client.drainWorker('w'), failsWith('master_unreachable', /broken off/));
  assert.deepEqual(asked.slice(4), ['POST']);
});

test('readiness is not believed of a server that is no master', async (t) => {
  const server = createServer((_request, response) => response.end('{"status":"up"}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const master = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const asked = new Client({ master }).readiness();
  await assert.rejects(asked, failsWith('master_unreachable', /not a Gimmework master/));
});

test('watch yields the state now, what changes and the end, and then is over', async (t) => {
  const { url, api } = await serveFake(t);
  api.add();
  const epic = await new Client({ master: url }).epic('epic-1');
  const rates: number[] = [];
  let last = '';
  for await (const status of epic.watch()) {
    rates.push(status.rate);
    last = status.state;
    if (status.rate === 0 && rates.length === 2) api.change('epic-1', { rate: 5 });
    if (status.rate === 5) api.change('epic-1', { ...ended(0), rate: 6 });
  }
  assert.deepEqual(rates, [0, 0, 5, 6]);
  assert.equal(last, 'finished');
});

test('watch goes on when its connection breaks', async (t) => {
  const { url, api, app } = await serveFake(t);
  const sockets = new Set<Socket>();
  app.server.on('upgrade', (_request, socket) => sockets.add(socket as Socket));
  api.add();
  const epic = await new Client({ master: url }).epic('epic-1');
  let states = 0;
  let last = '';
  for await (const status of epic.watch()) {
    states++;
    last = status.state;
    if (states === 2) for (const socket of sockets) socket.destroy();
    if (states === 4) api.change('epic-1', ended(0));
  }
  assert.equal(last, 'finished');
  assert.equal(sockets.size, 2, 'it connected again');
});

test('watch says once that the master is gone and once that it is back, and goes on', async (t) => {
  const parts = fakeParts();
  const first = buildHttp(parts);
  await first.listen({ host: '127.0.0.1', port: 0 });
  const { port } = first.server.address() as AddressInfo;
  parts.api.add();
  const epic = await new Client({ master: `http://127.0.0.1:${port}` }).epic('epic-1');
  const again = buildHttp(parts);
  t.after(() => again.close());
  const told: string[] = [];
  const onMaster = (state: string): void => {
    told.push(state);
    if (state === 'gone') void again.listen({ host: '127.0.0.1', port });
  };
  let states = 0;
  let last = '';
  for await (const status of epic.watch({ onMaster })) {
    last = status.state;
    if (++states === 2) await first.close();
    if (told.includes('back')) parts.api.change('epic-1', ended(0));
  }
  assert.deepEqual(told, ['gone', 'back']);
  assert.equal(last, 'finished');
});

test('a master that is back by its WebSocket is told of as well', async (t) => {
  const { app, url, api } = await serveFake(t);
  const sockets = new Set<Socket>();
  app.server.on('upgrade', (_request, socket) => sockets.add(socket as Socket));
  api.add();
  const client = new Client({ master: url });
  const epic = await client.epic('epic-1');
  const asked = client.status.bind(client);
  let isDeaf = false;
  client.status = (id) =>
    isDeaf ? Promise.reject(new GimmeError('master_unreachable', 'nobody answers')) : asked(id);
  const told: string[] = [];
  let states = 0;
  for await (const _ of epic.watch({ onMaster: (state) => told.push(state) })) {
    if (++states === 2) {
      isDeaf = true;
      for (const socket of sockets) socket.destroy();
    }
    if (told.includes('back')) api.change('epic-1', ended(0));
  }
  assert.deepEqual(told, ['gone', 'back']);
});

test('watch asks where no WebSocket comes through', async (t) => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked++;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ ...statusOf('e1'), ...(asked > 2 ? ended(1) : {}) }));
  });
  server.on('upgrade', (_request, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const client = new Client({ master: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const end = await (await client.epic('e1')).wait({ timeoutMs: 20_000 });
  assert.equal(end.totals.failed, 1);
  assert.equal(asked, 3);
});

test('wait gives up at its timeout and leaves the epic running', async (t) => {
  const { url, api } = await serveFake(t);
  api.add({ name: 'weekly' });
  const epic = await new Client({ master: url }).epic('weekly');
  await assert.rejects(
    epic.wait({ timeoutMs: 50 }),
    failsWith('wait_timeout', /weekly still runs.*0 of 10 units done/),
  );
  assert.equal(api.epic('weekly')?.state, 'running');
});

test('units come over pages as one list, and an epic is steered and tried again by its handle', async (t) => {
  const { url, api } = await serveFake(t);
  api.add({ name: 'weekly', faults: { smtp_rejected: 5 } });
  api.kept = [1, 2, 3, 5, 8].map((unit) => keptUnit(unit, { key: `ü ${unit}/?#` }));
  const epic = await new Client({ master: url }).epic('weekly');
  const seen: number[] = [];
  for await (const { unit } of epic.units({ state: 'failed', limit: 2 })) seen.push(unit);
  assert.deepEqual(seen, [1, 2, 3, 5, 8]);
  const rest: number[] = [];
  for await (const { unit } of epic.units({ cursor: '3' })) rest.push(unit);
  assert.deepEqual(rest, [5, 8]);
  assert.deepEqual(
    (await epic.failures()).map(({ code, count }) => [code, count]),
    [['smtp_rejected', 5]],
  );
  assert.equal((await epic.story({ key: 'ü 5/?#' })).unit, 5);
  assert.equal((await epic.story(8)).record, 9);
  assert.equal((await epic.pause('why not')).paused, 'why not');
  assert.equal((await epic.resume()).paused, undefined);
  const { count, epic: made } = await epic.retry({ code: 'smtp_rejected' });
  assert.deepEqual([count, made?.retryOf], [5, epic.id]);
  api.kept = [];
  await assert.rejects(epic.retry(), failsWith('wrong_state', /nothing of epic/));
});
