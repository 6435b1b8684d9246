/** Cancelling in the middle: every row of the file ends in an outcome, and nothing is sent once it is settled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicStatus } from '../../client/index.ts';
import { assertTotals, withCluster } from '../processes/cluster.ts';

const ROWS = 10_000;

test(
  'cancel mid-run: succeeded + cancelled + unknown are all rows, and nothing is sent afterwards',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.masterWith({}), c.stub('--latency', '30ms')]);
    const workers = [c.worker(stub), c.worker(stub)];
    const id = await c.submit(await c.recipients(ROWS));
    await c.reach(id, 'under way', (epic) => epic.totals.succeeded > 300);
    const waiting = c.run('epic', 'wait', id);
    const cancel = await c.run('epic', 'cancel', id, '--reason', 'wrong subject', '-o', 'json');
    assert.equal(cancel.code, 0, cancel.err);
    assert.equal((JSON.parse(cancel.out) as EpicStatus).reason, 'wrong subject');

    const over = await c.finished(id);
    assert.equal(over.state, 'cancelled');
    const { succeeded, cancelled, unknown } = over.totals;
    assertTotals(over, { read: ROWS, succeeded, cancelled, unknown });
    assert.ok(over.totalExact && over.total === ROWS);
    assert.ok(cancelled > 0 && succeeded > 300);
    assert.equal((await waiting).code, 5);

    const again = await c.run('epic', 'cancel', id, '--reason', 'twice');
    assert.equal(again.code, 8, again.err);
    for (const worker of workers) assert.equal((await worker.end('SIGTERM')).code, 0, worker.lastWords());
    const mails = await stub.close();
    assert.deepEqual(mails.twice, []);
    const outcomes = c.journal.outcomes(id);
    assert.equal(outcomes.size, ROWS);
    const settledAt = Date.parse(over.finishedAt ?? '');
    for (const { unit, at } of mails.all) {
      const outcome = outcomes.get(unit);
      // A server may take its time with a mail that it has: then nobody knows, and it is told so.
      const right = outcome === 'unknown' || (outcome === 'succeeded' && at <= settledAt);
      assert.ok(right, `unit ${unit} was sent ${at - settledAt} ms after the end, yet is ${outcome}`);
    }
    const sentTo = new Set(mails.units);
    for (const unit of c.journal.units(id, 'succeeded'))
      assert.ok(sentTo.has(unit), `unit ${unit} was not sent`);
    assert.ok(succeeded <= mails.distinct && mails.distinct <= succeeded + unknown);
  }),
);
