/** The master's memory follows what is in flight, never the epic: a fast epic of 200,000 units leaves it flat. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import { assertTotals, WORKS, withCluster } from '../processes/cluster.ts';
import { watchRss } from '../processes/rss.ts';

const UNITS = 200_000;
const GROWTH_MAX = 1.3;

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
