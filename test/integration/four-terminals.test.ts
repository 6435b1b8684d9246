/**
 * The story of the README, as a person lives it in four terminals: a master, a mail server, an epic that
 * nobody works on yet, and workers that come late, join and leave. ROWS=20000 runs it at full size.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicStatus } from '../../client/index.ts';
import { assertTotals, withCluster } from '../processes/cluster.ts';

const ROWS = Number(process.env['ROWS'] ?? 1_000);
const SLOTS = ROWS > 5_000 ? '16' : '4';

test(
  'four terminals: late workers, one that joins mid-way, one that leaves mid-send',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.master(), c.stub('--latency', '80ms', '--reject', '2%')]);
    const files = ['--source', await c.recipients(ROWS), '--brief', await c.brief()];

    const submitted = await c.run('epic', 'submit', 'newsletter', ...files, '-o', 'json');
    assert.equal(submitted.code, 0, submitted.err);
    assert.match(submitted.err, /no worker offers `newsletter` yet/);
    const { id, state, totals } = JSON.parse(submitted.out) as EpicStatus;
    assert.deepEqual([state, totals.succeeded], ['running', 0]);
    const got = await c.run('epic', 'get', id);
    assert.equal(got.code, 0, got.err);
    assert.match(got.out, /no worker offers `newsletter` yet/);

    const first = c.worker(stub, '--slots', SLOTS);
    const second = c.worker(stub, '--slots', SLOTS);
    await c.reach(id, 'a tenth done', (epic) => epic.totals.succeeded > ROWS / 10);
    const third = c.worker(stub, '--slots', SLOTS);
    await third.line(/worker ready/);
    await c.known(third, (worker) => worker.held > 0);
    const joined = await c.status(id);
    assert.ok(joined.totals.succeeded < ROWS * 0.9, 'the third came too late to show anything');

    await c.known(first, (worker) => worker.held > 0);
    assert.equal((await first.end('SIGTERM')).code, 0, first.lastWords());
    const left = await c.status(id);
    assert.equal(left.state, 'running', 'the first left too late to show anything');
    assert.equal((await c.client.workers()).length, 2);

    const waited = await c.run('epic', 'wait', id);
    assert.equal(waited.code, 6, 'some were rejected');
    const mails = await stub.close();
    const rejected = ROWS - mails.distinct;
    assert.ok(rejected > 0 && rejected < ROWS * 0.06, `${rejected} rejected`);
    const over = await c.status(id);
    assertTotals(over, { read: ROWS, succeeded: mails.distinct, failed: rejected });
    assert.deepEqual(over.faults, { smtp_rejected: rejected });
    assert.deepEqual(mails.twice, []);
    assert.equal(mails.accepted, mails.distinct);
    assert.ok(!waited.err.includes(' at '), 'no stack');
    for (const worker of [second, third]) assert.equal((await worker.end('SIGTERM')).code, 0);
  }),
);
