/** The BullMQ producer process: `producer.mjs <port> <jobs> <bulk>`. Adds jobs in bulk once its parent says go. */
import { Queue } from 'bullmq';

const [port, jobs, bulk] = process.argv.slice(2).map(Number);
const UNIT_BYTES = 150;
/** Bulks on their way at once: the next one is made while Redis takes the last. */
const AHEAD = 2;

/** The same 150 bytes as `units.ts` makes, once BullMQ has turned them into JSON. */
function data(n) {
  return { n, text: 'x'.repeat(UNIT_BYTES - 16 - String(n).length) };
}

const queue = new Queue('bench', {
  connection: { host: '127.0.0.1', port },
  defaultJobOptions: { removeOnComplete: true },
});

async function produce() {
  process.send({ firstAddAtMs: Date.now() });
  const adding = [];
  for (let n = 0; n < jobs; n += bulk) {
    const count = Math.min(bulk, jobs - n);
    adding.push(
      queue.addBulk(Array.from({ length: count }, (_, i) => ({ name: 'unit', data: data(n + i) }))),
    );
    if (adding.length >= AHEAD) await adding.shift();
  }
  await Promise.all(adding);
  process.send({ allAddedAtMs: Date.now() });
}

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
process.once('message', () => void produce());
await queue.waitUntilReady();
process.send({ ready: true });
