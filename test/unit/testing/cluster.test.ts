/** Works and gathers in a cluster of one process, as `gimmework/testing` makes it: the real master, the real workers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineGather } from '../../../shared/core/gather.ts';
import { defineWork, PermanentError, skip } from '../../../shared/core/work.ts';
import { type TestCluster, type TestClusterOptions, testCluster } from '../../../testing/index.ts';
import { within } from '../../cluster/signals.ts';

type Request = { vehicles: string[] };
type Trip = { vehicle: string; by: string };
type Fleet = { vehicles: string[]; missing: readonly number[]; declined: number };

const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))));

const fleet = defineGather<Request, Trip, Fleet>('fleet')
  .scatter(({ vehicles }) => vehicles.map((vehicle) => ({ data: vehicle, to: vehicle })))
  .step('compile', async (vehicle, ctx) => {
    if (vehicle.startsWith('dead')) return never(ctx.signal);
    if (vehicle.startsWith('quiet')) return skip('nothing to tell');
    if (vehicle.startsWith('broken')) throw new PermanentError('no battery');
    return { vehicle, by: ctx.effectKey };
  })
  .gather({ deadline: '2m' }, (trips, { missing, items, failed }) => ({
    vehicles: trips.map(({ vehicle }) => vehicle),
    missing,
    declined: items - trips.length - failed - missing.length / 2,
  }));

async function inCluster(
  options: TestClusterOptions,
  body: (cluster: TestCluster) => Promise<void>,
): Promise<void> {
  const cluster = await testCluster(options);
  try {
    await within(body(cluster), () => 'the cluster to do what the test has it do', 60_000);
  } finally {
    await cluster.close();
  }
}

test('a work runs each of its units, with the brief, and says how they ended', async () => {
  const seen: string[] = [];
  let [starts, stops] = [0, 0];
  const options = { start: () => void starts++, stop: () => void stops++ };
  const work = defineWork<number, { greet: string }>('job', options).step('greet', (unit, ctx) => {
    if (unit === 3) throw new PermanentError('not three', { code: 'three' });
    seen.push(`${ctx.brief.greet} ${unit}`);
  });
  await inCluster({ works: [work], workers: 2 }, async (cluster) => {
    const status = await cluster.submit(work, [1, 2, 3], { greet: 'hi' });
    assert.deepEqual([status.state, status.totals.succeeded, status.faults], ['finished', 2, { three: 1 }]);
    assert.deepEqual(seen.sort(), ['hi 1', 'hi 2']);
  });
  assert.deepEqual([starts, stops], [1, 1]);
});

describe('a gather', () => {
  test('folds what each responder answered; the fold is told who declined and who failed', async () => {
    const vehicles = ['v1', 'quiet', 'v2', 'broken'];
    await inCluster({ works: [fleet], workers: vehicles.map((name) => ({ name })) }, async (cluster) => {
      const answer = await cluster.ask(fleet, { vehicles });
      assert.deepEqual(answer.value, { vehicles: ['v1', 'v2'], missing: [], declined: 1 });
      assert.deepEqual([answer.complete, answer.missing, answer.failed], [false, [], 1]);
      const { read, succeeded, skipped, failed } = answer.status.totals;
      assert.deepEqual([read, succeeded, skipped, failed], [4, 2, 1, 1]);
    });
  });

  test('of a fleet of 200 names just those that are dead when its deadline comes', async () => {
    const vehicles = Array.from({ length: 200 }, (_, i) => (i % 10 === 7 ? `dead-${i}` : `v-${i}`));
    const workers = vehicles.map((name) => ({ name, slots: 1 }));
    await inCluster({ works: [fleet], workers, time: 'virtual' }, async (cluster) => {
      const asked = cluster.ask(fleet, { vehicles }, { deadline: '40s' });
      await cluster.advance('40s'); // The dead are asked, and hang: time does not pass by itself.
      const { complete, missing, value } = await asked;
      const dead = vehicles.flatMap((name, i) => (name.startsWith('dead') ? [i, i + 1] : []));
      assert.deepEqual([complete, missing, value.missing], [false, dead, dead]);
      assert.deepEqual(
        value.vehicles,
        vehicles.filter((name) => name.startsWith('v')),
      );
    });
  });

  test('by broadcast asks those with the labels, once each, and gives them the request', async () => {
    const quotes = defineGather<{ area: string; from: number }, number, number>('quotes')
      .broadcast(({ area }) => ({ area }))
      .step('quote', (request, ctx) => request.from + ctx.brief.from + ctx.unit)
      .gather({ deadline: '1m' }, (found) => found.reduce((sum, quote) => sum + quote, 0));
    const drivers = ['north', 'south', 'north'].map((area) => ({ labels: { area } }));
    await inCluster({ works: [quotes], workers: drivers }, async (cluster) => {
      const answer = await cluster.ask(quotes, { area: 'north', from: 10 });
      assert.deepEqual([answer.complete, answer.value], [true, 41]);
      const nobody = await cluster.ask(quotes, { area: 'west', from: 10 });
      assert.deepEqual([nobody.complete, nobody.status.totals.read], [true, 0]);
      await cluster.addWorker({ labels: { area: 'west' } });
      assert.equal((await cluster.ask(quotes, { area: 'west', from: 1 })).value, 2);
    });
  });

  test('of 10,000 items folds all of them, however many pages that takes', async () => {
    const sum = defineGather<number, { n: number; pad: string }, number>('sum')
      .scatter(async function* (count) {
        for (let n = 0; n < count; n++) yield { n };
      } as (count: number) => AsyncIterable<{ n: number }>)
      .step('pad', ({ n }) => ({ n, pad: 'x'.repeat(200) }))
      .gather({ deadline: '5m' }, (found) => found.reduce((total, { n }) => total + n, 0));
    await inCluster({ works: [sum], workers: 2 }, async (cluster) => {
      const { complete, value, status } = await cluster.ask(sum, 10_000);
      assert.deepEqual([complete, value, status.totals.succeeded], [true, 49_995_000, 10_000]);
      assert.deepEqual(status.faults, {});
    });
  });

  test('that cannot be scattered or folded fails with the reason, and a fault of a moment is tried again', async () => {
    let folds = 0;
    const flaky = defineGather<unknown[], number, number>('flaky')
      .scatter((items) => items)
      .step('count', (item) => Number(item))
      .gather({ deadline: '5m' }, (found) => {
        folds += 1;
        if (found.length === 3) throw new PermanentError('three is too many');
        if (folds % 2 === 1) throw new Error('not now');
        return found.length;
      });
    await inCluster({ works: [flaky], speed: 10 }, async (cluster) => {
      assert.equal((await cluster.ask(flaky, [1, 2])).value, 2);
      assert.equal(folds, 2);
      await assert.rejects(cluster.ask(flaky, [1, 2, 3]), /fold_failed: three is too many/);
      const to = 'no name';
      await assert.rejects(cluster.ask(flaky, [{ data: 1, to }]), /bad_scatter: item 0 is for "no name"/);
      const large = await cluster.ask(flaky, []);
      assert.deepEqual([large.complete, large.status.totals.read], [true, 0]);
    });
  });
});
