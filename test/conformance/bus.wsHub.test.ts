/** A hub stands up to workers that do not behave: silent, stubborn, oversized, malformed, unwelcome. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { MESSAGE_BYTES_MAX } from '../../shared/core/limits.ts';
import { WsClient } from '../../shared/io/bus/wsClient.ts';
import { WsHub, type WsHubOptions } from '../../shared/io/bus/wsHub.ts';
import { FakeClock } from '../../shared/io/clock.ts';
import { createLog } from '../../shared/io/log.ts';
import { bareFrame, bareUpgrade, bareWorker, handshake, LinkServer, serverOf } from './barePeers.ts';
import { MASTER } from './bus.ts';
import { bytes, opened, soon, Watch } from './watch.ts';

const TEST = { timeout: 120_000 };

type Rig = { server: LinkServer; port: number; hub: WsHub; atHub: Watch; client: (id: string) => WsClient };

/** A hub that is up, for a test of its own; ends with the test. */
async function withHub(options: Partial<WsHubOptions>, body: (rig: Rig) => Promise<void>): Promise<void> {
  const server = new LinkServer();
  const port = await server.listen();
  const hub = new WsHub({ id: MASTER, server: server.http, ...options });
  const clients: WsClient[] = [];
  const client = (id: string): WsClient => {
    const made = new WsClient({ id, url: `http://127.0.0.1:${port}/` });
    clients.push(made);
    return made;
  };
  try {
    await body({ server, port, hub, atHub: await opened(hub), client });
  } finally {
    // The server first: bare sockets answer no goodbye, and a hub whose clock stands still waits for it.
    await server.kill();
    await Promise.all([hub, ...clients].map((bus) => bus.close()));
  }
}

test('a silent worker is cut after two pings without an answer; others are not', TEST, async () => {
  const clock = new FakeClock();
  await withHub({ clock }, async ({ port, hub, client }) => {
    const atLive = await opened(client('live'));
    const silent = await bareWorker(port, 'silent');
    let heardBytes = 0;
    silent.on('data', (data: Buffer) => {
      heardBytes += data.length;
    });
    const gone = once(silent, 'close');
    for (const pings of [1, 2]) {
      clock.advance(2_000);
      // A ping is two bytes. The live worker's answer is at the hub once what it sends after it is.
      await soon(() => heardBytes === pings * 2);
      assert.equal(hub.peers(), 2);
      hub.send({ to: 'worker', id: 'live' }, bytes(`${pings}`));
      await atLive.until(() => atLive.frames.length === pings);
    }
    clock.advance(2_000);
    await gone;
    await soon(() => hub.peers() === 1);
    assert.equal(hub.send({ to: 'worker', id: 'silent' }, bytes('gone')), false);
    hub.send({ to: 'worker', id: 'live' }, bytes('on'));
    await atLive.until(() => atLive.frames.length === 3);
    assert.deepEqual(atLive.downs, []);
  });
});

test('a worker that answers pings is kept for as long as it does', TEST, async () => {
  const clock = new FakeClock();
  await withHub({ clock }, async ({ port, hub, atHub }) => {
    const worker = await bareWorker(port, 'w');
    let pings = 0;
    worker.on('data', () => {
      pings += 1;
      worker.write(bareFrame(0xa, new Uint8Array(0)));
      worker.write(bareFrame(0x2, bytes('answered')));
    });
    for (let round = 1; round <= 6; round++) {
      clock.advance(2_000);
      await atHub.until(() => atHub.frames.length === round);
    }
    assert.equal(hub.peers(), 1);
    assert.equal(pings, 6);
  });
});

test('a frame over MESSAGE_BYTES_MAX, a text and a broken frame end their sender only', TEST, async () => {
  const lines: string[] = [];
  const log = createLog({ level: 'warn', format: 'text', write: (line) => lines.push(line) });
  await withHub({ log }, async ({ port, hub, atHub, client }) => {
    const worker = client('good');
    const atGood = await opened(worker);
    const bad = {
      oversized: bareFrame(0x2, new Uint8Array(MESSAGE_BYTES_MAX + 1)),
      text: bareFrame(0x1, bytes('{"t":"hello"}')),
      empty: bareFrame(0x2, new Uint8Array(0)),
      broken: bareFrame(0x7, bytes('no such opcode')),
      unmasked: Buffer.of(0x82, 1, 42),
    };
    for (const [session, frame] of Object.entries(bad)) {
      const socket = await bareWorker(port, session);
      const ended = once(socket, 'data');
      socket.write(frame);
      const [goodbye] = (await ended) as [Buffer];
      assert.equal(goodbye[0], 0x88, `${session} is told that it is closed`);
      await soon(() => !hub.send({ to: 'worker', id: session }, bytes('gone')));
      socket.destroy();
    }
    worker.send({ to: 'masters' }, bytes('on'));
    await atHub.until(() => atHub.frames.length >= 1);
    assert.deepEqual(atHub.texts(), ['on']);
    assert.deepEqual(atGood.downs, []);
    assert.equal(lines.filter((line) => line.includes('bad_message')).length, Object.keys(bad).length);
  });
});

test('a worker told to leave that stays is cut, whatever it sends', TEST, async () => {
  const clock = new FakeClock();
  await withHub({ clock }, async ({ port, hub, atHub }) => {
    const stubborn = await bareWorker(port, 'same');
    const gone = once(stubborn, 'close');
    const newer = await bareWorker(port, 'same');
    stubborn.write(bareFrame(0x2, bytes('still me')));
    for (let sweep = 0; sweep < 3; sweep++) {
      // Written out first, so that the hub has it before what the newer one sends.
      await new Promise((resolve) => {
        stubborn.write(bareFrame(0xa, new Uint8Array(0)), resolve);
      });
      newer.write(bareFrame(0x2, bytes(`newer ${sweep}`)));
      await atHub.until(() => atHub.frames.length === sweep + 1);
      clock.advance(2_000);
    }
    await gone;
    assert.equal(hub.peers(), 1);
    assert.deepEqual(atHub.texts(), ['newer 0', 'newer 1', 'newer 2']);
  });
});

test('browsers and bad sessions are refused; other paths are left to others', TEST, async () => {
  await withHub({}, async ({ server, port, hub }) => {
    server.http.on('upgrade', (request, socket: Duplex) => {
      if (request.url === '/v1/events') socket.end('HTTP/1.1 418 For another\r\n\r\n');
    });
    const cases: [string, string[], string][] = [
      ['/v1/link?session=w', ['Origin: http://127.0.0.1'], '403'],
      ['/v1/link', [], '400'],
      ['/v1/link?session=', [], '400'],
      ['/v1/link?session=a.b', [], '400'],
      [`/v1/link?session=${'x'.repeat(65)}`, [], '400'],
      ['/v1/events', [], '418'],
    ];
    for (const [path, headers, expected] of cases) {
      const [socket, status] = await bareUpgrade(port, path, headers);
      assert.equal(status.split(' ')[1], expected, `${path} ${headers.join()}`);
      socket.resume();
      await once(socket, 'close');
    }
    assert.equal(hub.peers(), 0);
  });
});

test('garbage and half a handshake on the port hurt nobody', TEST, async () => {
  await withHub({}, async ({ port, hub, atHub, client }) => {
    const worker = client('good');
    const atGood = await opened(worker);
    const full = handshake('/v1/link?session=slow');
    const starts = [
      '\0\xff\x16\x03\x01garbage\r\n\r\n',
      full.slice(0, 20),
      full.slice(0, -2),
      'GET / HTTP/1.1\r\n',
    ];
    const sockets = starts.map((start) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => socket.destroy());
      socket.resume();
      socket.write(start, 'latin1');
      return socket;
    });
    await once(sockets[0] as Socket, 'close');
    for (let i = 0; i < 100; i++) worker.send({ to: 'masters' }, bytes(`${i}`));
    await atHub.until(() => atHub.frames.length >= 100);
    assert.equal(hub.peers(), 1);
    assert.deepEqual(atGood.downs, []);
    for (const socket of sockets) socket.destroy();
  });
});

test('closing ends after a second, also when a worker does not answer', TEST, async () => {
  const clock = new FakeClock();
  await withHub({ clock }, async ({ port, hub, client }) => {
    const silent = await bareWorker(port, 'silent');
    const gone = once(silent, 'close');
    const atWorker = await opened(client('w'));
    const closing = hub.close();
    await atWorker.until(() => atWorker.downs.length === 1);
    clock.advance(1_000);
    await Promise.all([closing, gone]);
    assert.equal(hub.peers(), 0);
    assert.equal(clock.timers(), 0, 'nothing of the hub waits any more');
  });
});

test('a hub opens once its server listens, and not if it was closed before', TEST, async (t) => {
  const early = serverOf(t);
  const hub = new WsHub({ id: MASTER, server: early.http });
  const watch = new Watch();
  const open = hub.open(watch);
  assert.equal(hub.send({ to: 'workers' }, bytes('early')), false);
  await early.listen();
  await open;
  assert.equal(watch.ups, 1);
  await hub.close();
  assert.equal(early.http.listenerCount('upgrade'), 1, 'only the one of this test');

  const never = serverOf(t);
  const closed = new WsHub({ id: MASTER, server: never.http });
  const listeners = never.http.listenerCount('listening');
  const rejected = assert.rejects(closed.open(watch), { code: 'link_down' });
  await closed.close();
  await rejected;
  assert.equal(never.http.listenerCount('listening'), listeners);
});
