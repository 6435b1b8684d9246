/** A worker's end stands up to masters that do not behave: silent, stalled, refusing, absent, or none. */
import assert from 'node:assert/strict';
import dns from 'node:dns';
import type { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { PEER_BUFFER_BYTES_MAX } from '../../shared/core/limits.ts';
import { WsClient, type WsClientOptions } from '../../shared/io/bus/wsClient.ts';
import { WsHub } from '../../shared/io/bus/wsHub.ts';
import { FakeClock } from '../../shared/io/clock.ts';
import { bareMaster, type LinkServer, serverOf } from './barePeers.ts';
import { MASTER } from './bus.ts';
import { bytes, opened, soon, Watch } from './watch.ts';

const TEST = { timeout: 120_000 };

/** A hub on this server that is up, and ends with the test. */
async function hubOf(t: TestContext, server: LinkServer): Promise<WsHub> {
  const hub = new WsHub({ id: MASTER, server: server.http });
  t.after(() => hub.close());
  await opened(hub);
  return hub;
}

/** A client whose time and luck the test decides. It ends with the test, after the servers made before it. */
function clientOf(t: TestContext, port: number, options: Partial<WsClientOptions> = {}): WsClient {
  const client = new WsClient({ id: 'w', url: `ws://127.0.0.1:${port}`, ...options });
  t.after(() => client.close());
  return client;
}

test('a silent master is left after three ping intervals and connected to again', TEST, async (t) => {
  const clock = new FakeClock();
  const links: Duplex[] = [];
  const port = await bareMaster(t, (socket) => links.push(socket));
  const client = clientOf(t, port, { clock, random: () => 0 });
  const watch = await opened(client);
  clock.advance(5_999);
  assert.equal(client.send({ to: 'masters' }, bytes('still up')), true);
  clock.advance(1);
  assert.equal(client.send({ to: 'masters' }, bytes('cut')), false);
  await watch.until(() => watch.downs.length === 1);
  assert.deepEqual(watch.downs, ['the master does not answer']);
  clock.advance(0);
  await watch.until(() => watch.ups === 2);
  assert.equal(links.length, 2);
});

test('a master that pings is not left', TEST, async (t) => {
  const clock = new FakeClock();
  const pongs: Buffer[] = [];
  let link: Duplex | undefined;
  const port = await bareMaster(t, (socket) => {
    link = socket;
    socket.on('data', (data: Buffer) => pongs.push(data));
  });
  const client = clientOf(t, port, { clock });
  const watch = await opened(client);
  for (let round = 1; round <= 6; round++) {
    link?.write(Buffer.of(0x89, 0));
    await soon(() => pongs.length === round);
    clock.advance(2_000);
  }
  assert.deepEqual(watch.downs, []);
});

test('a master that does not read is left at the limit, and the worker says so', TEST, async (t) => {
  const port = await bareMaster(t, (socket) => socket.pause());
  const client = clientOf(t, port);
  const watch = await opened(client);
  const frame = new Uint8Array(256 * 1024);
  let sentBytes = 0;
  let bufferedMax = 0;
  while (client.send({ to: 'masters' }, frame)) {
    sentBytes += frame.length;
    bufferedMax = Math.max(bufferedMax, client.buffered());
    assert.ok(sentBytes < 64 * 1024 * 1024, 'it is never left');
  }
  assert.deepEqual(watch.downs, [], 'no handler runs within send');
  assert.ok(bufferedMax > PEER_BUFFER_BYTES_MAX / 2 && bufferedMax <= PEER_BUFFER_BYTES_MAX);
  await watch.until(() => watch.downs.length === 1);
  assert.deepEqual(watch.downs, ['the master does not read']);
  assert.equal(client.buffered(), 0);
});

test('whatever is not a master or speaks in texts is left, and the worker says so', TEST, async (t) => {
  const cases: [string, string[] | undefined, string, number][] = [
    ['an echo server', [], 'what answers there is not a Gimmework master', 0],
    ['an invalid id', ['X-Gimmework-Master: a.b'], 'what answers there is not a Gimmework master', 0],
    ['a text', undefined, 'the master sent what is not a frame', 1],
  ];
  for (const [what, headers, reason, ups] of cases) {
    const port = await bareMaster(t, (socket) => socket.write(Buffer.of(0x81, 2, 0x7b, 0x7d)), headers);
    const client = clientOf(t, port);
    const watch = new Watch();
    const open = client.open(watch).catch(() => {});
    await watch.until(() => watch.downs.length === 1);
    assert.deepEqual([watch.downs, watch.ups, watch.frames.length], [[reason], ups, 0], what);
    await client.close();
    await open;
  }
});

test('attempts back off by full jitter, 100 ms doubling to 5 s, and start afresh', TEST, async (t) => {
  const delaysMs: number[] = [];
  let runTimer = (): void => {};
  const clock = {
    wallMs: () => 0,
    monoMs: () => 0,
    setTimer(ms: number, fn: () => void) {
      delaysMs.push(ms);
      runTimer = fn;
      return () => {};
    },
  };
  const server = serverOf(t);
  const port = await server.listen();
  await server.kill();
  const client = clientOf(t, port, { clock, random: () => 0.5 });
  const watch = new Watch();
  const open = client.open(watch);
  for (let failures = 1; failures <= 8; failures++) {
    await soon(() => delaysMs.length === failures);
    if (failures < 8) runTimer();
  }
  assert.deepEqual(delaysMs, [50, 100, 200, 400, 800, 1_600, 2_500, 2_500]);
  assert.equal(watch.downs.length, 1, 'it is said once');
  assert.match(watch.downs[0] ?? '', /ECONNREFUSED/);
  const again = serverOf(t);
  await again.listen(port);
  const hub = await hubOf(t, again);
  runTimer();
  await open;
  hub.send({ to: 'workers' }, bytes('heard'));
  await watch.until(() => watch.frames.length === 1);
  await Promise.all([again.kill(), watch.until(() => watch.downs.length === 2)]);
  await soon(() => delaysMs.at(-1) === 50);
});

test('a refused worker is told at once, one that meets something else waits', TEST, async (t) => {
  for (const [status, isFatal] of [
    [400, true],
    [401, true],
    [403, true],
    [404, false],
    [503, false],
  ] as const) {
    const server = serverOf(t);
    server.http.on('upgrade', (_request, socket: Duplex) => {
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\n\r\nno`);
    });
    const client = clientOf(t, await server.listen());
    const watch = new Watch();
    const open = client.open(watch);
    if (isFatal) {
      await assert.rejects(open, { code: 'link_refused', message: new RegExp(`answered ${status}`) });
      assert.equal(watch.calls(), 0);
    } else {
      const rejected = assert.rejects(open, { code: 'link_down' });
      await watch.until(() => watch.downs.length === 1);
      assert.deepEqual(watch.downs, [`the master answered ${status}`]);
      await client.close();
      await rejected;
    }
  }
});

test('a failure of which the system only gives a code is told by the code', TEST, async (t) => {
  const server = serverOf(t);
  const port = await server.listen();
  await server.kill();
  // Two addresses tried, none answering: an AggregateError, whose message is empty.
  const both = [
    { address: '127.0.0.1', family: 4 },
    { address: '127.0.0.2', family: 4 },
  ];
  t.mock.method(dns, 'lookup', (_name: string, _options: unknown, done: (...args: unknown[]) => void) => {
    done(null, both);
  });
  const client = clientOf(t, port, { url: `ws://localhost:${port}` });
  const watch = new Watch();
  const rejected = assert.rejects(client.open(watch), { code: 'link_down' });
  await watch.until(() => watch.downs.length === 1);
  assert.deepEqual(watch.downs, ['ECONNREFUSED']);
  await client.close();
  await rejected;
});

test('a refusal after the link was up is waited out', TEST, async (t) => {
  const server = serverOf(t);
  const port = await server.listen();
  await hubOf(t, server);
  const client = clientOf(t, port, { random: () => 0 });
  const watch = await opened(client);
  await server.kill();
  await watch.until(() => watch.downs.length === 1);
  const refusing = serverOf(t);
  let refusals = 0;
  refusing.http.on('upgrade', (_request, socket: Duplex) => {
    refusals += 1;
    socket.end('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n');
  });
  await refusing.listen(port);
  await soon(() => refusals >= 2);
  assert.deepEqual([watch.ups, watch.downs.length], [1, 1]);
});

test('an address is ws or http, with a path or not; anything else is bad_config', TEST, async (t) => {
  const paths: (string | undefined)[] = [];
  const server = serverOf(t);
  server.http.on('upgrade', (request, socket: Duplex) => {
    paths.push(request.url);
    socket.end('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
  });
  const port = await server.listen();
  for (const url of ['ws://127.0.0.1:', 'http://127.0.0.1:'].flatMap((at) => [
    `${at}${port}`,
    `${at}${port}/team/`,
  ])) {
    await assert.rejects(new WsClient({ id: 'w-1', url }).open(new Watch()), { code: 'link_refused' });
  }
  const plain = '/v1/link?session=w-1';
  assert.deepEqual(paths, [plain, `/team${plain}`, plain, `/team${plain}`]);
  for (const url of ['', '127.0.0.1:7171', 'nats://127.0.0.1', 'ws://']) {
    assert.throws(() => new WsClient({ id: 'w', url }), { code: 'bad_config' }, url);
  }
});
