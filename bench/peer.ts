/**
 * A peer is another queue that does what our dispatch does: one producer process and as many consumer processes as
 * we have workers, on a server of its own, with the same units and nothing to do for each. Owns which peers there
 * are, how each is tuned, their installation, and one measured run.
 *
 * Measured like us: from the first add to the last outcome, on fresh processes and an empty server each time.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unreachable } from '../shared/core/errors.ts';
import type { Child } from './child.ts';
import { startNats } from './nats.ts';
import { type Place, ROOT } from './place.ts';
import { startPostgres } from './postgres.ts';
import { startRabbitMq } from './rabbitmq.ts';
import { startRedis } from './redis.ts';

type ServerKind = 'redis' | 'postgres' | 'rabbitmq' | 'jetstream';
/** What is tried; docs/BENCHMARKS.md says what it means for each. */
export type Tuning = Readonly<Record<string, number | string | boolean>>;

export type Peer = {
  name: string;
  /** The module in bench/peers. */
  script: string;
  server: ServerKind;
  /** Of one run: some seconds of work. */
  units: number;
  /** Each is tried once, shortly; the fastest is measured. */
  tunings: readonly Tuning[];
};

export type PeerRun = {
  units: number;
  /** From the first add to the last outcome. */
  totalMs: number;
  /** From the first add to the last added. */
  addingMs: number;
  cpuMs: Record<string, number>;
};

export type PeerOptions = {
  units: number;
  consumers: number;
  tuning: Tuning;
  /** What the peer's module is told beside the port, the units and the tuning. */
  more?: Readonly<Record<string, unknown>>;
};

const BULK = 1_000;
const PATIENCE_MS = 180_000;
const INSTALL_MS = 180_000;
const PEERS_FOLDER = join(ROOT, 'bench', 'peers');

export const PEERS: readonly Peer[] = [
  {
    name: 'bullmq',
    script: 'bullmq',
    server: 'redis',
    units: 40_000,
    tunings: [25, 50, 100].map((concurrency) => ({ bulk: BULK, concurrency })),
  },
  {
    name: 'bee-queue',
    script: 'beeQueue',
    server: 'redis',
    units: 80_000,
    tunings: [50, 200, 500].map((concurrency) => ({ bulk: BULK, concurrency })),
  },
  {
    name: 'pg-boss',
    script: 'pgBoss',
    server: 'postgres',
    units: 80_000,
    tunings: [
      { bulk: BULK, concurrency: 1, batch: 1_000 },
      { bulk: BULK, concurrency: 2, batch: 1_000 },
      { bulk: BULK, concurrency: 1, batch: 4_000 },
    ],
  },
  {
    name: 'graphile-worker',
    script: 'graphile',
    server: 'postgres',
    units: 80_000,
    tunings: [
      { bulk: BULK, concurrency: 24, localQueue: 500 },
      { bulk: BULK, concurrency: 50, localQueue: 1_000 },
      { bulk: BULK, concurrency: 200, localQueue: 2_000 },
    ],
  },
  {
    name: 'rabbitmq quorum',
    script: 'rabbitmq',
    server: 'rabbitmq',
    units: 120_000,
    tunings: [
      { window: 1_000, prefetch: 500 },
      { window: 2_000, prefetch: 2_000 },
      { window: 5_000, prefetch: 2_000 },
    ],
  },
  {
    name: 'jetstream stock',
    script: 'jetstream',
    server: 'jetstream',
    units: 80_000,
    tunings: [100, 500, 1_000].map((window) => ({ kind: 'stock', ackAll: false, pending: 1_000, window })),
  },
  {
    name: 'jetstream expert',
    script: 'jetstream',
    server: 'jetstream',
    units: 200_000,
    tunings: [
      { kind: 'expert', ackAll: false, pending: 20_000, window: 2_000, batch: 2_000 },
      { kind: 'expert', ackAll: true, pending: 20_000, window: 2_000, batch: 2_000 },
      { kind: 'expert', ackAll: true, pending: 50_000, window: 8_000, batch: 5_000 },
    ],
  },
];

/** Installs the peers' packages into their own folder if they are not there; throws with one line on what failed. */
export function installPeers(): void {
  const { dependencies } = read(join(PEERS_FOLDER, 'package.json')) as {
    dependencies: Record<string, string>;
  };
  const isThere = Object.entries(dependencies).every(([name, version]) => {
    const path = join(PEERS_FOLDER, 'node_modules', name, 'package.json');
    return existsSync(path) && (read(path) as { version: string }).version === version;
  });
  if (isThere) return;
  const args = ['install', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
  const options = { cwd: PEERS_FOLDER, encoding: 'utf8', timeout: INSTALL_MS } as const;
  const { status, stderr } = spawnSync('npm', args, options);
  if (status !== 0)
    throw new Error(`npm install in bench/peers failed: ${stderr?.trim().split('\n').at(-1)}`);
}

/** Runs it once. `besides` are processes whose CPU time belongs to it, too. */
export async function runPeer(
  place: Place,
  { server: kind, script }: Pick<Peer, 'server' | 'script'>,
  { units, consumers: count, tuning, more = {} }: PeerOptions,
  besides: readonly Child[] = [],
): Promise<PeerRun> {
  const server = await startServer(place, kind);
  const started: Child[] = [];
  const start = (name: string, role: string, number: number): Child => {
    const config = JSON.stringify({ port: server.port, units, tuning, number, ...more });
    const args = ['run.mjs', script, role, config];
    const child = place.start({ name, command: process.execPath, args, cwd: PEERS_FOLDER });
    started.push(child);
    return child;
  };
  const clock = deadline(script);
  const orFail = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([work, clock.late, ...[...server.children, ...started].map((child) => child.failed)]);
  const producer = start('producer', 'producer', 0);
  await orFail(ready(producer));
  const consumers = Array.from({ length: count }, (_, i) => start(`consumer ${i + 1}`, 'consumer', i + 1));
  await orFail(Promise.all(consumers.map(ready)));
  const children = [...started, ...server.children];
  const measured = [...server.children, ...started, ...besides];
  const before = measured.map((child) => child.cpuMs());
  const done = Promise.all([added(producer), completed(consumers, units)]);
  producer.send({ go: true });
  const [adding, lastAtMs] = await orFail(done);
  const cpuMs = Object.fromEntries(measured.map((it, i) => [it.name, it.cpuMs() - (before[i] ?? 0)]));
  clock.stop();
  for (const child of children) await child.stop();
  const complaint = children.flatMap((child) =>
    child.complaints().map((line) => `${child.name}: ${line}`),
  )[0];
  if (complaint !== undefined) throw new Error(`${script} complained: ${complaint}`);
  return { units, totalMs: lastAtMs - adding.fromMs, addingMs: adding.toMs - adding.fromMs, cpuMs };
}

async function startServer(place: Place, kind: ServerKind): Promise<{ children: Child[]; port: number }> {
  switch (kind) {
    case 'redis': {
      const { child, port } = await startRedis(place);
      return { children: [child], port };
    }
    case 'postgres': {
      const { child, port } = await startPostgres(place);
      return { children: [child], port };
    }
    case 'rabbitmq':
      return startRabbitMq(place);
    case 'jetstream': {
      const { child, url } = await startNats(place, place.newFolder());
      return { children: [child], port: Number(new URL(url).port) };
    }
    default:
      return unreachable(kind);
  }
}

function deadline(script: string): { late: Promise<never>; stop(): void } {
  let stop = (): void => {};
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${script} was not done in ${PATIENCE_MS} ms`)),
      PATIENCE_MS,
    );
    stop = () => clearTimeout(timer);
  });
  late.catch(() => {});
  return { late, stop: () => stop() };
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

/** Resolves with the time of the last outcome once all units have one. */
function completed(consumers: readonly Child[], units: number): Promise<number> {
  return new Promise((resolve) => {
    const counts = new Map<Child, { completed: number; lastAtMs: number }>();
    for (const consumer of consumers) {
      consumer.onMessage((message) => {
        const told = message as { completed?: number; lastAtMs?: number };
        if (told.completed === undefined || told.lastAtMs === undefined) return;
        counts.set(consumer, { completed: told.completed, lastAtMs: told.lastAtMs });
        const all = [...counts.values()];
        if (all.reduce((sum, one) => sum + one.completed, 0) < units) return;
        resolve(Math.max(...all.map((one) => one.lastAtMs)));
      });
    }
  });
}

function read(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
