/** Epics whose units workers read from a source: what people see of them, and that reads, retries and ends agree. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { defineSource } from '../../shared/core/userSource.ts';
import { defineWork, PermanentError } from '../../shared/core/work.ts';
import { Cluster } from '../cluster/cluster.ts';
import { memoryLink, wsLink } from '../cluster/links.ts';
import { Gate, within } from '../cluster/signals.ts';

type Numbers = { to: number };

const numbers = defineSource<number, number, Numbers>('numbers', {
  async *read(after = -1, { args }) {
    for (let n = after + 1; n < args.to; n++) yield { unit: n, cursor: n };
  },
});

function tally(failing: (n: number) => boolean = () => false) {
  const seen = new Map<number, number>();
  const job = defineWork<number>('job').step('see', (n) => {
    seen.set(n, (seen.get(n) ?? 0) + 1);
    if (failing(n)) throw new PermanentError('not this one', { code: 'refused' });
  });
  return { job, seen };
}

const all = (to: number): [number, number][] => Array.from({ length: to }, (_, n) => [n, 1]);

test('each unit is read and run once, by whoever reads and whoever works; the epic says what it waits for', () =>
  Cluster.run(wsLink, { settings: { lookAheadUnits: 50 } }, async (cluster) => {
    const { job, seen } = tally();
    const epic = await cluster.submitFrom('job', 'numbers', { to: 1_000 } satisfies Numbers);
    assert.match(cluster.status(epic).bottleneck, /no worker offers `job` yet/);
    await cluster.work('w1', 4, [job]);
    const waiting = await cluster.until(epic, 'offered', ({ workers }) => workers === 1);
    assert.equal(waiting.bottleneck, 'no worker offers the source `numbers` yet');
    assert.deepEqual([waiting.total, waiting.totalExact], [0, false]);
    await cluster.work('w2', 4, [], [numbers]);
    await cluster.work('w3', 4, [job], [numbers]);
    const end = await cluster.finished(epic);
    assert.deepEqual(
      [end.state, end.totals.succeeded, end.total, end.totalExact],
      ['finished', 1_000, 1_000, true],
    );
    assert.deepEqual(
      [...seen].sort(([a], [b]) => a - b),
      all(1_000),
    );
    const most = cluster.master.masters()[0]?.queues['ready_units']?.max ?? 0;
    assert.ok(most > 0 && most <= 50, `${most} were ready at once`);
  }));

test('an empty source ends its epic at once', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const { job } = tally();
    await cluster.work('w1', 1, [job], [numbers]);
    const { state, totals } = await cluster.finished(await cluster.submitFrom('job', 'numbers', { to: 0 }));
    assert.deepEqual([state, totals.read], ['finished', 0]);
  }));

test('what failed is tried again from what was read, though nobody can read the source any more', () =>
  Cluster.run(memoryLink, { settings: { lookAheadUnits: 30 } }, async (cluster) => {
    let isMended = false;
    const { job, seen } = tally((n) => n % 10 === 3 && !isMended);
    const odd = defineSource<unknown, number>('odd', {
      async *read(after = -1) {
        for (let n = after + 1; n < 100; n++) yield { unit: n === 50 ? undefined : n, cursor: n };
      },
    });
    await cluster.work('w1', 4, [job]);
    const reader = await cluster.work('w2', 4, [], [odd]);
    const epic = await cluster.submitFrom('job', 'odd');
    const end = await cluster.finished(epic);
    assert.deepEqual(end.faults, { refused: 10, invalid_unit: 1 });
    const [bad] = (await cluster.master.units.page(epic, { code: 'invalid_unit', limit: 5 })).units;
    assert.deepEqual([bad?.unit, bad?.record], [50, 51]);
    assert.match(bad?.message ?? '', /record 51 of source odd cannot be written as JSON: it is undefined/);
    await reader.runtime.drain('it is needed no more', 1_000);
    isMended = true;
    const { count, epic: child } = await cluster.master.units.retry(epic, {});
    assert.equal(count, 11);
    const again = await cluster.finished(child?.id ?? '');
    assert.deepEqual([again.totals.read, again.totals.succeeded, again.totals.failed], [11, 10, 1]);
    assert.deepEqual([seen.get(3), seen.get(4)], [2, 1]);
  }));

test('a source that fails for good fails its epic, once what it gave is done', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const { job, seen } = tally();
    const broken = defineSource<number, number>('broken', {
      async *read(after = -1) {
        for (let n = after + 1; n < 7; n++) yield { unit: n, cursor: n };
        throw new PermanentError('the table is gone');
      },
    });
    await cluster.work('w1', 4, [job], [broken]);
    const end = await cluster.finished(await cluster.submitFrom('job', 'broken'));
    assert.equal(end.state, 'failed');
    assert.deepEqual([end.totals.read, end.totals.succeeded, seen.size], [7, 7, 7]);
    assert.deepEqual(end.fault, { code: 'source_failed', message: 'the table is gone' });
  }));

test('a pause stops the read, and going on repeats nothing; a cancel ends it with what was read', () =>
  Cluster.run(memoryLink, { settings: { lookAheadUnits: 1_000 } }, async (cluster) => {
    const { job, seen } = tally();
    const stopped = new Gate();
    const begun = new Gate();
    let isSlow = true;
    const slow = defineSource<number, number>('slow', {
      async *read(after = -1, ctx) {
        for (let n = after + 1; n < 20; n++) {
          yield { unit: n, cursor: n };
          if (n !== 9 || !isSlow) continue;
          begun.open();
          ctx.signal.addEventListener('abort', () => stopped.open());
          await new Promise((_resolve, reject) =>
            ctx.signal.addEventListener('abort', () => reject(new Error('stopped'))),
          );
        }
      },
    });
    await cluster.work('w1', 4, [job], [slow]);
    const epic = await cluster.submitFrom('job', 'slow');
    await within(begun.opened, () => 'the source to be read');
    await cluster.settled(epic, 10);
    await cluster.master.pause(epic, 'lunch');
    await within(stopped.opened, () => 'the signal of the source');
    isSlow = false;
    await cluster.master.resume(epic);
    const end = await cluster.finished(epic);
    assert.deepEqual([end.state, end.totals.succeeded], ['finished', 20]);
    assert.deepEqual(
      [...seen].sort(([a], [b]) => a - b),
      all(20),
    );

    isSlow = true;
    const other = await cluster.submitFrom('job', 'slow');
    await cluster.settled(other, 10);
    await cluster.master.cancel(other, 'enough');
    const { state, totals } = await cluster.finished(other);
    assert.deepEqual([state, totals.read, totals.succeeded], ['cancelled', 10, 10]);
    assert.equal(cluster.status(other).totalExact, false, 'nobody knows how many there were');
  }));

test('a worker that drains hands its read back at once, and another goes on with it', () =>
  Cluster.run(memoryLink, { settings: { lookAheadUnits: 1_000 } }, async (cluster) => {
    const { job, seen } = tally();
    const begun = new Gate();
    let isFirst = true;
    const slow = defineSource<number, number>('slow', {
      async *read(after = -1, ctx) {
        const isStuck = isFirst;
        isFirst = false;
        for (let n = after + 1; n < 20; n++) {
          yield { unit: n, cursor: n };
          if (n !== 9 || !isStuck) continue;
          begun.open();
          await new Promise((_resolve, reject) =>
            ctx.signal.addEventListener('abort', () => reject(new Error('stopped'))),
          );
        }
      },
    });
    await cluster.work('w1', 4, [job]);
    const reader = await cluster.work('w2', 4, [], [slow]);
    const epic = await cluster.submitFrom('job', 'slow');
    await within(begun.opened, () => 'the source to be read');
    await cluster.settled(epic, 10);
    // It would wait for as long as the source does.
    await within(reader.runtime.drain('its machine is needed', 600_000), () => 'the reader to end');
    assert.deepEqual([cluster.status(epic).totals.read, seen.size], [10, 10]);
    await cluster.work('w3', 4, [], [slow]);
    const end = await cluster.finished(epic);
    assert.deepEqual([end.state, end.totals.succeeded], ['finished', 20]);
    assert.deepEqual(
      [...seen].sort(([a], [b]) => a - b),
      all(20),
    );
  }));

test('what was read goes with the last epic that needs it', () =>
  Cluster.run(memoryLink, { settings: { retentionMs: 1 }, speed: 20 }, async (cluster) => {
    const { job } = tally();
    await cluster.work('w1', 4, [job], [numbers]);
    const epic = await cluster.submitFrom('job', 'numbers', { to: 10 });
    const files = (): Promise<string[]> => readdir(join(cluster.dir, 'spool'));
    const isGone = async (): Promise<void> => {
      // It is forgotten at a tick, and its file right after.
      while (cluster.master.epic(epic) || (await files()).length > 0) await new Promise(setImmediate);
    };
    await within(isGone(), () => 'the epic and its file to be gone');
  }));
