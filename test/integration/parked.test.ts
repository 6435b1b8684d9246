/**
 * Units that wait long do not hold up their master: not its cursor, its journal or its restart. Small runs of
 * `npm run bench -- parked` and of what `recovery` measures.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import { bench, resultsIn } from '../processes/bench.ts';
import { assertTotals, WORKS, withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';
import { watchRss } from '../processes/rss.ts';

const LIMIT = { timeout: 200_000 };
const PARKED = 2_000;
/** Longer than a worker waits by itself, and long enough for all to be parked before the first is due. */
const DELAY_MS = 15_000;
const READY_MS_MAX = 10_000;
const RATIO_MAX = 1.5;

type Left = { records: number; checkpointBytes: number; extents: number; parked: number };
type Parked = { parked: number; left: Left; readyMs: number; dueMs?: number };

test(
  'of 42,000 units 2,000 wait through kill -9, pin nothing, and end when they are due',
  LIMIT,
  async () => {
    const args = ['--units', String(21 * PARKED), '--runs', '1', '--delay', String(DELAY_MS)];
    const { code, stdout, stderr } = await bench('parked', ...args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^ratio \d+\.\d\dx$/m);
    const { waiting } = resultsIn(stderr) as { waiting: Parked[] };
    const [run] = waiting;
    assert.ok(run);
    const { parked, left, readyMs, dueMs } = run;
    assert.deepEqual([parked, left.parked], [PARKED, PARKED]);
    assert.equal(left.extents, 0, 'the cursor waits for parked units');
    // Their numbers are all that is kept of them there: two of five digits each.
    assert.ok(left.checkpointBytes < 16 * PARKED, `a checkpoint of ${left.checkpointBytes} bytes`);
    assert.ok(readyMs < READY_MS_MAX, `ready after ${readyMs} ms`);
    assert.ok(dueMs !== undefined, 'they were not waited for');
  },
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
      assert.ok(peak <= before * RATIO_MAX, `${Math.round(before)} MB grew to ${Math.round(peak)} MB`);
    } finally {
      restarted.stop();
    }
  }),
);
