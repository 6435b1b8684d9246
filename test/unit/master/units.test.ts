/** Units kept one by one, their stories, and second tries: a whole cluster within the process, on a memory store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineWork, PermanentError, skip, UnknownOutcomeError } from '../../../client/index.ts';
import type { RetryBody } from '../../../shared/protocol/api.ts';
import { Cluster } from '../../cluster/cluster.ts';
import { memoryLink } from '../../cluster/links.ts';
import { Gate, Tally } from '../../cluster/signals.ts';

type Fate = 'ok' | 'fail' | 'doubt' | 'skip' | 'wait';
type Row = { n: number };

/** A work whose units meet the fate that a test gives them, and the effect keys under which it was had. */
function fated(fates: Map<number, Fate>) {
  const done = new Tally<string>('units to be done');
  const begun = new Tally<number>('units to be begun');
  const gate = new Gate();
  const work = defineWork<Row>('fated', { key: ({ n }) => `row-${n}` }).step(
    'act',
    { effect: 'at-most-once' },
    async ({ n }, ctx) => {
      begun.add(n);
      const fate = fates.get(n) ?? 'ok';
      if (fate === 'wait') await gate.opened;
      if (fate === 'fail') throw new PermanentError('it cannot be', { code: n % 2 === 0 ? 'even' : 'odd' });
      if (fate === 'doubt') throw new UnknownOutcomeError('no reply came');
      if (fate === 'skip') return skip('not wanted');
      done.add(ctx.effectKey);
      return undefined;
    },
  );
  return { work, done, begun, gate };
}

const rows = (count: number): Row[] => Array.from({ length: count }, (_, n) => ({ n }));

/** The units that each epic is to try, by the records. */
function triedBy(cluster: Cluster, epic: string): readonly number[] | undefined {
  for (const record of cluster.records)
    if (record.k === 'epic-submitted' && record.epic === epic) return record.retryOf?.only;
  return undefined;
}

/** Retries and waits for the end of the new epic. */
async function retried(cluster: Cluster, id: string, body: RetryBody = {}) {
  const { count, leftOut, epic } = await cluster.master.units.retry(id, body);
  assert.ok(epic);
  return { count, leftOut, over: await cluster.finished(epic.id) };
}

test('a second try does exactly what failed, under the same effect keys, and leaves the totals of the first', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const fates = new Map<number, Fate>([
      [2, 'fail'],
      [3, 'fail'],
      [7, 'fail'],
      [8, 'skip'],
    ]);
    const { work, done } = fated(fates);
    await cluster.work('w-1', 4, [work]);
    const id = await cluster.submit('fated', rows(10));
    const { units } = cluster.master;
    const first = await cluster.finished(id);
    assert.deepEqual([first.totals.succeeded, first.totals.failed, first.totals.skipped], [6, 3, 1]);

    assert.deepEqual(await units.retry(id, { dryRun: true }), { count: 3, leftOut: 0 });
    assert.deepEqual(await units.retry(id, { dryRun: true, code: 'odd' }), { count: 2, leftOut: 0 });
    const { units: listed } = await units.page(id, { limit: 10 });
    assert.deepEqual(
      listed.map(({ unit, key, code, data }) => [unit, key, code, data]),
      [
        [2, 'row-2', 'even', '{"n":2}'],
        [3, 'row-3', 'odd', '{"n":3}'],
        [7, 'row-7', 'odd', '{"n":7}'],
      ],
    );
    const groups = await units.failures(id);
    assert.deepEqual(
      groups.map(({ code, count, example }) => [code, count, example?.unit]),
      [
        ['odd', 2, 3],
        ['even', 1, 2],
      ],
    );

    fates.clear();
    const second = await retried(cluster, id, { code: 'odd' });
    assert.deepEqual([second.count, second.over.name], [2, `${id}-retry`]);
    assert.deepEqual([second.over.totals.read, second.over.totals.succeeded], [2, 2]);
    assert.equal(second.over.retryOf, id);
    const keys = done.all.slice(-2).toSorted();
    assert.deepEqual(keys, [`${id}.3`, `${id}.7`], 'the keys of the first epic');
    assert.deepEqual(cluster.status(id).totals, first.totals);
    const third = await retried(cluster, id);
    assert.deepEqual([third.count, third.leftOut, third.over.name], [1, 2, `${id}-retry-2`]);
    assert.equal(done.all.at(-1), `${id}.2`);
    await assert.rejects(units.retry(id, {}), {
      code: 'wrong_state',
      message: new RegExp(
        `^nothing of epic ${id} is to be tried again: each failed unit is tried, or was, by`,
      ),
    });
    await assert.rejects(units.retry(second.over.id, {}), {
      code: 'wrong_state',
      message: /has no failed unit$/,
    });
    await assert.rejects(units.retry(id, { code: 'none' }), {
      message: /it has no failed unit of code none$/,
    });
    assert.equal(done.all.length, new Set(done.all).size, 'nothing was done twice');
  }));

test('what failed again may be tried by the first epic or by the second, but not by both', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const fates = new Map<number, Fate>([
      [1, 'fail'],
      [3, 'fail'],
    ]);
    const { work, done } = fated(fates);
    await cluster.work('w-1', 4, [work]);
    const id = await cluster.submit('fated', rows(5));
    const { units } = cluster.master;
    await cluster.finished(id);
    fates.delete(1);
    const second = await retried(cluster, id);
    assert.equal(second.over.totals.failed, 1);
    fates.clear();
    const [a, b] = await Promise.allSettled([units.retry(id, {}), units.retry(second.over.id, {})]);
    const made = [a, b].flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    assert.equal(made.length, 1, 'two at once');
    const third = await cluster.finished(made[0]?.epic?.id ?? '');
    assert.deepEqual(triedBy(cluster, third.id), [3, 4]);
    for (const epic of [id, second.over.id])
      await assert.rejects(units.retry(epic, {}), { code: 'wrong_state' });
    assert.deepEqual(
      done.all.toSorted(),
      [0, 1, 2, 3, 4].map((n) => `${id}.${n}`),
    );
  }));

test('doubtful units want the name of the epic; what is in doubt again is nobody else’s to try', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const fates = new Map<number, Fate>([
      [0, 'doubt'],
      [1, 'fail'],
      [4, 'doubt'],
    ]);
    const { work, done } = fated(fates);
    await cluster.work('w-1', 4, [work]);
    const id = await cluster.submit('fated', rows(5));
    const { units } = cluster.master;
    await cluster.finished(id);
    const states: RetryBody['states'] = ['unknown'];
    await assert.rejects(units.retry(id, { states }), {
      code: 'bad_request',
      message: /can do it twice: confirm/,
    });
    await assert.rejects(units.retry(id, { states, confirm: 'other' }), { code: 'bad_request' });
    assert.deepEqual(await units.retry(id, { states, dryRun: true }), { count: 2, leftOut: 0 });
    fates.delete(0);
    fates.set(1, 'doubt');
    const both = await retried(cluster, id, { states: ['failed', 'unknown'], confirm: id });
    assert.deepEqual([both.count, both.over.totals.unknown], [3, 2]);
    await assert.rejects(
      units.retry(id, {}),
      { code: 'wrong_state' },
      'unit 1 is in doubt, where it was tried',
    );
    assert.deepEqual(
      done.all.toSorted(),
      [0, 2, 3].map((n) => `${id}.${n}`),
    );
  }));

test('of a second try that was cancelled, only what it had not begun is tried again', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const fates = new Map<number, Fate>();
    for (let n = 0; n < 6; n++) fates.set(n, 'fail');
    const { work, done, begun, gate } = fated(fates);
    await cluster.work('w-1', 1, [work]);
    const id = await cluster.submit('fated', rows(6));
    const { units } = cluster.master;
    await cluster.finished(id);
    fates.clear();
    fates.set(2, 'wait');
    const { epic } = await units.retry(id, {});
    assert.ok(epic);
    await assert.rejects(units.retry(epic.id, {}), { code: 'wrong_state', message: /is still running/ });
    await begun.until(6 + 3);
    await cluster.settled(epic.id, 2);
    await assert.rejects(units.retry(id, {}), { code: 'wrong_state' }, 'all are in its hands');
    await cluster.master.cancel(epic.id, 'enough');
    gate.open();
    const over = await cluster.finished(epic.id);
    assert.equal(over.state, 'cancelled');
    const { succeeded, cancelled, unknown } = over.totals;
    assert.equal(succeeded + cancelled + unknown, 6);
    assert.ok(succeeded >= 2 && cancelled >= 3, JSON.stringify(over.totals));
    const third = await retried(cluster, id);
    assert.deepEqual([third.count, third.leftOut], [cancelled, 6 - cancelled]);
    assert.equal(done.all.length, new Set(done.all).size, 'nothing was done twice');
  }));

test('stories: of one that went well, of one that failed, by key, of one that is at a worker, and of none', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const fates = new Map<number, Fate>([
      [1, 'fail'],
      [4, 'wait'],
    ]);
    const { work, gate } = fated(fates);
    await cluster.work('w-1', 4, [work]);
    const id = await cluster.submit('fated', rows(5));
    const { units } = cluster.master;
    await cluster.settled(id, 4);

    const well = await units.story(id, 0);
    assert.deepEqual([well.state, well.record, well.standing], ['succeeded', 1, 'it succeeded']);
    assert.deepEqual(
      well.events.map(({ what }) => what),
      [
        'it was read from the source, as record 1',
        'worker w-1 (w-1) was told that its effect may begin',
        'it succeeded on worker w-1 (w-1)',
      ],
    );
    assert.ok(well.events.every(({ at }) => Number.isFinite(Date.parse(at))));
    const failed = await units.story(id, { key: 'row-1' });
    assert.deepEqual([failed.unit, failed.state, failed.view?.data], [1, 'failed', '{"n":1}']);
    assert.match(failed.standing, /^it failed at step act: odd, it cannot be$/);
    assert.match(
      failed.events.at(-1)?.what ?? '',
      /^it failed on worker w-1 .* at step act, attempt 1: odd, it/,
    );
    const held = await units.story(id, 4);
    assert.deepEqual([held.state, held.standing], ['leased', 'worker w-1 (w-1) has it']);
    await assert.rejects(units.story(id, 5), {
      code: 'not_found',
      message: /has no unit 5: they are 0 to 4$/,
    });
    await assert.rejects(units.story(id, { key: 'row-0' }), {
      code: 'not_found',
      message: /only units that/,
    });

    gate.open();
    await cluster.finished(id);
    fates.clear();
    const { over } = await retried(cluster, id);
    const again = await units.story(id, 1);
    assert.equal(again.state, 'failed');
    assert.ok(again.standing.endsWith(`; ${id}-retry (${over.id}) tries it again`), again.standing);
    await assert.rejects(units.story(over.id, 0), {
      message: new RegExp(`tries 1 of the units of ${id} again; 0 is not`),
    });
    assert.equal((await units.story(over.id, 1)).state, 'succeeded');
  }));

test('a long list comes by pages', () =>
  Cluster.run(memoryLink, {}, async (cluster) => {
    const fates = new Map<number, Fate>();
    for (let n = 0; n < 700; n += 2) fates.set(n, 'fail');
    const { work } = fated(fates);
    await cluster.work('w-1', 8, [work]);
    const id = await cluster.submit('fated', rows(700));
    await cluster.finished(id);
    const { units } = cluster.master;
    const seen: number[] = [];
    for (let after = -1; ; ) {
      const page = await units.page(id, { after, limit: 300 });
      seen.push(...page.units.map(({ unit }) => unit));
      if (page.next === undefined) break;
      assert.equal(page.units.length, 300);
      after = Number(page.next);
    }
    assert.deepEqual(seen, [...fates.keys()]);
    assert.equal((await units.retry(id, { dryRun: true })).count, 350);
  }));
