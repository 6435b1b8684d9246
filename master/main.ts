/** Wires a master: store, spool, link, core and HTTP face on one port. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { GimmeError } from '../shared/core/errors.ts';
import { idFrom } from '../shared/core/ids.ts';
import { WsHub } from '../shared/io/bus/wsHub.ts';
import { systemClock } from '../shared/io/clock.ts';
import type { Log } from '../shared/io/log.ts';
import { VERSION } from '../shared/io/version.ts';
import type { CoreSettings } from './core/state.ts';
import { Briefs } from './io/briefs.ts';
import { buildHttp } from './io/http.ts';
import { MasterMetrics } from './io/metrics.ts';
import { MasterRuntime } from './io/runtime.ts';
import { Spool } from './io/spool.ts';
import type { Store } from './io/store.ts';
import { MemoryStore } from './io/stores/memory.ts';

export type MasterConfig = {
  host: string;
  port: number;
  dataDir: string;
  log: Log;
  settings?: Partial<CoreSettings>;
  /** Defaults to one in memory. */
  store?: Store;
};

export type RunningMaster = { id: string; url: string; store: string; link: string; stop(): Promise<void> };

/** Starts a master and resolves once it takes epics and workers. Throws port_taken, store_failed. */
export async function startMaster(config: MasterConfig): Promise<RunningMaster> {
  const { log } = config;
  const id = idFrom(randomBytes(15));
  await mkdir(config.dataDir, { recursive: true }).catch((cause: unknown) => {
    throw new GimmeError('store_failed', `cannot make the data directory ${config.dataDir}`, { cause });
  });
  const spool = await Spool.open(config.dataDir);
  const briefs = await Briefs.open(config.dataDir);
  const store = config.store ?? new MemoryStore();
  const opened = await store.open();
  const server = createServer();
  const hub = new WsHub({ id, server, log });
  const runtime = new MasterRuntime(
    {
      id,
      bus: hub,
      store,
      spool,
      briefs,
      clock: systemClock,
      log,
      newId: () => idFrom(randomBytes(15)),
      ...(config.settings && { settings: config.settings }),
      onFatal: (error) => endNow(log, error),
    },
    opened,
  );
  const metrics = new MasterMetrics({ version: VERSION, ...runtime.inside() });
  runtime.observe(metrics);
  const http = buildHttp({ api: runtime, spool, briefs, log, version: VERSION, server, metrics });
  await listen(http, config);
  await runtime.open();
  const { port } = server.address() as AddressInfo;
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  return {
    id,
    url: `http://${host}:${port}`,
    store: store.kind,
    link: hub.kind === 'ws' ? 'websocket' : hub.kind,
    async stop() {
      await runtime.close();
      await http.close();
      await spool.close();
    },
  };
}

async function listen(http: FastifyInstance, { host, port }: MasterConfig): Promise<void> {
  try {
    await http.listen({ host, port });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      const cure = 'stop what listens there or choose another address with --listen';
      throw new GimmeError('port_taken', `${host}:${port} is taken: ${cure}`, { cause });
    }
    const why = (cause as Error).message;
    throw new GimmeError('bad_config', `cannot listen on ${host}:${port}: ${why}`, { cause });
  }
}

/** A broken invariant or a store that failed: the supervisor starts it again, the journal recovers. */
function endNow(log: Log, error: unknown): never {
  log.error('the master ends', {
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  process.exit(1);
}
