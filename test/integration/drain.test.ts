/**
 * Stopping: a worker that is told to stop ends what it has begun, reports it, hands back the rest and exits 0;
 * an impatient person gets out at once; a master stops cleanly under its workers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertTotals, withCluster } from '../processes/cluster.ts';
import { numbers } from '../processes/journal.ts';
import { until } from '../processes/until.ts';

const ROWS = 40;
const SLOTS = 16;
/** How long a drain lasts unless told, where what has begun does not end. */
const DRAIN_MS = 25_000;

test(
  'SIGTERM mid-send: begun mails are awaited and reported, the rest goes to another worker',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.masterWith({}), c.stub('--latency', '1s')]);
    const first = c.worker(stub, '--slots', String(SLOTS));
    const id = await c.submit(await c.recipients(ROWS));
    // All slots have begun their mail and none has its answer.
    await until(
      'sixteen have begun',
      () => c.journal.of('begun'),
      (begun) => countOf(begun) >= SLOTS,
    );
    assert.equal(stub.mails().accepted, 0, 'the stub has answered already');
    const ended = await first.end('SIGTERM');
    assert.equal(ended.code, 0, first.lastWords());
    const left = await c.status(id);
    assertTotals(left, { read: ROWS, succeeded: SLOTS, outstanding: ROWS - SLOTS });
    assert.equal(left.leased, 0, 'the rest is handed back');
    assert.equal(stub.mails().accepted, SLOTS);

    const second = c.worker(stub, '--slots', String(ROWS));
    assertTotals(await c.finished(id), { read: ROWS, succeeded: ROWS });
    const mails = await stub.close();
    assert.deepEqual(mails.twice, []);
    assert.equal(mails.distinct, ROWS);
    assert.deepEqual(c.journal.of('lease-expired'), []);
    assert.equal((await second.end('SIGTERM')).code, 0);
  }),
);

test(
  'SIGTERM while deferred mails wait: they go back with what is left of their delay, and exit is at once',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.masterWith({}), c.stub('--defer', '100%')]);
    const first = c.worker(stub, '--smtp-retry-first', '3s');
    const id = await c.submit(await c.recipients(ROWS));
    await c.reach(id, 'deferred', (epic) => (epic.steps['send']?.retried ?? 0) >= ROWS / 2);
    assert.equal((await first.end('SIGTERM')).code, 0, first.lastWords());
    const left = await c.status(id);
    assert.equal(left.leased, 0, 'everything is handed back');
    const drained = c.journal.of('parked').flatMap((record) => record.units);
    assert.ok(drained.length > 0, 'no unit was waiting');
    for (const { attempt, step } of drained)
      assert.deepEqual([attempt, step], [2, 1], 'only send is run again');

    c.worker(stub);
    assertTotals(await c.finished(id), { read: ROWS, succeeded: ROWS });
    const mails = await stub.close();
    assert.equal(mails.distinct, ROWS);
    assert.deepEqual(mails.twice, []);
  }),
);

test(
  'a second Ctrl-C ends a draining worker at once with 130, and SIGTERM ends the master with 0',
  withCluster(async (c) => {
    const [master, stub] = await Promise.all([c.masterWith({}), c.stub('--latency', '2m')]);
    const impatient = c.worker(stub);
    const patient = c.worker(stub);
    for (const worker of [impatient, patient]) await worker.line(/worker ready/);
    await c.submit(await c.recipients(ROWS));
    await until(
      'sixteen have begun',
      () => c.journal.of('begun'),
      (begun) => countOf(begun) >= SLOTS,
    );
    impatient.signal('SIGINT');
    await impatient.line(/draining/);
    const startedMs = performance.now();
    assert.equal((await impatient.end('SIGINT')).code, 130, impatient.lastWords());
    assert.ok(performance.now() - startedMs < DRAIN_MS / 2, 'it waited');
    assert.equal((await master.end('SIGTERM')).code, 0, master.lastWords());
    await patient.line(/the link to the master is down/);
  }),
);

function countOf(begun: readonly { units: readonly number[] }[]): number {
  return begun.reduce((sum, { units }) => sum + numbers(units).length, 0);
}
