/** What goes wrong with a NATS server, and what the bus makes of it: over each real nats-server at hand. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MESSAGE_BYTES_MAX, PEER_BUFFER_BYTES_MAX } from '../../shared/core/limits.ts';
import { NatsBus } from '../../shared/io/bus/natsBus.ts';
import type { Bus } from '../../shared/io/bus.ts';
import { FakeClock } from '../../shared/io/clock.ts';
import { nodeArguments } from '../built.ts';
import { BareNats } from '../tools/bareNats.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { Proxy } from '../tools/proxy.ts';
import { natsServers } from '../tools.ts';
import { type NatsRig, withNats } from './natsRig.ts';
import { bytes, opened, soon, Watch } from './watch.ts';

const TEST = { timeout: 120_000 };

/** Sends numbered frames, as many as fit, until told to stop; gives the numbers accepted and refused. */
async function stream(bus: Bus, isOver: () => boolean): Promise<{ accepted: string[]; refused: string[] }> {
  const accepted: string[] = [];
  const refused: string[] = [];
  for (let i = 0; !isOver(); i++) {
    const isTaken = bus.buffered() < 1_000_000 && bus.send({ to: 'masters' }, bytes(`${i}`));
    (isTaken ? accepted : refused).push(`${i}`);
    if (i % 10 === 9) await new Promise(setImmediate);
  }
  return { accepted, refused };
}

for (const { path, version } of natsServers()) {
  test(
    `nats ${version}: killed and started again in mid-stream, it loses frames but keeps no refused one`,
    TEST,
    () =>
      withNats(path, '', async ({ server, master, worker }) => {
        const atMaster = await opened(master());
        const bus = worker('w');
        const atWorker = await opened(bus);
        let isOver = false;
        const streaming = stream(bus, () => isOver);
        await atMaster.until(() => atMaster.frames.length >= 2_000);
        await server.kill();
        await atWorker.until(() => atWorker.downs.length === 1);
        await server.restart();
        await Promise.all([
          atMaster.until(() => atMaster.ups === 2),
          atWorker.until(() => atWorker.ups === 2),
        ]);
        const before = atMaster.frames.length;
        await atMaster.until(() => atMaster.frames.length >= before + 2_000);
        isOver = true;
        const { accepted, refused } = await streaming;
        await atMaster.until(() => atMaster.texts().at(-1) === accepted.at(-1));

        const heard = atMaster.texts();
        const taken = new Set(accepted);
        assert.ok(refused.length > 0, 'nothing was refused: the server was never down');
        assert.deepEqual(
          heard.filter((text) => !taken.has(text)),
          [],
          'a refused frame was delivered',
        );
        assert.deepEqual(
          heard,
          [...new Set(heard)].sort((a, b) => Number(a) - Number(b)),
          'in order, once',
        );
        assert.deepEqual([atWorker.ups, atWorker.downs.length], [2, 1]);
        assert.deepEqual([atMaster.ups, atMaster.downs.length], [2, 1]);
        assert.equal(bus.counts().reconnects, 1);
      }),
  );

  test(`nats ${version}: what is sent while down is dropped, whenever that is`, TEST, () =>
    withNats(path, '', async ({ server, master, worker }) => {
      const atMaster = await opened(master());
      const bus = worker('w');
      const atWorker = await opened(bus);
      await server.kill();
      // In each turn from the loss to the end of the first connection after it.
      let lastTaken = '';
      for (let i = 0; atWorker.ups < 2; i++) {
        if (i === 200) await server.restart();
        if (bus.send({ to: 'masters' }, bytes(`${i}`))) lastTaken = `${i}`;
        else assert.equal(bus.buffered(), 0);
        await new Promise(setImmediate);
      }
      assert.ok(Number(lastTaken || 0) < 200, 'taken while down');
      await atMaster.until(() => atMaster.ups === 2);
      bus.send({ to: 'masters' }, bytes('up'));
      await atMaster.until(() => atMaster.frames.length >= 1);
      assert.deepEqual(atMaster.texts(), ['up']);
    }),
  );

  test(`nats ${version}: a lame duck is told, left when it leaves, and found again`, TEST, () =>
    withNats(path, 'lame_duck_grace_period: "50ms"\nlame_duck_duration: "30s"', async (rig) => {
      const bus = rig.worker('w');
      const watch = await opened(bus);
      rig.server.lameDuck();
      await watch.until(() => watch.downs.length === 1);
      await rig.server.ended();
      assert.ok(rig.lines.some((line) => line.includes('is about to stop')));
      await rig.server.restart();
      await watch.until(() => watch.ups === 2);
      assert.equal(watch.downs.length, 1);
      assert.equal(bus.send({ to: 'masters' }, bytes('on')), true);
    }),
  );

  test(
    `nats ${version}: a cluster's other server takes over, though only one address was given`,
    TEST,
    async () => {
      const cluster = (routes: string): string =>
        `server_name: "s${routes.length}"\ncluster { name: c, listen: "127.0.0.1:-1", routes: [${routes}] }`;
      const first = await NatsServer.start({ path, settings: cluster('') });
      const routePort = (): string | undefined =>
        /route connections on 127\.0\.0\.1:(\d+)/.exec(first.lines.join('\n'))?.[1];
      await soon(() => routePort() !== undefined);
      const second = await NatsServer.start({ path, settings: cluster(`"nats://127.0.0.1:${routePort()}"`) });
      await soon(() => second.lines.some((line) => line.includes('Route connection created')));
      const master = new NatsBus({ id: 'master-1', role: 'master', servers: second.url });
      const worker = new NatsBus({ id: 'w', role: 'worker', servers: first.url });
      try {
        const atMaster = await opened(master);
        const atWorker = await opened(worker);
        for (let i = 0; i < 2; i++) {
          // Interest travels between servers a little later than a subscription is answered for.
          const heard = atMaster.frames.length;
          await soon(() => worker.send({ to: 'masters' }, bytes('hello')) && atMaster.frames.length > heard);
          if (i === 0) await first.kill();
          await atWorker.until(() => atWorker.ups === 2 || i === 1);
        }
        assert.deepEqual([atWorker.ups, atWorker.downs.length, atMaster.downs], [2, 1, []]);
      } finally {
        await Promise.all([master.close(), worker.close()]);
        await Promise.all([first.end(), second.end()]);
      }
    },
  );

  test(`nats ${version}: a max_payload that is too small is named at connect`, TEST, () =>
    withNats(path, 'max_payload: 64KB', async (rig) => {
      const open = rig.master().open(new Watch());
      const message =
        /takes messages of at most 65536 bytes; set max_payload in its settings to 524288 or more$/;
      await assert.rejects(open, { code: 'nats_unfit', message });
    }),
  );

  test(
    `nats ${version}: a max_payload that shrinks takes the link down until it is set right again`,
    TEST,
    () =>
      withNats(path, '', async (rig) => {
        const bus = rig.worker('w');
        const watch = await opened(bus);
        await reload(rig.server, 'max_payload: 64KB');
        bus.send({ to: 'masters' }, new Uint8Array(MESSAGE_BYTES_MAX));
        await watch.until(() => watch.downs.length === 1);
        const unfit = (): string[] => rig.lines.filter((line) => line.includes('code=nats_unfit'));
        await soon(() => unfit().length > 0);
        assert.equal(bus.send({ to: 'masters' }, bytes('x')), false);
        await reload(rig.server, 'max_payload: 1MB');
        await watch.until(() => watch.ups === 2);
        assert.equal(watch.downs.length, 1);
        assert.equal(unfit().length, 1, 'it is logged once');
      }),
  );

  test(`nats ${version}: what is no frame is not handed on, is counted, and is logged once`, TEST, () =>
    withNats(path, '', async (rig) => {
      const master = rig.master();
      const watch = await opened(master);
      const bare = await BareNats.connect(rig.server.port);
      bare.publish('gimmework.ms.w', '');
      bare.publish('gimmework.ms.w', new Uint8Array(MESSAGE_BYTES_MAX + 1));
      bare.publish('gimmework.ms.not!an!id', 'x');
      bare.publish(`gimmework.m.master-1.${'x'.repeat(65)}`, 'x');
      bare.publish('gimmework.ms.w', 'a frame');
      await watch.until(() => watch.frames.length === 1);
      bare.end();
      assert.deepEqual(watch.texts(), ['a frame']);
      assert.equal(master.counts().notFrames, 4);
      assert.equal(rig.lines.filter((line) => line.includes('code=bad_message')).length, 1);
    }),
  );

  test(
    `nats ${version}: a server that stands still is buffered for up to the limit, then refused`,
    TEST,
    () =>
      withNats(path, '', async (rig) => {
        const atMaster = await opened(rig.master({ pingMs: 60_000 }));
        const bus = rig.worker('w', { pingMs: 60_000 });
        const watch = await opened(bus);
        await rig.server.pause();
        const frame = new Uint8Array(256 * 1024);
        let accepted = 0;
        while (bus.send({ to: 'masters' }, frame)) {
          accepted += 1;
          assert.ok(bus.buffered() <= PEER_BUFFER_BYTES_MAX);
          await new Promise(setImmediate);
        }
        assert.equal(accepted, PEER_BUFFER_BYTES_MAX / frame.length);
        assert.equal(bus.send({ to: 'masters' }, frame), false);
        assert.equal(bus.counts().refused, 2);
        assert.equal(rig.lines.filter((line) => line.includes('code=peer_too_slow')).length, 1);
        rig.server.resume();
        await atMaster.until(() => atMaster.frames.length === accepted);
        await soon(() => bus.buffered() === 0);
        bus.send({ to: 'masters' }, bytes('last'));
        await atMaster.until(() => atMaster.frames.length === accepted + 1);
        assert.equal(atMaster.texts().at(-1), 'last');
        assert.deepEqual(watch.downs, []);
      }),
  );

  test(
    `nats ${version}: a server that stands still is left, also with much unsent, and found again`,
    TEST,
    () =>
      withNats(path, '', async (rig) => {
        const proxy = await Proxy.start(() => rig.server.port);
        try {
          await leftAndFound(rig, proxy);
        } finally {
          await proxy.end();
        }
      }),
  );
}

async function reload(server: NatsServer, settings: string): Promise<void> {
  const isReload = (line: string): boolean => line.includes('Reloaded server configuration');
  const before = server.lines.filter(isReload).length;
  server.reload(settings);
  await soon(() => server.lines.filter(isReload).length > before);
}

async function leftAndFound(rig: NatsRig, proxy: Proxy): Promise<void> {
  const clock = new FakeClock();
  const bus = rig.worker('w', { clock, random: () => 0, servers: `127.0.0.1:${proxy.port}` });
  const watch = await opened(bus);
  await rig.server.pause();
  const frame = new Uint8Array(MESSAGE_BYTES_MAX);
  while (bus.send({ to: 'masters' }, frame));
  clock.advance(5_999);
  assert.deepEqual(watch.downs, []);
  clock.advance(1);
  await watch.until(() => watch.downs.length === 1);
  assert.match(watch.downs[0] ?? '', /^127\.0\.0\.1:\d+ does not answer$/);
  assert.equal(bus.buffered(), 0);
  // Attempts at a server that accepts and says nothing end, and leave no connection behind. The proxy itself
  // does not notice the end of the first one, which it does not read.
  for (let attempts = 2; attempts <= 4; attempts++) {
    clock.advance(0);
    await soon(() => proxy.count === attempts);
    clock.advance(5_000);
    await soon(() => proxy.open <= 1);
  }
  rig.server.resume();
  clock.advance(0);
  await watch.until(() => watch.ups === 2);
  assert.equal(watch.downs.length, 1);
  await bus.close();
  assert.equal(clock.timers(), 0, 'nothing of the bus waits any more');
}

const [anyServer] = natsServers();

test(
  'a first connection that does not come ends with one line that names address and cure',
  TEST,
  async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket));
    const other = createServer((socket) =>
      socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    );
    const ports = await Promise.all(
      [silent, other].map(async (server) => {
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        return (server.address() as AddressInfo).port;
      }),
    );
    const [silentPort, otherPort] = ports as [number, number];
    const cases: [string, RegExp][] = [
      [`127.0.0.1:${silentPort}`, /no answer/],
      [`127.0.0.1:${otherPort}`, /what answers there is not a NATS server/],
      ['127.0.0.1:1,localhost:1', /ECONNREFUSED/],
    ];
    for (const [servers, reason] of cases) {
      const bus = new NatsBus({ id: 'w', role: 'worker', servers, connectTimeoutMs: 200 });
      const watch = new Watch();
      await assert.rejects(bus.open(watch), (error: Error & { code: string; exitCode: number }) => {
        assert.deepEqual([error.code, error.exitCode], ['nats_unreachable', 1]);
        const head = `NATS cannot be reached at ${servers.replace(',', ', ')} within 0.2 s (`;
        assert.ok(error.message.startsWith(head), error.message);
        assert.match(error.message, reason);
        assert.match(error.message, /; start nats-server there, or name the right address by --nats$/);
        return true;
      });
      assert.equal(watch.ups, 0);
      assert.equal(bus.send({ to: 'masters' }, bytes('x')), false);
      await bus.close();
    }
    for (const socket of sockets) socket.destroy();
    for (const server of [silent, other]) server.close();
  },
);

test('a handler that throws ends the process', TEST, async () => {
  const server = await NatsServer.start({ path: anyServer?.path ?? '' });
  const fixture = fileURLToPath(new URL('../fixtures/nats/throwing.ts', import.meta.url));
  try {
    for (const handler of ['onUp', 'onFrame', 'onDown']) {
      const command = [...nodeArguments(fixture), server.url, handler];
      const running = promisify(execFile)(process.execPath, command, { timeout: 60_000 });
      await assert.rejects(running, (error: Error & { code: number; stderr: string }) => {
        assert.match(error.stderr, new RegExp(`${handler} threw this`));
        return true;
      });
    }
  } finally {
    await server.end();
  }
});
