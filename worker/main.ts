/** Wires a worker: works, link to the master, core and executor. */
import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { idFrom } from '../shared/core/ids.ts';
import { DRAIN_MS } from '../shared/core/limits.ts';
import type { WorkDefinition } from '../shared/core/work.ts';
import { WsClient } from '../shared/io/bus/wsClient.ts';
import { systemClock } from '../shared/io/clock.ts';
import type { Log } from '../shared/io/log.ts';
import { VERSION } from '../shared/io/version.ts';
import type { WorkManifest } from '../shared/protocol/messages.ts';
import { WorkerRuntime } from './io/runtime.ts';

export type WorkerConfig = {
  /** `ws://host:port` of the master. */
  master: string;
  works: WorkDefinition[];
  slots: number;
  /** Defaults to the host's name and the process id. */
  name?: string;
  labels: Record<string, string>;
  log: Log;
  /** Defaults to DRAIN_MS. */
  drainMs?: number;
};

export type RunningWorker = { id: string; drain(reason: string): Promise<void>; closed: Promise<void> };

/** Starts a worker; resolves once its works are started and the master is reached (it waits for one for ever). */
export async function startWorker(config: WorkerConfig): Promise<RunningWorker> {
  const { works, log } = config;
  for (const work of works) await work.options.start?.();
  const id = idFrom(randomBytes(15));
  const identity = {
    name:
      config.name ??
      `${hostname()
        .replace(/[^A-Za-z0-9_-]/g, '-')
        .slice(0, 48)}-${process.pid}`,
    works: works.map(manifestOf),
    labels: config.labels,
    slots: config.slots,
    version: VERSION,
  };
  const bus = new WsClient({ id, url: config.master });
  const byName = new Map(works.map((work) => [work.name, work]));
  const runtime = new WorkerRuntime({
    identity,
    works: byName,
    bus,
    clock: systemClock,
    random: Math.random,
    log,
  });
  let ending: Promise<void> | undefined;
  const drain = async (reason: string): Promise<void> => {
    await runtime.drain(reason, config.drainMs ?? DRAIN_MS);
    for (const work of works) await work.options.stop?.();
  };
  const opened = runtime.open();
  const worker = {
    id,
    drain: (reason: string) => (ending ??= drain(reason)),
    closed: runtime.closed,
  };
  await Promise.race([opened, runtime.closed]);
  return worker;
}

/** What a master knows of a work; its hash changes with its name, steps and their effects. */
export function manifestOf(work: WorkDefinition): WorkManifest {
  const steps = work.steps.map(({ name, effect }) => ({ name, effect }));
  const text = JSON.stringify([work.name, steps]);
  return { name: work.name, hash: createHash('sha256').update(text).digest('hex').slice(0, 32), steps };
}
