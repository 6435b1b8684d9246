/** Steps in threads of real workers: killed, drained, starved of memory; and what holds up the loop is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ndjson } from '../../client/index.ts';
import { assertTotals, type Cluster, SPIN_WORKS, withCluster } from '../processes/cluster.ts';
import { numbers } from '../processes/journal.ts';
import { readNotes, twice, writeRows } from '../processes/notes.ts';

const LEASE = { leaseMs: 2_500, heartbeatMs: 300 };
const WORKER = { works: [SPIN_WORKS], slots: 4, heartbeatMs: LEASE.heartbeatMs, threads: 2 };
/** Longer than the lease. */
const LONG_MS = 3_000;
const UNITS = 60;

/** Submits an epic whose units each compute for this long. */
async function submit(c: Cluster, work: string, units: number, ms: number): Promise<string> {
  const source = ndjson(await writeRows(c.path(`${work}.ndjson`), units, 10));
  return (await c.client.submit({ work, source, brief: { file: c.path('notes.txt'), ms } })).id;
}

for (const work of ['in-thread', 'once'])
  test(
    `kill -9 of a worker whose threads compute (${work}): nothing is lost, and only what it held comes again`,
    { concurrency: true },
    withCluster(async (c) => {
      await c.masterWith(LEASE);
      const [victim] = [c.workerWith(WORKER), c.workerWith(WORKER)];
      const id = await submit(c, work, UNITS, 60);
      await c.reach(id, 'under way', (epic) => epic.totals.succeeded >= UNITS / 6);
      await c.known(victim, (worker) => worker.held > 0);
      await victim.end('SIGKILL');
      const over = await c.finished(id);
      const notes = readNotes(c.path('notes.txt'));
      const unknown = c.journal.units(id, 'unknown');
      assertTotals(over, { read: UNITS, succeeded: UNITS - unknown.length, unknown: unknown.length });
      const [lost] = c.journal.of('lease-expired');
      assert.ok(lost, 'no lease expired');
      const again = numbers(lost.again);
      if (work === 'once') {
        assert.deepEqual(twice(notes), []);
        assert.ok(unknown.length > 0, 'it had begun nothing');
        assert.deepEqual(unknown, numbers(lost.unknown));
      } else {
        assert.deepEqual(unknown, []);
        for (const unit of twice(notes)) assert.ok(again.includes(unit), `unit ${unit} was not held`);
      }
      const ran = new Set(notes.map(({ unit }) => unit));
      for (let unit = 0; unit < UNITS; unit++)
        assert.ok(ran.has(unit) || unknown.includes(unit), `unit ${unit} never ran`);
    }),
  );

test(
  'SIGTERM: what threads have begun ends, the rest goes back',
  withCluster(async (c) => {
    await c.masterWith(LEASE);
    const first = c.workerWith({ ...WORKER, threads: 1 });
    const id = await submit(c, 'in-thread', 40, 60);
    await c.reach(id, 'under way', (epic) => epic.totals.succeeded >= 3);
    const { code } = await first.end('SIGTERM');
    assert.equal(code, 0, first.lastWords());
    const drained = await c.status(id);
    assert.equal(drained.state, 'running', 'the epic was over before the drain');
    assert.equal(drained.totals.succeeded, readNotes(c.path('notes.txt')).length);
    c.workerWith(WORKER);
    assertTotals(await c.finished(id), { read: 40, succeeded: 40 });
    assert.deepEqual(twice(readNotes(c.path('notes.txt'))), []);
    assert.deepEqual(c.journal.of('lease-expired'), []);
  }),
);

test(
  'a thread that takes all its memory fails its unit; the worker and the other units go on',
  withCluster(async (c) => {
    await c.masterWith(LEASE);
    const few = { NODE_OPTIONS: '--max-old-space-size=96' };
    const flags = ['--master', c.url, '--works', SPIN_WORKS, '--threads', '1'];
    const worker = c.gimmeWith(few, 'worker', ...flags);
    const id = await submit(c, 'hungry', 8, 0);
    const over = await c.finished(id);
    assertTotals(over, { read: 8, succeeded: 7, failed: 1 });
    assert.deepEqual(over.faults, { retries_exhausted: 1 });
    assert.match(String(over.examples?.[0]?.message), /its thread ended under it: .*memory/);
    assert.equal((await worker.end('SIGTERM')).code, 0, worker.lastWords());
  }),
);

test(
  'a step that computes for longer than the lease: in a thread nobody notices, on the loop it is named',
  withCluster(async (c) => {
    await c.masterWith(LEASE);
    const worker = c.workerWith({ ...WORKER, threads: 1 });
    assertTotals(await c.finished(await submit(c, 'in-thread', 1, LONG_MS)), { read: 1, succeeded: 1 });
    assert.deepEqual(c.journal.of('lease-expired'), [], 'a heartbeat was late');
    const blocked = /a step blocked the event loop.* work=(\S+) step=(\S+) ms=(\d+) .*thread: true/;
    assert.ok(!worker.err.some((line) => blocked.test(line)), worker.lastWords());
    assertTotals(await c.finished(await submit(c, 'on-loop', 2, LONG_MS)), { read: 2, succeeded: 2 });
    const [, work, step, ms] = await worker.line(blocked);
    assert.deepEqual([work, step], ['on-loop', 'compute']);
    assert.ok(Number(ms) >= LONG_MS, `${ms} ms`);
    assert.equal(worker.err.filter((line) => blocked.test(line)).length, 1, 'it is said once a minute');
  }),
);

test(
  'a step that computes after it has waited for something is named, too',
  withCluster(async (c) => {
    await c.masterWith(LEASE);
    const worker = c.workerWith(WORKER);
    assertTotals(await c.finished(await submit(c, 'after-await', 1, LONG_MS)), { read: 1, succeeded: 1 });
    await worker.line(/the event loop stood still.* running="after-await compute"/);
  }),
);
