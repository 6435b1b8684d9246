/**
 * pg-boss: `insert` of many jobs at once, and `fetch` and `complete` of whole batches in loops. Its `work()` waits
 * half a second at least between two batches, so the loops are faster.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { inBulks, unit } from './units.mjs';

const QUEUE = 'bench';
/** Between two looks at an empty queue. */
const IDLE_MS = 2;

async function open(port, max) {
  const { default: PgBoss } = await import('pg-boss');
  const boss = new PgBoss({
    connectionString: `postgres://bench@127.0.0.1:${port}/postgres`,
    max,
    supervise: false,
    schedule: false,
  });
  boss.on('error', (error) => console.error(error.message));
  return boss.start();
}

export async function producer({ port, units, tuning }) {
  const boss = await open(port, 4);
  await boss.createQueue(QUEUE);
  return () =>
    inBulks({ units, bulk: tuning.bulk, ahead: 2 }, (numbers) =>
      boss.insert(numbers.map((n) => ({ name: QUEUE, data: unit(n) }))),
    );
}

export async function consumer({ port, tuning }, completed) {
  const boss = await open(port, tuning.concurrency + 1);
  const loop = async () => {
    for (;;) {
      const jobs = await boss.fetch(QUEUE, { batchSize: tuning.batch });
      if (jobs.length === 0) {
        await pause(IDLE_MS);
        continue;
      }
      await boss.complete(
        QUEUE,
        jobs.map(({ id }) => id),
      );
      completed(jobs.length);
    }
  };
  for (let i = 0; i < tuning.concurrency; i++) void loop();
}
