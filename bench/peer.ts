/**
 * A peer is another queue that does what our dispatch does: one producer process and as many consumer processes as
 * we have workers, on a server of its own, with the same units and nothing to do for each. Owns their installation,
 * the processes of one, and one measured run.
 *
 * Measured like us: from the first add to the last outcome, on fresh processes and an empty server each time.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unreachable } from '../shared/core/errors.ts';
import type { Child } from './child.ts';
import { startNats } from './nats.ts';
import type { Peer, ServerKind, Tuning } from './peerList.ts';
import { type Place, ROOT } from './place.ts';
import { startPostgres } from './postgres.ts';
import { startRabbitMq } from './rabbitmq.ts';
import { startRedis } from './redis.ts';

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

const PATIENCE_MS = 180_000;
const INSTALL_MS = 180_000;
const PEERS_FOLDER = join(ROOT, 'bench', 'peers');

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
  peer: Pick<Peer, 'server' | 'script'>,
  { units, consumers: count, tuning, more = {} }: PeerOptions,
  besides: readonly Child[] = [],
): Promise<PeerRun> {
  const {
    server,
    first: producer,
    consumers,
    ...processes
  } = await startPeer(place, peer, {
    role: 'producer',
    consumers: count,
    config: { units, tuning, ...more },
  });
  const measured = [...server, producer, ...consumers, ...besides];
  const before = measured.map((child) => child.cpuMs());
  const done = Promise.all([added(producer), completed(consumers, units)]);
  producer.send({ go: true });
  const [adding, lastAtMs] = await processes.orFail(done);
  const cpuMs = Object.fromEntries(measured.map((it, i) => [it.name, it.cpuMs() - (before[i] ?? 0)]));
  await processes.stop();
  return { units, totalMs: lastAtMs - adding.fromMs, addingMs: adding.toMs - adding.fromMs, cpuMs };
}

export type PeerProcesses = {
  server: readonly Child[];
  /** The producer or submitter. */
  first: Child;
  consumers: readonly Child[];
  /** What `work` comes to, unless one of the processes ends before, or patience does. */
  orFail: <T>(work: Promise<T>) => Promise<T>;
  /** Stops them all; throws if one of them had complained. */
  stop: () => Promise<void>;
};

type PeerStart = { role: 'producer' | 'submitter'; consumers: number; config: object };

/** Starts an empty server, a first process by its role, then consumers; resolves once all are ready. */
export async function startPeer(
  place: Place,
  { server: kind, script }: Pick<Peer, 'server' | 'script'>,
  { role, consumers: count, config }: PeerStart,
): Promise<PeerProcesses> {
  const { children: server, port } = await startServer(place, kind);
  const started: Child[] = [];
  const start = (name: string, as: string, number: number): Child => {
    const args = ['run.mjs', script, as, JSON.stringify({ port, number, ...config })];
    const child = place.start({ name, command: process.execPath, args, cwd: PEERS_FOLDER });
    started.push(child);
    return child;
  };
  const clock = deadline(script);
  const orFail = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([work, clock.late, ...[...server, ...started].map((child) => child.failed)]);
  const first = start(role, role, 0);
  await orFail(ready(first));
  const consumers = Array.from({ length: count }, (_, i) => start(`consumer ${i + 1}`, 'consumer', i + 1));
  await orFail(Promise.all(consumers.map(ready)));
  const stop = async (): Promise<void> => {
    clock.stop();
    const children = [...started, ...server];
    for (const child of children) await child.stop();
    const complaints = children.flatMap((child) =>
      child.complaints().map((line) => `${child.name}: ${line}`),
    );
    if (complaints[0] !== undefined) throw new Error(`${script} complained: ${complaints[0]}`);
  };
  return { server, first, consumers, orFail, stop };
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
