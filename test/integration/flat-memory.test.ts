/**
 * The master's memory follows what is in flight, never the epic: a fast epic of 200,000 units leaves it flat, and one that
 * goes on after a crash needs no more than one that began. A small run of what `npm run bench -- recovery` measures.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import { assertTotals, WORKS, withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';
import { watchRss } from '../processes/rss.ts';

const UNITS = 200_000;
const GROWTH_MAX = 1.3;
const RESTARTED_MAX = 1.5;

test(
  'the master peaks no higher over 200,000 units than over the first 50,000',
  withCluster(async (c, t) => {
    const master = await c.master();
    const workers = [1, 2].map(() => c.gimme('worker', '--master', c.url, '--works', WORKS));
    for (const worker of workers) await worker.line(/worker ready/);
    const memory = watchRss(master.pid);
    try {
      const started = performance.now();
      const small = await c.client.submit({ work: 'nothing', source: range(0, UNITS / 4) });
      assertTotals(await c.finished(small.id), { read: UNITS / 4, succeeded: UNITS / 4 });
      const first = memory.peak();
      memory.reset();
      const { id } = await c.client.submit({ work: 'nothing', source: range(0, UNITS) });
      assertTotals(await c.finished(id), { read: UNITS, succeeded: UNITS });
      const whole = memory.peak();
      const took = Math.round(performance.now() - started);
      t.diagnostic(`peak ${Math.round(first)} MB, then ${Math.round(whole)} MB, in ${took} ms`);
      assert.ok(whole <= first * GROWTH_MAX, `${Math.round(first)} MB grew to ${Math.round(whole)} MB`);
    } finally {
      memory.stop();
    }
    const queues = Object.entries((await c.masters())[0]?.queues ?? {});
    assert.ok(queues.length > 0, 'no queue is told');
    for (const [name, { max, limit }] of queues) {
      assert.ok(max <= limit, `queue ${name} was at ${max}, over its limit of ${limit}`);
    }
  }),
);

test(
  'a master that goes on after kill -9 at 90 % peaks no higher than one that began',
  withCluster(async (c, t) => {
    const units = 1_000_000;
    const settings = { leaseMs: 3_000, heartbeatMs: 500 };
    const port = await lastingPort();
    const first = await c.ready(c.durableMaster(port, settings));
    const worker = { works: [WORKS], slots: 16, heartbeatMs: settings.heartbeatMs };
    for (const process of [c.workerWith(worker), c.workerWith(worker)]) await process.line(/worker ready/);
    const fresh = watchRss(first.pid);
    const { id } = await c.client.submit({ work: 'nothing', source: range(0, units) });
    const { totals } = await c.reach(id, 'nearly over', ({ totals }) => totals.succeeded >= units * 0.9);
    const before = fresh.peak();
    fresh.stop();
    await first.end('SIGKILL');
    assert.ok(totals.outstanding > 0 || totals.read < units, 'all had settled before the kill');
    const second = await c.ready(c.durableMaster(port, settings));
    const restarted = watchRss(second.pid);
    try {
      assertTotals(await c.finished(id), { read: units, succeeded: units });
      const peak = restarted.peak();
      t.diagnostic(`peak ${Math.round(before)} MB, after the restart ${Math.round(peak)} MB`);
      assert.ok(peak <= before * RESTARTED_MAX, `${Math.round(before)} MB grew to ${Math.round(peak)} MB`);
    } finally {
      restarted.stop();
    }
  }),
);
