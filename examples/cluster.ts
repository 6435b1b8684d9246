/**
 * The processes of an example: one master with its journal in a folder of its own, and workers, all on loopback. Owns
 * them and the folder: `close` leaves nothing behind.
 *
 * C1: a killed process is replaced by one that takes its place: the master on the same port with the same data.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from '../cli/children.ts';
import { Client } from '../client/index.ts';
import type { WorkerLink } from '../worker/main.ts';
import type { NodeConfig } from './node.ts';

export type ClusterOptions = {
  /** Path of the module whose works the workers offer, or one for each of them. */
  works: string | readonly string[];
  workers: number;
  slots: number;
  /** Defaults to 3 s: a killed worker's units go to another after it. */
  leaseMs?: number;
  /** Further variables of the workers. */
  env?: Record<string, string>;
  /** The NATS server over which master and workers meet. Defaults to WebSocket. */
  nats?: string;
  /** Units read ahead of demand. Defaults to what a master has. */
  lookAheadUnits?: number;
  /** `host:port` of a return address that the master may tell. Defaults to none. */
  tells?: string;
};

const NODE = fileURLToPath(new URL('./node.ts', import.meta.url));
const LEASE_MS = 3_000;
const STOP_PATIENCE_MS = 10_000;
/** Below the ports that the system gives to outgoing connections: nothing takes it while the master is dead. */
const PORTS = { first: 15_000, count: 15_000, tries: 50 };

export class Cluster {
  readonly folder: string;
  readonly dataDir: string;
  readonly client: Client;
  readonly #options: ClusterOptions;
  readonly #port: number;
  readonly #workers: Child[] = [];
  readonly #leave: () => void;
  #master: Child | undefined;

  private constructor(options: ClusterOptions, folder: string, port: number) {
    this.#options = options;
    this.#port = port;
    this.folder = folder;
    this.dataDir = join(folder, 'data');
    this.client = new Client({ master: `http://127.0.0.1:${port}` });
    this.#leave = () => {
      this.#kill();
      rmSync(folder, { recursive: true, force: true });
    };
    process.once('exit', this.#leave);
  }

  /** Starts master and workers; resolves once all are ready. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'gimmework-example-'));
    const cluster = new Cluster(options, folder, await freePort());
    try {
      await cluster.startMaster();
      const slots = Array.from({ length: options.workers }, (_, i) => i);
      await Promise.all(slots.map((i) => cluster.startWorker(i)));
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  async startMaster(): Promise<void> {
    const { nats, tells, lookAheadUnits } = this.#options;
    const node = { role: 'master', port: this.#port, dataDir: this.dataDir } as const;
    const lease = { leaseMs: this.#leaseMs, heartbeatMs: this.#leaseMs / 10 };
    const webhooks = tells !== undefined && { secretFile: await this.#secretFile(), allow: [tells] };
    const ahead = lookAheadUnits === undefined ? {} : { lookAheadUnits };
    const given = { ...lease, ...ahead, ...(nats !== undefined && { nats }), ...(webhooks && { webhooks }) };
    this.#master = start('master', { ...node, ...given });
    await this.#master.line();
  }

  async startWorker(index: number): Promise<void> {
    const { works: all, slots, env = {} } = this.#options;
    const works = typeof all === 'string' ? all : (all[index] as string);
    const node = { role: 'worker', link: this.link, works, slots, heartbeatMs: this.#leaseMs / 10 } as const;
    const worker = start(`worker ${index + 1}`, node, env);
    this.#workers[index] = worker;
    await worker.line();
  }

  /** `kill -9`; resolves once it is gone. */
  async killMaster(): Promise<void> {
    this.#master?.kill();
    await this.#master?.ended;
  }

  async killWorker(index: number): Promise<void> {
    const worker = this.#workers[index];
    worker?.kill();
    await worker?.ended;
  }

  /** How another worker reaches the master. */
  get link(): WorkerLink {
    const { nats } = this.#options;
    return nats === undefined ? { master: `ws://127.0.0.1:${this.#port}` } : { nats: { servers: nats } };
  }

  /** Stops workers and master in order, so that the data can be read. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop(STOP_PATIENCE_MS)));
    await this.#master?.stop(STOP_PATIENCE_MS);
  }

  async close(): Promise<void> {
    this.#kill();
    await Promise.all(this.#workers.map((worker) => worker.ended));
    await this.#master?.ended;
    this.#leave();
    process.off('exit', this.#leave);
  }

  get #leaseMs(): number {
    return this.#options.leaseMs ?? LEASE_MS;
  }

  async #secretFile(): Promise<string> {
    const file = join(this.folder, 'webhook-secret');
    await writeFile(file, `whsec_${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    return file;
  }

  #kill(): void {
    for (const worker of this.#workers) worker.kill();
    this.#master?.kill();
  }
}

function start(name: string, config: NodeConfig, env: Record<string, string> = {}): Child {
  return new Child(name, NODE, [JSON.stringify(config)], env);
}

async function freePort(): Promise<number> {
  for (let i = 0; i < PORTS.tries; i++) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${PORTS.first} on in ${PORTS.tries} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
