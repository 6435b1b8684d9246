/**
 * A network that fails between workers and master: connections that break in the middle of anything, and
 * one that swallows everything while both ends take it for alive. Nothing is lost, doubled or stuck.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRng } from '../../shared/core/rng.ts';
import { assertTotals, withCluster } from '../processes/cluster.ts';
import { startProxy } from '../processes/proxy.ts';

const ROWS = 1_000;
const CUTS = 10;

test(
  'ten cuts at random moments and a half-open connection cost nothing',
  withCluster(async (c, t) => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    t.diagnostic(`cuts by seed ${seed}`);
    const random = seededRng(seed);
    const [, stub] = await Promise.all([c.master(), c.stub('--latency', '80ms', '--defer', '5%')]);
    const cutting = await startProxy(c.url);
    const swallowing = await startProxy(c.url);
    try {
      const flags = ['--slots', '5', '--master'];
      const cut = c.worker(stub, ...flags, cutting.url);
      const swallowed = c.worker(stub, ...flags, swallowing.url);
      for (const worker of [cut, swallowed]) await worker.line(/worker ready/);
      const id = await c.submit(await c.recipients(ROWS));

      await c.known(swallowed, (worker) => worker.held >= 5);
      swallowing.swallow();
      const moments = Array.from({ length: CUTS }, () => Math.floor(random() * ROWS * 0.4));
      for (const moment of moments.sort((a, b) => a - b)) {
        await c.reach(id, `at ${moment}`, (epic) => epic.totals.succeeded >= moment);
        const made = cutting.made;
        cutting.cut();
        await c.known(cut);
        await c.reach(id, 'connected again', () => cutting.made > made);
      }
      const epic = await c.status(id);
      assert.equal(epic.state, 'running', 'the epic was over before the last cut');
      await swallowed.line(/the link to the master is down.*does not answer/);
      await c.known(swallowed, (worker) => worker.held > 0);

      const over = await c.finished(id);
      const mails = await stub.close();
      assertTotals(over, { read: ROWS, succeeded: ROWS });
      assert.deepEqual(mails.twice, []);
      assert.equal(mails.distinct, ROWS);
      assert.equal(swallowing.made, 2, 'the swallowed connection was made again once');
      for (const worker of await c.client.workers()) assert.equal(worker.held, 0, 'nothing is left');
      for (const worker of [cut, swallowed]) assert.equal((await worker.end('SIGTERM')).code, 0);
    } finally {
      await Promise.all([cutting.close(), swallowing.close()]);
    }
  }),
);
