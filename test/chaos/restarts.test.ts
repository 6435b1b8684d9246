/**
 * A master killed again and again (`ROUNDS=n`, 5 by default) during one epic: it ends with the totals of one that
 * nobody disturbed, and not a unit is run again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ndjson } from '../../client/index.ts';
import { assertTotals, type Cluster, RECOVERY_WORKS, withCluster } from '../processes/cluster.ts';
import { readNotes, twice, writeRows } from '../processes/notes.ts';
import { lastingPort } from '../processes/port.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
/** Enough that each round finds units that were never read. */
const UNITS = 1_500 + 400 * ROUNDS;
const UNIT_BYTES = 2_000;
const SETTINGS = { leaseMs: 5_000, heartbeatMs: 800, lookAheadUnits: 128 };

test(
  `a master killed ${ROUNDS} times in a row: totals as if undisturbed, nothing is run again`,
  withCluster(async (c) => {
    const port = await lastingPort();
    let master = await c.ready(c.durableMaster(port, SETTINGS));
    const worker = { works: [RECOVERY_WORKS], slots: 16, heartbeatMs: SETTINGS.heartbeatMs };
    for (const process of [c.workerWith(worker), c.workerWith(worker)]) await process.line(/worker ready/);
    const source = await writeRows(c.path('rows.ndjson'), UNITS, UNIT_BYTES);

    const calm = await c.finished(await submit(c, source, 'calm.txt', 1));
    const id = await submit(c, source, 'disturbed.txt', 15);
    for (let round = 1; round <= ROUNDS; round++) {
      const share = round / (ROUNDS + 1);
      await c.reach(id, `at ${share}`, ({ totals }) => totals.read - totals.outstanding >= share * UNITS);
      await master.end('SIGKILL');
      master = await c.ready(c.durableMaster(port, SETTINGS));
      assert.equal((await c.status(id)).state, 'running', `the epic was over before kill ${round}`);
    }
    const over = await c.finished(id);
    assert.deepEqual(over.totals, calm.totals);
    assert.deepEqual(over.faults, calm.faults);
    const failed = count((n) => n % 7 === 3);
    const skipped = count((n) => n % 7 !== 3 && n % 11 === 5);
    assertTotals(over, { read: UNITS, succeeded: UNITS - failed - skipped, failed, skipped });
    const notes = readNotes(c.path('disturbed.txt'));
    assert.deepEqual(twice(notes), []);
    assert.equal(notes.length, UNITS);
  }),
);

async function submit(c: Cluster, source: string, file: string, ms: number): Promise<string> {
  const brief = { file: c.path(file), ms };
  return (await c.client.submit({ work: 'mixed', source: ndjson(source), brief })).id;
}

function count(holds: (n: number) => boolean): number {
  let sum = 0;
  for (let n = 0; n < UNITS; n++) if (holds(n)) sum += 1;
  return sum;
}
