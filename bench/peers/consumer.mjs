/** One BullMQ consumer process: `consumer.mjs <port> <concurrency>`. Tells its parent how many jobs it completed. */
import { Worker } from 'bullmq';

const [port, concurrency] = process.argv.slice(2).map(Number);
const TELL_EVERY_MS = 50;

let completed = 0;
let lastAtMs = 0;
let told = 0;

const worker = new Worker('bench', async () => {}, {
  connection: { host: '127.0.0.1', port, maxRetriesPerRequest: null },
  concurrency,
  removeOnComplete: { count: 0 },
});
worker.on('completed', () => {
  completed += 1;
  lastAtMs = Date.now();
});
worker.on('error', (error) => console.error(error.message));
worker.on('failed', (_job, error) => console.error(`a job failed: ${error.message}`));

setInterval(() => {
  if (completed === told) return;
  told = completed;
  process.send({ completed, lastAtMs });
}, TELL_EVERY_MS);

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
await worker.waitUntilReady();
process.send({ ready: true });
