/**
 * The bare pull loop over a bus of ours, as processes: one master, as many workers as we have, nothing durable. What
 * it reaches is the limit that dispatch is measured against.
 */
import type { Child } from './child.ts';
import type { Link } from './cluster.ts';
import { type Nats, startNats } from './nats.ts';
import type { Place } from './place.ts';

export type BareOptions = {
  units: number;
  workers: number;
  link: Link;
  /** Units of one frame, frames that each worker has ahead of it, and what is waited before each but the first. */
  batch?: number;
  ahead?: number;
  pauseMs?: number;
};
export type BareRun = {
  units: number;
  /** From the first unit made to the last one run. */
  totalMs: number;
  /** Where it pauses: from each frame sent to the answer. */
  roundTripsMs: number[];
  /** Process → CPU time in it. */
  cpuMs: Record<string, number>;
};

/** Units of one frame: larger ones were no faster. */
const BATCH = 1_024;
const AHEAD = 4;

/** Runs it once, on fresh processes. */
export async function runBare(place: Place, options: BareOptions): Promise<BareRun> {
  const { units, workers: count, link, batch = BATCH, ahead = AHEAD, pauseMs } = options;
  const nats = link === 'nats' ? await startNats(place) : undefined;
  const config = { units, workers: count, batch, ahead, pauseMs, ...(nats && { nats: nats.url }) };
  const master = bare(place, 'master', config);
  const { url } = await heard<{ url: string }>(master, 'url');
  const ready = heard<{ ready: true }>(master, 'ready');
  const workers = Array.from({ length: count }, (_, i) =>
    bare(place, 'worker', { name: `bare-${i + 1}`, ...(nats ? { nats: url } : { master: url }) }, i + 1),
  );
  const all = [master, ...workers, ...(nats ? [nats.child] : [])];
  const failed = Promise.race(all.map((child) => child.failed));
  await Promise.race([ready, failed]);
  const before = cpuMs(all);
  const over = heard<{ ms: number; roundTripsMs: number[] }>(master, 'ms');
  master.send({ go: true });
  const { ms, roundTripsMs } = await Promise.race([over, failed]);
  const after = cpuMs(all);
  await stopAll(workers, master, nats);
  const used = Object.entries(after).map(([name, used]) => [name, used - (before[name] ?? 0)]);
  return { units, totalMs: ms, roundTripsMs, cpuMs: Object.fromEntries(used) };
}

function bare(place: Place, role: 'master' | 'worker', config: object, i?: number): Child {
  const entry = place.built(`bench/works/${role === 'master' ? 'bareMaster' : 'bareWorker'}.js`);
  const name = i === undefined ? role : `${role} ${i}`;
  return place.start({ name, command: process.execPath, args: [entry, JSON.stringify(config)] });
}

/** The next message of a child that has this field. */
function heard<T>(child: Child, field: keyof T & string): Promise<T> {
  const message = new Promise<T>((resolve) => {
    child.onMessage((told) => {
      if (field in (told as object)) resolve(told as T);
    });
  });
  return Promise.race([message, child.failed]);
}

async function stopAll(workers: readonly Child[], master: Child, nats: Nats | undefined): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()));
  await master.stop();
  await nats?.child.stop();
}

function cpuMs(children: readonly Child[]): Record<string, number> {
  return Object.fromEntries(children.map((child) => [child.name, child.cpuMs()]));
}
