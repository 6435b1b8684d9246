/**
 * Units that go on elsewhere, in real processes: what a checkpoint kept or a long wait took along is there after
 * `kill -9` of worker and master, and after a drain. The steps before are not run again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { units } from '../../client/index.ts';
import { AskedServer } from '../processes/askedServer.ts';
import { ASKING_WORKS, assertTotals, type Cluster, withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';
import { until } from '../processes/until.ts';

const UNITS = 12;
/** Over what a worker waits by itself: the unit goes back to the master. */
const LONG_MS = 12_000;
/** Every third one waits that long in its second step. */
const waits = (n: number): boolean => n % 3 === 0;
const WAITING = UNITS / 3;
const SETTINGS = { leaseMs: 2_000, heartbeatMs: 300 };
const WORKER = { works: [ASKING_WORKS], slots: 16, heartbeatMs: SETTINGS.heartbeatMs };

test(
  'kept and parked units outlive kill -9 of worker and master: the step before the checkpoint runs once for each',
  withCluster(async (c, t) => {
    const server = await AskedServer.start(t, ({ step, n }, time) => {
      if (step === 'shape' && waits(n) && time === 1) return { afterMs: LONG_MS };
      return step === 'find' ? { value: `found ${n}` } : undefined;
    });
    const port = await lastingPort();
    let master = await c.ready(c.durableMaster(port, SETTINGS));
    const lost = c.workerWith(WORKER);
    const id = await submit(c, 'kept', server);
    const atShape = { find: 0, shape: UNITS, store: 0 };
    const before = await c.reach(
      id,
      'kept',
      ({ states, delayed }) => states?.['shape'] === UNITS && delayed === WAITING,
    );
    assert.deepEqual(before.states, atShape);
    await asking(server, UNITS);

    await lost.end('SIGKILL');
    await master.end('SIGKILL');
    master = await c.ready(c.durableMaster(port, SETTINGS));
    const after = await c.reach(id, 'known again', ({ state }) => state === 'running');
    assert.deepEqual([after.states, after.delayed], [atShape, WAITING], 'the journal tells the same');
    const next = c.workerWith(WORKER);
    await next.line(/worker ready/);
    const readyMs = Date.now();
    await asking(server, UNITS + (UNITS - WAITING));

    await master.end('SIGKILL');
    master = await c.ready(c.durableMaster(port, SETTINGS));
    server.open();
    assertTotals(await c.finished(id), { read: UNITS, succeeded: UNITS });
    for (let n = 0; n < UNITS; n++) {
      assert.deepEqual(
        server.of('find', n).map(({ pid }) => pid),
        [lost.pid],
        `find of ${n}`,
      );
      const shapes = server.of('shape', n);
      assert.deepEqual(
        shapes.map(({ pid, value }) => [pid, value]),
        [lost.pid, next.pid].map((pid) => [pid, `found ${n}`]),
        `shape of ${n}`,
      );
      assert.equal(server.of('store', n).length, 1, `store of ${n}`);
      const [first, second] = shapes;
      const waitedMs = (second?.atMs ?? 0) - (first?.atMs ?? 0);
      if (waits(n)) assert.ok(waitedMs >= LONG_MS, `${n} waited ${waitedMs} ms`);
      else assert.ok((second?.atMs ?? 0) - readyMs < LONG_MS, `${n} did not have to wait, and did`);
    }
  }),
);

test(
  'a drain hands over what waits with its state, also without a checkpoint',
  withCluster(async (c, t) => {
    const server = await AskedServer.start(t, ({ step, n }, time) => {
      if (step === 'shape' && time === 1) return { afterMs: 8_000 };
      return step === 'find' ? { value: `found ${n}` } : undefined;
    });
    await c.ready(c.durableMaster(await lastingPort(), SETTINGS));
    const first = c.workerWith(WORKER);
    const id = await submit(c, 'plain', server);
    await asking(server, UNITS);
    assert.equal((await c.status(id)).delayed, 0, 'a short wait is the worker’s own');
    assert.equal((await first.end('SIGTERM')).code, 0, first.lastWords());
    const left = await c.status(id);
    assert.deepEqual([left.states, left.delayed], [{ find: 0, shape: UNITS, store: 0 }, UNITS]);

    server.open();
    const second = c.workerWith(WORKER);
    assertTotals(await c.finished(id), { read: UNITS, succeeded: UNITS });
    for (let n = 0; n < UNITS; n++) {
      assert.equal(server.of('find', n).length, 1, `find of ${n}`);
      assert.deepEqual(
        server.of('shape', n).map(({ pid, value }) => [pid, value]),
        [first.pid, second.pid].map((pid) => [pid, `found ${n}`]),
      );
      assert.deepEqual(
        server.of('store', n).map(({ value }) => value),
        [`found ${n}/shape ${n}`],
      );
    }
  }),
);

async function submit(c: Cluster, work: string, server: AskedServer): Promise<string> {
  const source = units(Array.from({ length: UNITS }, (_, n) => ({ n })));
  return (await c.client.submit({ work, source, brief: { url: server.url } })).id;
}

/** Waits until at least this many runs of the second step have asked. */
async function asking(server: AskedServer, count: number): Promise<void> {
  await until(
    `${count} have asked`,
    () => server.of('shape').length,
    (asked) => asked >= count,
  );
}
