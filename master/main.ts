/**
 * Wires a master: store, spool, link, core and HTTP face. By WebSocket the link is on the port of the HTTP face;
 * over NATS it is made before that port is taken, so that no epic is accepted by a master that cannot start.
 */
import { randomBytes } from 'node:crypto';
import { access, constants } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { GimmeError } from '../shared/core/errors.ts';
import { idFrom } from '../shared/core/ids.ts';
import { LEASE_MS } from '../shared/core/limits.ts';
import { NatsBus, type NatsBusOptions } from '../shared/io/bus/natsBus.ts';
import { NATS_PREFIX } from '../shared/io/bus/natsSubjects.ts';
import { WsHub } from '../shared/io/bus/wsHub.ts';
import type { Bus } from '../shared/io/bus.ts';
import { type Clock, systemClock } from '../shared/io/clock.ts';
import type { Log } from '../shared/io/log.ts';
import { LoopWatch } from '../shared/io/loopWatch.ts';
import { VERSION } from '../shared/io/version.ts';
import { replyToOf } from './core/ending.ts';
import type { Epic } from './core/epic.ts';
import type { CoreSettings } from './core/state.ts';
import type { RuntimeObserver } from './io/api.ts';
import { Briefs } from './io/briefs.ts';
import { makeDir, storeFault } from './io/durableDir.ts';
import { buildHttp } from './io/http.ts';
import { MasterMetrics } from './io/metrics.ts';
import { ReturnAddresses, type ReturnWays } from './io/returnAddresses.ts';
import { Returns } from './io/returns.ts';
import { MasterRuntime } from './io/runtime.ts';
import { openSeal } from './io/secret.ts';
import { Spool } from './io/spool.ts';
import type { Store } from './io/store.ts';
import { SqliteStore } from './io/stores/sqlite.ts';
import { StoryLog } from './io/storyLog.ts';
import { webhookSecrets } from './io/webhook.ts';

export type MasterConfig = {
  host: string;
  port: number;
  dataDir: string;
  log: Log;
  settings?: Partial<CoreSettings>;
  /** Defaults to SQLite in the data directory. */
  store?: Store;
  /** Where the link is NATS; by default workers come by WebSocket. */
  nats?: Pick<NatsBusOptions, 'servers' | 'prefix' | 'auth' | 'tls'>;
  /** The file of the secrets that sign webhooks, and which private targets they may have; none are told without. */
  webhooks?: { secretFile: string; allow: readonly string[] };
};

export type RunningMaster = { id: string; url: string; store: string; link: string; stop(): Promise<void> };

const NO_LINK = 'workers reach this master over NATS; start them with --nats';

/**
 * Starts a master and resolves once it takes epics and workers. Throws port_taken, store_failed, and over NATS
 * nats_unreachable, nats_refused, nats_unfit or bad_config.
 */
export async function startMaster(config: MasterConfig): Promise<RunningMaster> {
  const { log } = config;
  const id = idFrom(randomBytes(15));
  const server = createServer();
  const bus = busOf(config, id, server);
  const addresses = await addressesOf(config, bus);
  await makeWritable(config.dataDir);
  // First of all: it takes the lock, and what follows tidies the directory.
  const store = config.store ?? new SqliteStore(config.dataDir);
  const opened = await store.open();
  const seal = await openSeal(config.dataDir);
  const spool = await Spool.open(config.dataDir);
  const briefs = await Briefs.open(config.dataDir);
  const runtime = new MasterRuntime(
    {
      id,
      bus,
      store,
      spool,
      briefs,
      clock: watched(config),
      log,
      newId: () => idFrom(randomBytes(15)),
      seal,
      ...(config.settings && { settings: config.settings }),
      onFatal: (error) => endNow(log, error),
    },
    opened,
  );
  const notFrames = (): number => (bus instanceof NatsBus ? bus.counts().notFrames : 0);
  await runtime.leftovers.removeAll();
  const metrics = new MasterMetrics({ version: VERSION, link: bus.kind, notFrames, ...runtime.inside() });
  const story = new StoryLog(log, runtime.inside().state.sessions);
  const delivered = (epic: string): void => runtime.delivered(epic);
  const returns = new Returns({ addresses, clock: systemClock, log, delivered });
  runtime.depths.watchReturns(() => returns.depth);
  runtime.observe(both(metrics, story, (epic) => owe(runtime, returns, epic)));
  story.open();
  const noLink = bus.kind === 'nats' ? { noLink: NO_LINK } : {};
  const parts = { api: runtime, spool, briefs, log, version: VERSION, server, metrics, addresses };
  const http = buildHttp({ ...parts, ...noLink });
  const stop = async (): Promise<void> => {
    story.close();
    returns.close();
    await runtime.close();
    await http.close();
    await spool.close();
  };
  try {
    if (bus.kind === 'nats') await runtime.open();
    await listen(http, config);
    if (bus.kind !== 'nats') await runtime.open();
  } catch (error) {
    await stop();
    throw error;
  }
  for (const epic of runtime.inside().epics()) if (!epic.active) owe(runtime, returns, epic);
  const { port } = server.address() as AddressInfo;
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  const link = bus.kind === 'ws' ? 'websocket' : bus.kind;
  return { id, url: `http://${host}:${port}`, store: store.kind, link, stop };
}

/** Has the return address of an epic told of its end. */
function owe(runtime: MasterRuntime, returns: Returns, epic: Epic): void {
  const isOwed = replyToOf(epic) !== undefined && !epic.delivered;
  const status = isOwed ? runtime.epic(epic.id) : undefined;
  if (status) returns.owe(status);
}

/** Metrics count everything; the log has a line for what a person would look for. */
function both(metrics: MasterMetrics, story: StoryLog, onEnd: (epic: Epic) => void): RuntimeObserver {
  return {
    synced(record, epic, wallMs) {
      metrics.synced(record, epic, wallMs);
      story.synced(record, epic);
      if (record.k === 'epic-finished' && epic) onEnd(epic);
    },
    appended: (seconds, records) => metrics.appended(seconds, records),
    granted: (work, waitedMs) => metrics.granted(work, waitedMs),
    linked() {
      metrics.linked();
      story.linked();
    },
  };
}

/** The system's clock, which warns when the loop was blocked for a third of the lease. */
function watched({ log, settings }: MasterConfig): Clock {
  return new LoopWatch({
    clock: systemClock,
    limitMs: (settings?.leaseMs ?? LEASE_MS) / 3,
    longest: () => ({ ms: 0 }),
    tell: (ms) =>
      log.warn('the event loop stood still: the machine is too busy, or this process was stopped', { ms }),
  });
}

async function addressesOf({ nats, webhooks }: MasterConfig, bus: Bus): Promise<ReturnAddresses> {
  const ways: ReturnWays = {};
  if (webhooks) {
    const secrets = await webhookSecrets(webhooks.secretFile);
    ways.webhooks = { secrets, allow: new Set(webhooks.allow) };
  }
  if (bus instanceof NatsBus) {
    const publish = (id: string, body: Uint8Array): Promise<void> => bus.reply(id, body);
    ways.nats = { prefix: nats?.prefix ?? NATS_PREFIX, publish };
  }
  return new ReturnAddresses(ways);
}

function busOf({ nats, log }: MasterConfig, id: string, server: Server): Bus {
  return nats ? new NatsBus({ id, role: 'master', log, ...nats }) : new WsHub({ id, server, log });
}

/** SQLite would say of a directory that cannot be written only that a file cannot be opened. */
async function makeWritable(dir: string): Promise<void> {
  try {
    await makeDir(dir);
    await access(dir, constants.W_OK);
  } catch (error) {
    throw storeFault(error, `cannot use the data directory ${dir}`);
  }
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
