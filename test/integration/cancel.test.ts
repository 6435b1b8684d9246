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
    const sent = stub.mails().accepted;
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
    assert.equal(mails.accepted, sent, 'a mail was sent after the epic was cancelled');
    assert.deepEqual(mails.twice, []);
    const settledAt = Date.parse(over.finishedAt ?? '');
    for (const mail of mails.all) assert.ok(mail.at <= settledAt, `unit ${mail.unit} was sent afterwards`);

    const outcomes = c.journal.outcomes(id);
    assert.equal(outcomes.size, ROWS);
    for (const mail of mails.all) {
      const outcome = outcomes.get(mail.unit);
      assert.ok(
        outcome === 'succeeded' || outcome === 'unknown',
        `unit ${mail.unit} was sent, yet ${outcome}`,
      );
    }
    const sentTo = new Set(mails.units);
    for (const unit of c.journal.units(id, 'succeeded'))
      assert.ok(sentTo.has(unit), `unit ${unit} was not sent`);
    assert.ok(succeeded <= mails.distinct && mails.distinct <= succeeded + unknown);
  }),
);
