/**
 * Several sessions of a worker in one process, each with a link of its own, offering the work that does nothing.
 * Its one argument is JSON. Once it was told to stop and has, it prints how full the mailbox of each was at most.
 */
import { stopped } from '../../cli/signals.ts';
import { createLog } from '../../shared/io/log.ts';
import { startWorker } from '../../worker/main.ts';
import { noop } from './noop.ts';

const config = JSON.parse(process.argv[2] ?? '') as {
  sessions: number;
  slots: number;
  name: string;
  /** The other end of the link: one of the two. */
  master?: string;
  nats?: string;
};

const log = createLog({ level: 'warn', format: 'text' });
const stop = stopped();
const { sessions, slots, name, master, nats } = config;
const link = nats === undefined ? { master: master ?? '' } : { nats: { servers: nats } };
const workers = await Promise.all(
  Array.from({ length: sessions }, (_, i) =>
    startWorker({ ...link, works: [noop], slots, name: `${name}-${i + 1}`, labels: {}, log }),
  ),
);
await Promise.race([stop, ...workers.map((worker) => worker.closed)]);
await Promise.all(workers.map((worker) => worker.drain('the measurement is over')));
console.log(JSON.stringify({ heldMax: workers.map((worker) => worker.heldMax()) }));
process.exit(0);
