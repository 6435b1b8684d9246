/**
 * Units that wait long do not hold up their master: not its cursor, its journal or its restart. A small run of
 * `npm run bench -- parked`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bench, resultsIn } from '../processes/bench.ts';

const LIMIT = { timeout: 200_000 };
const PARKED = 1_000;
/** Longer than a worker waits by itself, and long enough for all to be parked before the first is due. */
const DELAY_MS = 15_000;
const READY_MS_MAX = 30_000;

type Left = { records: number; checkpointBytes: number; extents: number; parked: number };
type Parked = { parked: number; left: Left; readyMs: number; dueMs?: number };

test(
  'of 21,000 units 1,000 wait through kill -9, pin nothing, and end when they are due',
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
