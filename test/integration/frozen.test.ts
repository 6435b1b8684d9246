/**
 * Processes that stand still and go on: a laptop that sleeps, a machine that is paused. A worker that stood
 * still has lost its lease, and nothing is sent twice; a master that stood still expires nobody.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { assertTotals, withCluster } from '../processes/cluster.ts';
import { numbers } from '../processes/journal.ts';
import { until } from '../processes/until.ts';

const LEASE = { leaseMs: 2_500, heartbeatMs: 300 };
const WORKER = { works: ['newsletter'], slots: 8, heartbeatMs: LEASE.heartbeatMs };

test(
  'a worker that stood still beyond its lease: what it had begun is resolved by its own late report',
  withCluster(async (c) => {
    const rows = 600;
    const [, stub] = await Promise.all([c.masterWith(LEASE), c.stub('--latency', '120ms')]);
    const sleeper = c.workerWith({ ...WORKER, smtp: stub.url });
    c.workerWith({ ...WORKER, smtp: stub.url });
    const id = await c.submit(await c.recipients(rows));
    await c.reach(id, 'under way', (epic) => epic.totals.succeeded > rows / 10);
    await c.known(sleeper, (worker) => worker.held >= WORKER.slots);
    sleeper.signal('SIGSTOP');
    const [lost] = await until(
      'the lease of the one that stands still expires',
      () => c.journal.of('lease-expired'),
      (expired) => expired.length > 0,
    );
    const doubtful = numbers(lost?.unknown ?? []);
    assert.ok(doubtful.length > 0, 'it had begun nothing');
    await c.reach(id, 'in doubt', (epic) => epic.totals.unknown >= doubtful.length);
    sleeper.signal('SIGCONT');
    await c.reach(id, 'out of doubt', (epic) => epic.totals.unknown === 0);
    assert.equal((await c.status(id)).state, 'running', 'the epic was over before the worker was back');
    await c.known(sleeper, (worker) => worker.held > 0);

    const over = await c.finished(id);
    const mails = await stub.close();
    assertTotals(over, { read: rows, succeeded: rows });
    assert.deepEqual(over.faults, {});
    const resolved = c.journal.of('resolved').flatMap((record) => numbers(record.succeeded ?? []));
    assert.deepEqual(
      resolved.sort((a, b) => a - b),
      doubtful,
    );
    assert.deepEqual(mails.twice, []);
    assert.equal(mails.distinct, rows);
  }),
);

test(
  'a master that stood still for twice the lease expires nobody',
  withCluster(async (c) => {
    const rows = 400;
    const [master, stub] = await Promise.all([c.masterWith(LEASE), c.stub('--latency', '80ms')]);
    const workers = [
      c.workerWith({ ...WORKER, smtp: stub.url }),
      c.workerWith({ ...WORKER, smtp: stub.url }),
    ];
    const id = await c.submit(await c.recipients(rows));
    await c.reach(id, 'under way', (epic) => epic.totals.succeeded > rows / 10);
    for (const worker of workers) await c.known(worker, (it) => it.held > 0);
    master.signal('SIGSTOP');
    await pass(2 * LEASE.leaseMs); // The time itself is what is shown.
    master.signal('SIGCONT');
    assert.equal((await c.status(id)).state, 'running', 'the epic was over before the master stood still');
    await master.line(/the event loop stood still: .* ms=\d{4}/);
    const over = await c.finished(id);
    const mails = await stub.close();
    assert.deepEqual(c.journal.of('lease-expired'), []);
    assertTotals(over, { read: rows, succeeded: rows });
    assert.deepEqual(mails.twice, []);
    assert.equal(mails.distinct, rows);
  }),
);
