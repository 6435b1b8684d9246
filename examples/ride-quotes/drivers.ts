/**
 * Drivers, as one process: each is a worker of its own, with a link of its own, its name and the area where it is. Its one
 * argument is JSON; it writes a line when all have joined and ends at a signal, or when its parent is gone.
 */
import { print } from '../../cli/output.ts';
import { stopped } from '../../cli/signals.ts';
import type { WorkDefinition } from '../../shared/core/work.ts';
import { createLog } from '../../shared/io/log.ts';
import { startWorker, type WorkerLink } from '../../worker/main.ts';
import { rideQuotes } from './quotes.ts';

export type Driver = { name: string; area: string };
export type DriversConfig = { link: WorkerLink; drivers: Driver[]; phones: string; heartbeatMs: number };

const { link, drivers, phones, heartbeatMs } = JSON.parse(process.argv[2] ?? '') as DriversConfig;
const log = createLog({ level: 'warn', format: 'text' });
const stop = stopped();

const workers = await Promise.all(
  drivers.map(({ name, area }) => {
    const works = [rideQuotes({ name, phones }) as unknown as WorkDefinition];
    return startWorker({ ...link, works, name, slots: 1, labels: { area }, log, heartbeatMs });
  }),
);
await Promise.all(workers.map(({ linked }) => linked));
print(String(workers.length));
const why = await stop;
await Promise.all(workers.map((worker) => worker.drain(why)));
process.exit(0);
