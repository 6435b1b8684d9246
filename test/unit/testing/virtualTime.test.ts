/** Virtual time of `gimmework/testing`: hours within milliseconds, each timer at its own time. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { defineGather } from '../../../shared/core/gather.ts';
import { defineWork, RetryableError } from '../../../shared/core/work.ts';
import type { EpicStatus } from '../../../shared/protocol/api.ts';
import { type TestClusterOptions, testCluster } from '../../../testing/index.ts';
import { Gate, within } from '../../cluster/signals.ts';

/** Runs the body in a cluster whose time is virtual; an hour of it that took an hour would be noticed. */
async function inCluster(
  options: TestClusterOptions,
  body: (cluster: Awaited<ReturnType<typeof testCluster>>) => Promise<void>,
): Promise<void> {
  const cluster = await testCluster({ time: 'virtual', ...options });
  try {
    await within(body(cluster), () => 'the cluster to do what the test has it do', 60_000);
  } finally {
    await within(cluster.close(), () => 'the cluster to close', 60_000);
  }
}

function tookMs({ submittedAt, finishedAt }: EpicStatus): number {
  return Date.parse(finishedAt ?? '') - Date.parse(submittedAt);
}

const calls = defineGather<string[], string, string[]>('calls')
  .scatter((names) => names.map((name) => ({ data: name, to: name })))
  .step('answer', { timeout: '10m' }, (name, { signal }) => {
    if (name !== 'deaf') return name;
    return new Promise<string>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('stopped')));
    });
  })
  .gather({ deadline: '2m' }, (answers) => answers);

test('a deadline passes at once where nobody is there to answer, and the answer is out at its time', async () => {
  await inCluster({ works: [calls], workers: [{ name: 'v1' }] }, async (cluster) => {
    const { value, missing, status } = await cluster.ask(calls, ['v1', 'dead']);
    assert.deepEqual([value, missing], [['v1'], [1, 2]]);
    assert.ok(tookMs(status) >= 120_000 && tookMs(status) < 121_000, `it took ${tookMs(status)} ms`);
  });
});

test('time stands still while a step runs, until it is advanced', async () => {
  await inCluster({ works: [calls], workers: [{ name: 'v1' }, { name: 'deaf' }] }, async (cluster) => {
    let isOver = false;
    const asked = cluster.ask(calls, ['v1', 'deaf'], { deadline: '90s' }).then((answer) => {
      isOver = true;
      return answer;
    });
    await cluster.advance('89s');
    assert.equal(isOver, false);
    await cluster.advance('1s');
    const { value, missing, status } = await asked;
    assert.deepEqual([value, missing], [['v1'], [1, 2]]);
    assert.ok(tookMs(status) >= 90_000 && tookMs(status) < 91_000, `it took ${tookMs(status)} ms`);
  });
});

test('what a step waits for in the real world takes no virtual time', async () => {
  const work = defineWork<number>('reader').step('read', async () => {
    await pause(30);
    await readFile(fileURLToPath(import.meta.url));
  });
  await inCluster({ works: [work] }, async (cluster) => {
    assert.ok(tookMs(await cluster.submit(work, [1, 2, 3])) < 1_000);
  });
});

test('a unit that waits two hours for its retry is parked, and goes on two hours later', async () => {
  const attempts: number[] = [];
  const work = defineWork<number>('slow').step('fetch', (_unit, { attempt }) => {
    attempts.push(attempt);
    if (attempt === 1) throw new RetryableError('come back', { afterMs: 7_200_000 });
  });
  await inCluster({ works: [work] }, async (cluster) => {
    const id = await cluster.start(work, [1]);
    await cluster.advance('119m');
    const { totals, state } = cluster.epic(id);
    assert.deepEqual([attempts, totals.outstanding, state], [[1], 1, 'running']);
    await cluster.advance('2m');
    assert.deepEqual([attempts, cluster.epic(id).state], [[1, 2], 'finished']);
    // And by itself, while somebody waits.
    const after = await cluster.submit(work, [2]);
    assert.deepEqual(attempts, [1, 2, 1, 2]);
    assert.ok(tookMs(after) >= 7_200_000 && tookMs(after) < 7_260_000, `it took ${tookMs(after)} ms`);
  });
});

test('what a lost worker held is granted to another one once its lease has lapsed', async () => {
  const ran: string[] = [];
  const [began, never] = [new Gate(), new Gate()];
  const work = defineWork<number>('job').step('run', { timeout: '1h' }, async () => {
    ran.push('run');
    began.open();
    if (ran.length === 1) await never.opened;
  });
  await inCluster({ works: [work], workers: [{ name: 'first' }] }, async (cluster) => {
    const id = await cluster.start(work, [1]);
    await cluster.advance('1s');
    await began.opened;
    await cluster.addWorker({ name: 'second' });
    cluster.loseWorker('first');
    await cluster.advance('20s');
    assert.deepEqual([ran.length, cluster.epic(id).totals.outstanding], [1, 1]);
    const status = await cluster.over(id);
    assert.deepEqual([ran.length, status.totals.succeeded], [2, 1]);
    assert.ok(tookMs(status) > 25_000 && tookMs(status) < 45_000, `it took ${tookMs(status)} ms`);
    never.open();
  });
});

test('the same test takes the same time each time', async () => {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const work = defineWork<number>('flaky').step(
      'try',
      { retry: { attempts: 9, backoff: { first: '1s', factor: 2, max: '1m' } } },
      (unit, { attempt }) => {
        if (attempt <= unit) throw new RetryableError('not yet');
      },
    );
    await inCluster({ works: [work], workers: 2 }, async (cluster) => {
      times.push(tookMs(await cluster.submit(work, [1, 2, 3, 4, 5])));
    });
  }
  assert.deepEqual(times, [times[0], times[0], times[0]]);
});

test('only virtual time can be advanced', async () => {
  const cluster = await testCluster({ works: [calls], workers: 0 });
  await assert.rejects(cluster.advance('1s'), /advance moves virtual time/);
  assert.throws(() => cluster.loseWorker('who'), /no worker who/);
  await cluster.close();
});
