/**
 * A mail server that takes a mail and then loses its reply leaves a doubt that nobody can settle
 * (RFC 1047): exactly those units end as `unknown`, and none of them is sent twice.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { assertTotals, withCluster } from '../processes/cluster.ts';

const ROWS = 1_200;
const DROPPED = 0.02;
/** The seed that the stub has unless it is told another one. */
const SEED = 1;

test(
  'the units whose replies were lost are the unknown ones, and no other',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.masterWith({}), c.stub('--drop-reply', '2%')]);
    c.worker(stub);
    c.worker(stub);
    const id = await c.submit(await c.recipients(ROWS));
    const over = await c.finished(id);
    const mails = await stub.close();

    const dropped = mails.all
      .filter((mail) => lotOf(`${mail.epic}.${mail.unit}@example.com`, mail.to) < DROPPED)
      .map((mail) => mail.unit)
      .sort((a, b) => a - b);
    assert.ok(dropped.length > 5, `only ${dropped.length} replies were dropped`);
    assert.match(stub.process.out.at(-1) ?? '', new RegExp(`"droppedReplies":${dropped.length}\\b`));
    assert.deepEqual(c.journal.units(id, 'unknown'), dropped);
    assertTotals(over, { read: ROWS, succeeded: ROWS - dropped.length, unknown: dropped.length });
    assert.deepEqual(over.faults, { effect_unknown: dropped.length });
    assert.deepEqual(mails.twice, []);
    assert.equal(mails.distinct, ROWS);

    const waited = await c.run('epic', 'wait', id);
    assert.equal(waited.code, 6, waited.err);
  }),
);

/** The lot, from 0 to 1, that decides the fate of a mail at the stub. */
function lotOf(messageId: string, to: string): number {
  return createHash('sha1').update(`${SEED}\n${messageId}\n${to}`).digest().readUInt32BE(0) / 2 ** 32;
}
