/** What `npm run example:order-items` claims. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expected } from '../../examples/order-items/order.ts';
import { type Answered, allOrNothing, answerAtOnce } from '../../examples/order-items/run.ts';
import { aggregateVersioned } from '../../examples/order-items/versioned.ts';

const ITEMS = 10_000;
const SUMMARY = expected({ id: 'order-1', items: ITEMS });

test('10,000 answers at once: no conflict, no retry, one event', async () => {
  const run = await answerAtOnce(ITEMS, false);
  assertOnce(run);
  // One writer makes many answers durable at a time.
  assert.ok(run.journal.appends < ITEMS / 20, `${run.journal.appends} appends`);
});

test('a master that is killed while they answer loses none and counts none twice', async () => {
  const run = await answerAtOnce(ITEMS, true);
  assert.equal(run.killedAt, ITEMS / 2);
  assertOnce(run);
});

test('an order whose split fails half-way sends no item; an empty one ends at once', async () => {
  const { broken, sent, empty, emptyMs, emptyValue } = await allOrNothing(ITEMS);
  assert.equal(broken.state, 'failed');
  assert.equal(broken.fault?.code, 'unknown_article');
  assert.deepEqual([sent, broken.totals.read], [0, 0]);
  assert.equal(empty.state, 'finished');
  assert.deepEqual([empty.gather?.complete, empty.totals.read, emptyValue], [true, 0, null]);
  assert.ok(emptyMs < 60_000, `${emptyMs} ms; its deadline is 10 min`);
});

test('writers that share a versioned row come to the same sum by conflicts and retries', async () => {
  const items = 1_000;
  const { summary, conflicts, retries, events } = await aggregateVersioned('order-1', items, 3);
  assert.deepEqual(summary, expected({ id: 'order-1', items }));
  assert.equal(events, 1);
  assert.ok(conflicts > items, `${conflicts} conflicts`);
  assert.equal(retries, conflicts);
});

function assertOnce({ summary, end, conflicts, retries, events, same, journal }: Answered): void {
  assert.deepEqual(summary, SUMMARY);
  assert.equal(end.state, 'finished');
  assert.equal(end.totals.succeeded, ITEMS);
  assert.deepEqual([conflicts, retries, events], [0, 0, 1]);
  assert.ok(same, 'sent again it is another order');
  const { answered, twice, folded, finished } = journal;
  assert.deepEqual([answered, twice, folded, finished], [ITEMS, 0, 1, 1]);
}
