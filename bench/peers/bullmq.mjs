/** BullMQ: bulks for the producer, one Worker a process, completed jobs removed at once. */
import { inBulks, unit } from './units.mjs';

async function open(port) {
  const { Queue } = await import('bullmq');
  const queue = new Queue('bench', {
    connection: { host: '127.0.0.1', port },
    defaultJobOptions: { removeOnComplete: true },
  });
  await queue.waitUntilReady();
  return queue;
}

export async function producer({ port, units, tuning }) {
  const queue = await open(port);
  return () =>
    inBulks({ units, bulk: tuning.bulk, ahead: 2 }, (numbers) =>
      queue.addBulk(numbers.map((n) => ({ name: 'unit', data: unit(n) }))),
    );
}

export async function submitter({ port }) {
  const queue = await open(port);
  return (n) => queue.add('unit', unit(n));
}

export async function consumer({ port, tuning }, completed, onStart = () => {}) {
  const { Worker } = await import('bullmq');
  const worker = new Worker('bench', async ({ data }) => onStart(data), {
    connection: { host: '127.0.0.1', port, maxRetriesPerRequest: null },
    concurrency: tuning.concurrency,
    removeOnComplete: { count: 0 },
  });
  worker.on('completed', () => completed(1));
  worker.on('error', (error) => console.error(error.message));
  worker.on('failed', (_job, error) => console.error(`a job failed: ${error.message}`));
  await worker.waitUntilReady();
}
