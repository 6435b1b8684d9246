/** bee-queue: saveAll for the producer; what its page turns off for speed is off: events, stored and kept jobs. */
import { inBulks, unit } from './units.mjs';

function settings(port) {
  return {
    redis: { host: '127.0.0.1', port },
    getEvents: false,
    sendEvents: false,
    storeJobs: false,
    removeOnSuccess: true,
  };
}

export async function producer({ port, units, tuning }) {
  const { default: Queue } = await import('bee-queue');
  const queue = await new Queue('bench', { ...settings(port), isWorker: false }).ready();
  return () =>
    inBulks({ units, bulk: tuning.bulk, ahead: 2 }, async (numbers) => {
      const errors = await queue.saveAll(numbers.map((n) => queue.createJob(unit(n))));
      for (const error of errors.values()) throw error;
    });
}

export async function consumer({ port, tuning }, completed) {
  const { default: Queue } = await import('bee-queue');
  const queue = await new Queue('bench', settings(port)).ready();
  queue.on('error', (error) => console.error(error.message));
  queue.on('failed', (_job, error) => console.error(`a job failed: ${error.message}`));
  queue.on('succeeded', () => completed(1));
  queue.process(tuning.concurrency, async () => {});
}
