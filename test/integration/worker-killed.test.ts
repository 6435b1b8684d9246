/**
 * `kill -9` of a worker in the middle of its sends. At most once: what it had begun ends as `unknown` and is
 * sent by nobody else. At least once: everybody gets a mail, and only what the lost session held may come twice.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import {
  AT_LEAST_ONCE,
  assertTotals,
  type Cluster,
  type Stub,
  WORKS,
  withCluster,
} from '../processes/cluster.ts';
import { numbers } from '../processes/journal.ts';

const ROWS = 600;
const LEASE = { leaseMs: 2_500, heartbeatMs: 300 };

test(
  'at most once: what the killed worker had begun is unknown, and nothing comes twice',
  withCluster(async (c) => {
    const { id, stub } = await killMidSend(c, 'newsletter');
    const over = await c.finished(id);
    const mails = await stub.close();
    const [lost, ...more] = c.journal.of('lease-expired');
    assert.ok(lost && more.length === 0, 'one lease expires');
    const unknown = c.journal.units(id, 'unknown');
    assert.ok(unknown.length > 0, 'the killed worker had begun nothing');
    assert.deepEqual(unknown, numbers(lost.unknown));
    assertTotals(over, { read: ROWS, succeeded: ROWS - unknown.length, unknown: unknown.length });
    assert.deepEqual(over.faults, { lease_expired: unknown.length });
    assert.deepEqual(mails.twice, []);
    const without = new Set(numbers([0, ROWS]).filter((unit) => !mails.units.includes(unit)));
    for (const unit of without) assert.ok(unknown.includes(unit), `unit ${unit} has no mail and is no doubt`);
  }),
);

test(
  'at least once: everybody gets a mail, and what comes twice was held by the killed worker',
  withCluster(async (c) => {
    const { id, stub } = await killMidSend(c, AT_LEAST_ONCE);
    const over = await c.finished(id);
    const mails = await stub.close();
    const [lost, ...more] = c.journal.of('lease-expired');
    assert.ok(lost && more.length === 0, 'one lease expires');
    assertTotals(over, { read: ROWS, succeeded: ROWS });
    assert.equal(mails.distinct, ROWS);
    const again = numbers(lost.again);
    assert.ok(again.length > 0 && lost.unknown.length === 0, 'what it held is granted anew, all of it');
    for (const unit of mails.twice)
      assert.ok(again.includes(unit), `unit ${unit} came twice and was not held`);
  }),
);

test(
  'a killed worker that held thousands of fast units: all are run again, by messages that fit',
  withCluster(async (c) => {
    const units = 1_000_000;
    const many = 12_000;
    await c.masterWith(LEASE);
    const settings = { works: [WORKS], slots: 16, heartbeatMs: LEASE.heartbeatMs };
    const victim = c.workerWith(settings);
    await victim.line(/worker ready/);
    const { id } = await c.client.submit({ work: 'nothing', source: range(0, units) });
    await c.known(victim, (worker) => worker.held > many);
    await victim.end('SIGKILL');
    await c.workerWith(settings).line(/worker ready/);
    assertTotals(await c.finished(id), { read: units, succeeded: units });
    const [lost, ...more] = c.journal.of('lease-expired');
    assert.ok(lost && more.length === 0, 'one lease expires');
    const held = numbers(lost.again).length;
    assert.ok(held > many / 2, `it held only ${held}`);
  }),
);

/** Starts an epic with two workers and kills one while mails of it are on their way. */
async function killMidSend(c: Cluster, works: string): Promise<{ id: string; stub: Stub }> {
  const [, stub] = await Promise.all([c.masterWith(LEASE), c.stub('--latency', '60ms')]);
  const settings = { works: [works], slots: 8, heartbeatMs: LEASE.heartbeatMs };
  const victim = c.workerWith({ ...settings, smtp: stub.url });
  c.workerWith({ ...settings, smtp: stub.url });
  const id = await c.submit(await c.recipients(ROWS));
  await c.reach(id, 'under way', (epic) => epic.totals.succeeded > ROWS / 8);
  await c.known(victim, (worker) => worker.held >= settings.slots);
  const killed = await victim.end('SIGKILL');
  assert.equal(killed.signal, 'SIGKILL');
  assert.equal((await c.status(id)).state, 'running', 'the epic was over before the kill');
  return { id, stub };
}
