/** Wires a worker: works, link to the master, core and executor. */
import { createHash, randomBytes } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import type { Gather } from '../shared/core/gather.ts';
import { idFrom } from '../shared/core/ids.ts';
import { DRAIN_MS, HEARTBEAT_MS, LEASE_MS } from '../shared/core/limits.ts';
import type { SourceDefinition } from '../shared/core/userSource.ts';
import type { WorkDefinition } from '../shared/core/work.ts';
import { NatsBus, type NatsBusOptions } from '../shared/io/bus/natsBus.ts';
import { NATS_PREFIX } from '../shared/io/bus/natsSubjects.ts';
import { WsClient } from '../shared/io/bus/wsClient.ts';
import type { Bus } from '../shared/io/bus.ts';
import { type Clock, systemClock } from '../shared/io/clock.ts';
import type { Log } from '../shared/io/log.ts';
import { LoopWatch } from '../shared/io/loopWatch.ts';
import { VERSION } from '../shared/io/version.ts';
import type { GatherManifest, WorkManifest } from '../shared/protocol/messages.ts';
import type { WorkerIdentity } from './core/worker.ts';
import { WorkerMetrics } from './io/metrics.ts';
import { WorkerRuntime } from './io/runtime.ts';
import type { Threads } from './io/threads.ts';

/** Where masters are: `ws://host:port` of one, or the NATS servers over which they are reached. */
export type WorkerLink =
  | { master: string; nats?: never }
  | { nats: Pick<NatsBusOptions, 'servers' | 'prefix' | 'auth' | 'tls'>; master?: never };

export type WorkerConfig = WorkerLink & {
  works: WorkDefinition[];
  /** Sources that it can read. */
  sources?: readonly SourceDefinition[];
  slots: number;
  /** Defaults to the host's name and the process id. */
  name?: string;
  labels: Record<string, string>;
  log: Log;
  /** Defaults to DRAIN_MS. */
  drainMs?: number;
  /** Defaults to HEARTBEAT_MS; the master's lease must be several times as long. */
  heartbeatMs?: number;
  /** Where `/metrics` is served; nowhere by default. */
  metricsListen?: { host: string; port: number };
  /** By the name of a work, the module that exports it; steps in threads need it. */
  modules?: ReadonlyMap<string, string>;
  /** Threads at most. Defaults to one less than there are cores, and at least one. */
  threads?: number;
};

/** A link that is up for this long without a word from a master is worth a line in the log. */
const MASTER_SILENT_MS = 3_000;

export type RunningWorker = {
  id: string;
  /** Port of `/metrics`, where it is served. */
  metricsPort: number | undefined;
  /** Most units it ever held: how full its mailbox was at most. */
  heldMax(): number;
  /**
   * The link is up: a master was reached, or the NATS server. A worker waits for an absent master for ever, but
   * for NATS only so long: then this rejects, as `closed` does.
   */
  linked: Promise<void>;
  drain(reason: string): Promise<void>;
  /** An operator drains this worker through its master: call `drain`, then end. */
  toldToDrain: Promise<void>;
  closed: Promise<void>;
};

/**
 * Starts a worker; resolves once its works are started; `linked` tells when the link is up. Throws bad_config for
 * a link that cannot be, and what the start of a work throws.
 */
export async function startWorker(config: WorkerConfig): Promise<RunningWorker> {
  const { works, sources = [], log } = config;
  const id = idFrom(randomBytes(15));
  const bus = busOf(config, id);
  for (const work of works) await work.options.start?.();
  const byName = new Map(works.map((work) => [work.name, work]));
  const { metricsListen, heartbeatMs } = config;
  // Measuring costs on each step, so only where somebody looks.
  const gauges = {
    slots: config.slots,
    running: () => runtime.running,
    held: () => runtime.held,
    heldMax: () => runtime.heldMax,
    link: bus.kind,
    reconnects: () => runtime.reconnects,
  };
  const metrics = metricsListen && new WorkerMetrics(VERSION, gauges);
  const threads = await threadsOf(config);
  const runtime = new WorkerRuntime({
    identity: identityOf(config),
    works: byName,
    sources: new Map(sources.map((source) => [source.name, source])),
    bus,
    clock: watched(heartbeatMs, () => runtime),
    random: Math.random,
    log,
    ...(heartbeatMs !== undefined && { heartbeatMs }),
    ...(metrics && { onStep: metrics.step.bind(metrics) }),
    ...(threads && { threads }),
  });
  const metricsPort = metricsListen && (await metrics?.listen(metricsListen.host, metricsListen.port));
  const stop = async (reason: string): Promise<void> => {
    await runtime.drain(reason, config.drainMs ?? DRAIN_MS);
    clearTimeout(silence);
    metrics?.close();
    await threads?.close();
    for (const work of works) await work.options.stop?.();
  };
  let stopping: Promise<void> | undefined;
  const drain = (reason: string): Promise<void> => {
    stopping ??= stop(reason);
    return stopping;
  };
  const linked = runtime.open();
  let silence: NodeJS.Timeout | undefined;
  const sayIfAlone = (): void => {
    if (!runtime.hasHeard) log.warn('no master answers yet; waiting for one', whereOf(config));
  };
  linked.then(
    () => {
      silence = setTimeout(sayIfAlone, MASTER_SILENT_MS);
    },
    () => {}, // `closed` tells it.
  );
  const heldMax = (): number => runtime.heldMax;
  return {
    id,
    metricsPort,
    heldMax,
    linked,
    drain,
    toldToDrain: runtime.toldToDrain,
    closed: runtime.closed,
  };
}

/** The pool, where a work of a module has a step for it. */
async function threadsOf({ works, modules, threads, log }: WorkerConfig): Promise<Threads | undefined> {
  const wants = works.some((work) => modules?.has(work.name) && work.steps.some((step) => step.thread));
  if (!modules || !wants) return undefined;
  const { Threads } = await import('./io/threads.ts');
  return new Threads({ modules, count: threads ?? Math.max(1, availableParallelism() - 1), log });
}

/** The system's clock, which warns when the loop was blocked for a third of the lease. */
function watched(heartbeatMs: number | undefined, runtime: () => WorkerRuntime): Clock {
  return new LoopWatch({
    clock: systemClock,
    // A worker is not told its master's lease; it is as many heartbeats as by default.
    limitMs: (LEASE_MS / HEARTBEAT_MS / 3) * (heartbeatMs ?? HEARTBEAT_MS),
    longest: () => runtime().longestStretch(),
    tell: (ms, longest) => runtime().tellBlocked(ms, longest),
  });
}

function identityOf({ name, works, sources = [], labels, slots }: WorkerConfig): WorkerIdentity {
  const host = hostname()
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 48);
  return {
    name: name ?? `${host}-${process.pid}`,
    works: works.map(manifestOf),
    labels,
    slots,
    version: VERSION,
    ...(sources.length > 0 && { sources: sources.map((source) => source.name) }),
  };
}

function busOf({ master, nats, log }: WorkerConfig, id: string): Bus {
  return nats ? new NatsBus({ id, role: 'worker', log, ...nats }) : new WsClient({ id, url: master });
}

/** Where a master was looked for, as a log shows it. */
function whereOf({ master, nats }: WorkerConfig): Record<string, string> {
  return nats ? { nats: String(nats.servers), prefix: nats.prefix ?? NATS_PREFIX } : { master };
}

/** What a master knows of a work; its hash changes with its name, its steps and their effects, and its gather. */
export function manifestOf(work: Pick<WorkDefinition, 'name' | 'steps' | 'gather'>): WorkManifest {
  const { name } = work;
  const steps = work.steps.map(({ name, effect }) => ({ name, effect }));
  const gather = work.gather && gatherManifestOf(work.gather);
  const text = JSON.stringify(gather ? [name, steps, gather] : [name, steps]);
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 32);
  return { name, hash, steps, ...(gather && { gather }) };
}

function gatherManifestOf({ scatter, deadlineMs, enough, quorum, reissueAfterMs }: Gather): GatherManifest {
  return {
    scatter: scatter.kind,
    deadlineMs,
    ...(enough !== undefined && { enough }),
    ...(quorum !== undefined && { quorum }),
    ...(reissueAfterMs !== undefined && { reissueAfterMs }),
  };
}
