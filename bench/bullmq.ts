/**
 * BullMQ as the peer: Redis, one producer process and as many consumer processes as we have workers, with
 * the same units and a processor that does nothing. Owns its installation, one run of it, and the measuring.
 *
 * Tuned as its pages advise: bulks for the producer, one Worker a process with a concurrency well above 1,
 * completed jobs removed at once. Measured like us: from the first add to the last completed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { type Place, ROOT } from './place.ts';
import { startRedis } from './redis.ts';

export type PeerOptions = { redis: string; jobs: number; consumers: number; concurrency: number };
export type PeerRun = {
  jobs: number;
  /** From the first add to the last completed. */
  totalMs: number;
  /** From the first add to the last added. */
  addingMs: number;
  cpuMs: Record<string, number>;
};

/** Jobs in one addBulk. */
const BULK = 1_000;
const INSTALL_MS = 180_000;
const PEERS = join(ROOT, 'bench', 'peers');

/** Installs BullMQ into its own folder if it is not there; throws with one line on what failed. */
export function installBullmq(): void {
  const { dependencies } = read(join(PEERS, 'package.json')) as { dependencies: Record<string, string> };
  const isThere = Object.entries(dependencies).every(([name, version]) => {
    const path = join(PEERS, 'node_modules', name, 'package.json');
    return existsSync(path) && (read(path) as { version: string }).version === version;
  });
  if (isThere) return;
  const args = ['install', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
  const { status, stderr } = spawnSync('npm', args, { cwd: PEERS, encoding: 'utf8', timeout: INSTALL_MS });
  if (status !== 0)
    throw new Error(`no bullmq: npm install in bench/peers failed: ${stderr?.trim().split('\n').at(-1)}`);
}

/** Runs it once, on an empty Redis with fresh processes. */
export async function runBullmq(place: Place, options: PeerOptions): Promise<PeerRun> {
  const { jobs, consumers: count, concurrency } = options;
  const redis = await startRedis(place, options.redis);
  const port = String(redis.port);
  const producer = peer(place, 'producer', ['producer.mjs', port, String(jobs), String(BULK)]);
  const consumers = Array.from({ length: count }, (_, i) =>
    peer(place, `consumer ${i + 1}`, ['consumer.mjs', port, String(concurrency)]),
  );
  const all = [redis.child, producer, ...consumers];
  const failed = Promise.race(all.map((child) => child.failed));
  await Promise.race([Promise.all([producer, ...consumers].map(ready)), failed]);
  const before = cpuMs(all);
  const done = Promise.all([added(producer), completed(consumers, jobs)]);
  producer.send({ go: true });
  const [adding, lastAtMs] = await Promise.race([done, failed]);
  const after = cpuMs(all);
  for (const child of [producer, ...consumers, redis.child]) await child.stop();
  const complaints = consumers.flatMap((child) => child.complaints());
  if (complaints.length > 0) throw new Error(`BullMQ complained: ${complaints[0]}`);
  return {
    jobs,
    totalMs: lastAtMs - adding.fromMs,
    addingMs: adding.toMs - adding.fromMs,
    cpuMs: Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? 0)])),
  };
}

function peer(place: Place, name: string, args: readonly string[]): Child {
  return place.start({ name, command: process.execPath, args, cwd: PEERS });
}

function ready(child: Child): Promise<void> {
  return new Promise((resolve) => {
    child.onMessage((message) => {
      if ((message as { ready?: boolean }).ready) resolve();
    });
  });
}

function added(producer: Child): Promise<{ fromMs: number; toMs: number }> {
  return new Promise((resolve) => {
    let fromMs = 0;
    producer.onMessage((message) => {
      const { firstAddAtMs, allAddedAtMs } = message as { firstAddAtMs?: number; allAddedAtMs?: number };
      fromMs = firstAddAtMs ?? fromMs;
      if (allAddedAtMs !== undefined) resolve({ fromMs, toMs: allAddedAtMs });
    });
  });
}

/** Resolves with the time of the last completion once all jobs are. */
function completed(consumers: readonly Child[], jobs: number): Promise<number> {
  return new Promise((resolve) => {
    const counts = new Map<Child, { completed: number; lastAtMs: number }>();
    for (const consumer of consumers) {
      consumer.onMessage((message) => {
        const told = message as { completed?: number; lastAtMs?: number };
        if (told.completed === undefined || told.lastAtMs === undefined) return;
        counts.set(consumer, { completed: told.completed, lastAtMs: told.lastAtMs });
        const all = [...counts.values()];
        if (all.reduce((sum, one) => sum + one.completed, 0) < jobs) return;
        resolve(Math.max(...all.map((one) => one.lastAtMs)));
      });
    }
  });
}

function cpuMs(children: readonly Child[]): Record<string, number> {
  return Object.fromEntries(children.map((child) => [child.name, child.cpuMs()]));
}

function read(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
