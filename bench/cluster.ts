/**
 * A cluster is a master and its workers as real processes on this machine, linked over WebSocket, and one
 * epic run on it. Owns the start, the measuring and the stop; what is measured is the benchmark's business.
 */
import { basename, dirname } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type EpicStatus, type Submit } from '../client/index.ts';
import type { Child } from './child.ts';
import type { Place } from './place.ts';

export type ClusterOptions = {
  workers: number;
  slots: number;
  /** What `--works` is given. */
  works: string;
  workerArgs?: readonly string[];
  /** Path and prefix of the CPU profiles of the master and of the first worker (`profilePath`). */
  profiles?: string;
};

export type Depth = { depth: number; max: number; limit: number };

/** What the master says it runs on. */
type Parts = { store: string; link: string };

export type EpicRun = Parts & {
  units: number;
  /** From the first byte sent to the last unit settled. */
  totalMs: number;
  /** From the epic being recorded, its upload spooled, to the last unit settled. */
  settlingMs: number;
  /** Process → CPU time from the first byte sent to the end. `client` is the benchmark itself. */
  cpuMs: Record<string, number>;
  /** Longest time in which no further unit was seen settled; looked at every 100 ms. */
  longestPauseMs: number;
  /** The run on the monotonic clock, in microseconds, as CPU profiles have it. */
  window: { fromUs: number; toUs: number };
  totals: EpicStatus['totals'];
};

const START_MS = 20_000;

export class Cluster {
  readonly client: Client;
  readonly master: Child;
  readonly workers: readonly Child[];

  readonly #parts: Parts;

  private constructor(client: Client, master: Child, workers: readonly Child[], parts: Parts) {
    this.#parts = parts;
    this.client = client;
    this.master = master;
    this.workers = workers;
  }

  /** Starts a master and its workers; resolves once all are connected. */
  static async start(place: Place, options: ClusterOptions): Promise<Cluster> {
    const { profiles, works, slots, workerArgs = [] } = options;
    const listen = ['--listen', '127.0.0.1:0', '--data', place.newFolder(), '--log-level', 'warn'];
    const master = place.gimme('master', ['master', ...listen], profileArgs(profiles, 'master'));
    const said = /(http:\/\/\S+) +store (.+?) {2,}link (.+)/.exec(await master.line());
    if (!said) throw new Error('the master did not say where it listens');
    const [, url = '', store = '', link = ''] = said;
    const workers = Array.from({ length: options.workers }, (_, i) => {
      const name = `worker ${i + 1}`;
      const args = ['worker', '--works', works, '--slots', String(slots), '--log-level', 'warn'];
      args.push('--master', url, '--name', `bench-${i + 1}`, ...workerArgs);
      return place.gimme(name, args, i === 0 ? profileArgs(profiles, 'worker') : []);
    });
    const cluster = new Cluster(new Client({ master: url }), master, workers, { store, link });
    await Promise.race([cluster.#connected(), cluster.#failed()]);
    return cluster;
  }

  /** Submits an epic and follows it to its end; throws unless every unit succeeded. */
  async run(submit: Submit, units: number): Promise<EpicRun> {
    const before = this.#cpuMs();
    const fromUs = monoUs();
    const fromWallMs = Date.now();
    const { last, longestPauseMs } = await Promise.race([this.#follow(submit), this.#failed()]);
    const toUs = monoUs();
    const after = this.#cpuMs();
    if (last.state !== 'finished' || last.totals.succeeded !== units) {
      throw new Error(
        `the epic is ${last.state}, not finished with ${units} succeeded: ${JSON.stringify(last)}`,
      );
    }
    const endWallMs = Date.parse(last.finishedAt ?? '');
    const cpuMs = Object.fromEntries(
      Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? 0)]),
    );
    return {
      ...this.#parts,
      units,
      totalMs: endWallMs - fromWallMs,
      settlingMs: endWallMs - Date.parse(last.submittedAt),
      cpuMs,
      longestPauseMs,
      window: { fromUs, toUs },
      totals: last.totals,
    };
  }

  /** The master's queues by name: how full, at most how full, and how full they may be. */
  async queues(): Promise<Record<string, Depth>> {
    const answer = await fetch(`${this.client.master}/v1/masters`);
    const { masters } = (await answer.json()) as { masters: { queues: Record<string, Depth> }[] };
    const queues = masters[0]?.queues ?? {};
    if (Object.keys(queues).length === 0) throw new Error('the master names no queue');
    return queues;
  }

  /** What the processes complained of, if anything. */
  complaints(): string[] {
    return [this.master, ...this.workers].flatMap((child) =>
      child.complaints().map((line) => `${child.name}: ${line}`),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.master.stop();
  }

  async #follow(submit: Submit): Promise<{ last: EpicStatus; longestPauseMs: number }> {
    const epic = await this.client.submit(submit);
    let last = epic.first;
    let settled = 0;
    let progressAt = performance.now();
    let longestPauseMs = 0;
    for await (const status of epic.watch()) {
      last = status;
      const { read, outstanding } = status.totals;
      if (read - outstanding === settled) continue;
      settled = read - outstanding;
      const now = performance.now();
      longestPauseMs = Math.max(longestPauseMs, now - progressAt);
      progressAt = now;
    }
    return { last, longestPauseMs: Math.round(longestPauseMs) };
  }

  async #connected(): Promise<void> {
    const untilMs = performance.now() + START_MS;
    while (performance.now() < untilMs) {
      if ((await this.client.workers()).length === this.workers.length) return;
      await pause(10);
    }
    throw new Error(`the workers were not there within ${START_MS} ms`);
  }

  #failed(): Promise<never> {
    return Promise.race([this.master, ...this.workers].map((child) => child.failed));
  }

  #cpuMs(): Record<string, number> {
    const { user, system } = process.cpuUsage();
    const used: Record<string, number> = { master: this.master.cpuMs() };
    for (const worker of this.workers) used[worker.name] = worker.cpuMs();
    used['client'] = (user + system) / 1_000;
    return used;
  }
}

/** The file of a process's CPU profile. */
export function profilePath(profiles: string, name: 'master' | 'worker'): string {
  return `${profiles}-${name}.cpuprofile`;
}

function profileArgs(profiles: string | undefined, name: 'master' | 'worker'): string[] {
  if (profiles === undefined) return [];
  const path = profilePath(profiles, name);
  return ['--cpu-prof', `--cpu-prof-dir=${dirname(path)}`, `--cpu-prof-name=${basename(path)}`];
}

function monoUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}
