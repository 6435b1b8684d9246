/**
 * A cluster is a master and its workers as real processes on this machine, linked over WebSocket or NATS, and one
 * epic run on it. Owns the start, the measuring and the stop; what is measured is the benchmark's business.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type Epic, type EpicStatus, type Submit } from '../client/index.ts';
import type { Child } from './child.ts';
import { clockUs } from './clock.ts';
import { type Nats, startNats } from './nats.ts';
import type { Place } from './place.ts';

export type Link = 'ws' | 'nats';

export type ClusterOptions = {
  /** Defaults to ws. */
  link?: Link | undefined;
  /** Processes. Defaults to 2. */
  workers?: number | undefined;
  /** Of each worker or session. Defaults to 16. */
  slots?: number | undefined;
  /** What `--works` is given. */
  works: string;
  workerArgs?: readonly string[];
  /** Processes of so many sessions, which run the work that does nothing, instead of `gimme worker`. */
  sessionsEach?: number;
  /** Path and prefix of the folders of the CPU profiles of the master and of the first worker (`profilePath`). */
  profiles?: string;
  /** A module that the master loads before its own. */
  masterImports?: string;
};

export type Depth = { depth: number; max: number; limit: number };

/** What the master says it runs on. */
type Parts = { store: string; link: string };

type CpuMs = Record<string, number>;

export type EpicRun = Parts & {
  units: number;
  /** From the first byte sent to the last unit settled. */
  totalMs: number;
  /** From the epic being recorded, its upload spooled, to the last unit settled. */
  settlingMs: number;
  /** Process → CPU time from the first byte sent to the end. `client` is the benchmark itself. */
  cpuMs: CpuMs;
  /** The same from when the epic was recorded. */
  settlingCpuMs: CpuMs;
  /** Longest time in which no further unit was seen settled; looked at every 100 ms. */
  longestPauseMs: number;
  /** The run on the monotonic clock, in microseconds, as CPU profiles have it. */
  window: { fromUs: number; toUs: number };
  totals: EpicStatus['totals'];
};

type Started = { client: Client; master: Child; nats: Nats | undefined; parts: Parts; dataDir: string };

const WORKERS = 2;
const SLOTS = 16;
const START_MS = 20_000;

export class Cluster {
  readonly client: Client;
  /** What the master says it runs on. */
  readonly parts: Parts;
  readonly dataDir: string;
  #master: Child;
  readonly #place: Place;
  readonly #options: ClusterOptions;
  readonly #nats: Nats | undefined;
  readonly #workers: Child[] = [];
  readonly #left: Child[] = [];
  /** Rejects when a process ends that was not told to. */
  readonly #failed: Promise<never>;
  #fail: (error: Error) => void = () => {};
  #started = 0;

  private constructor(place: Place, options: ClusterOptions, started: Started) {
    const { client, master, nats, parts, dataDir } = started;
    this.#place = place;
    this.#options = options;
    this.client = client;
    this.#master = master;
    this.parts = parts;
    this.dataDir = dataDir;
    this.#nats = nats;
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#failed.catch(() => {});
    master.failed.catch(this.#fail);
    nats?.child.failed.catch(this.#fail);
  }

  /** Starts a master and its workers; resolves once all are connected. */
  static async start(place: Place, options: ClusterOptions): Promise<Cluster> {
    const nats = options.link === 'nats' ? await startNats(place) : undefined;
    const dataDir = place.newFolder();
    const args = masterArgs(dataDir, '127.0.0.1:0', nats);
    const { profiles, masterImports } = options;
    const nodeArgs = masterImports === undefined ? [] : ['--import', masterImports];
    const master = place.gimme('master', args, [...nodeArgs, ...profileArgs(profiles, 'master')]);
    const { url, parts } = await readiness(master);
    const client = new Client({ master: url });
    const cluster = new Cluster(place, options, { client, master, nats, parts, dataDir });
    await cluster.scaleTo(options.workers ?? WORKERS);
    return cluster;
  }

  get master(): Child {
    return this.#master;
  }

  /** Ends the master by `kill -9`; the workers stay and look for it. */
  async killMaster(): Promise<void> {
    this.#master.kill();
    await this.#master.ended;
  }

  /** Starts a master on what the one before left, where it was; returns how long it took until it was ready. */
  async startMaster(): Promise<number> {
    const fromMs = performance.now();
    const args = masterArgs(this.dataDir, new URL(this.client.master).host, this.#nats);
    this.#master = this.#place.gimme('master', args);
    this.#master.failed.catch(this.#fail);
    await this.whileUp(readiness(this.#master));
    return performance.now() - fromMs;
  }

  get workers(): readonly Child[] {
    return this.#workers;
  }

  /** Worker processes that were told to leave, and did so with exit code 0. */
  get left(): number {
    return this.#left.length;
  }

  /** Starts workers, or has the newest leave by SIGTERM; resolves once they are connected, or gone with 0. */
  async scaleTo(count: number): Promise<void> {
    while (this.#workers.length < count) this.#addWorker();
    await Promise.race([Promise.all([this.#connected(), this.#leave(count)]), this.#failed]);
  }

  /** Submits an epic and follows it to its end; throws unless every unit succeeded. */
  async run(submit: Submit, units: number): Promise<EpicRun> {
    const before = this.cpuMs();
    const fromUs = clockUs();
    const fromWallMs = Date.now();
    const epic = await this.whileUp(this.client.submit(submit));
    const recorded = this.cpuMs();
    const { last, longestPauseMs } = await this.whileUp(this.#follow(epic));
    const toUs = clockUs();
    const after = this.cpuMs();
    assertSucceeded(last, units);
    const endWallMs = Date.parse(last.finishedAt ?? '');
    return {
      ...this.parts,
      units,
      totalMs: endWallMs - fromWallMs,
      settlingMs: endWallMs - Date.parse(last.submittedAt),
      cpuMs: since(before, after),
      settlingCpuMs: since(recorded, after),
      longestPauseMs,
      window: { fromUs, toUs },
      totals: last.totals,
    };
  }

  /** What `work` comes to, unless a process ends before it that should not. */
  whileUp<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failed]);
  }

  /** The master's queues by name: how full, at most how full, and how full they may be. */
  async queues(): Promise<Record<string, Depth>> {
    const queues = (await this.client.masters())[0]?.queues ?? {};
    if (Object.keys(queues).length === 0) throw new Error('the master names no queue');
    return queues;
  }

  /** What one of the master's metrics stands at: the sum over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.client.master}/metrics`)).text();
    const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))];
    return values.reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** CPU time that each process has used so far; `client` is the benchmark itself. */
  cpuMs(): CpuMs {
    const { user, system } = process.cpuUsage();
    const used: CpuMs = { master: this.#master.cpuMs() };
    for (const worker of this.#workers) used[worker.name] = worker.cpuMs();
    if (this.#nats) used['nats'] = this.#nats.child.cpuMs();
    used['client'] = (user + system) / 1_000;
    return used;
  }

  /** What the processes complained of, if anything. */
  complaints(): string[] {
    return [this.#master, ...this.#workers, ...this.#left].flatMap((child) =>
      child.complaints().map((line) => `${child.name}: ${line}`),
    );
  }

  /** Stops everything. The workers stay listed: what they printed last is still to be read. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    await this.#master.stop();
    await this.#nats?.child.stop();
  }

  #addWorker(): void {
    this.#started += 1;
    const { profiles, slots = SLOTS, sessionsEach, works, workerArgs = [] } = this.#options;
    const name = `worker ${this.#started}`;
    const shown = `bench-${this.#started}`;
    const profile = this.#started === 1 ? profileArgs(profiles, 'worker') : [];
    const nats = this.#nats?.url;
    const { master } = this.client;
    let worker: Child;
    if (sessionsEach === undefined) {
      const args = ['worker', '--works', works, '--slots', String(slots), '--log-level', 'warn'];
      args.push(...(nats === undefined ? ['--master', master] : ['--nats', nats]));
      worker = this.#place.gimme(name, [...args, '--name', shown, ...workerArgs], profile);
    } else {
      const link = nats === undefined ? { master: master.replace(/^http/, 'ws') } : { nats };
      const config = { sessions: sessionsEach, slots, name: shown, ...link };
      const entry = this.#place.built('bench/works/sessions.js');
      const args = [...profile, entry, JSON.stringify(config)];
      worker = this.#place.start({ name, command: process.execPath, args });
    }
    worker.failed.catch(this.#fail);
    this.#workers.push(worker);
  }

  async #leave(count: number): Promise<void> {
    const leaving = this.#workers.splice(count);
    this.#left.push(...leaving);
    const codes = await Promise.all(leaving.map((worker) => worker.stop()));
    const bad = codes.findIndex((code) => code !== 0);
    if (bad >= 0) throw new Error(`${leaving[bad]?.name} left with exit code ${codes[bad]}`);
  }

  async #follow(epic: Epic): Promise<{ last: EpicStatus; longestPauseMs: number }> {
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
    const wanted = this.#workers.length * (this.#options.sessionsEach ?? 1);
    const untilMs = performance.now() + START_MS;
    while (performance.now() < untilMs) {
      if ((await this.client.workers()).length >= wanted) return;
      await pause(10);
    }
    throw new Error(`the workers were not there within ${START_MS} ms`);
  }
}

function masterArgs(dataDir: string, listen: string, nats: Nats | undefined): string[] {
  const args = ['master', '--listen', listen, '--data', dataDir, '--log-level', 'warn'];
  return nats ? [...args, '--nats', nats.url] : args;
}

/** Waits until a master takes epics and workers, which it says in one line. */
async function readiness(master: Child): Promise<{ url: string; parts: Parts }> {
  const said = /(http:\/\/\S+) +store (.+?) {2,}link (.+)/.exec(await master.line());
  if (!said) throw new Error('the master did not say where it listens');
  const [, url = '', store = '', link = ''] = said;
  return { url, parts: { store, link } };
}

/** Throws unless an epic finished and every unit succeeded. */
export function assertSucceeded(last: EpicStatus, units: number): void {
  const { read, succeeded } = last.totals;
  if (last.state === 'finished' && read === units && succeeded === units) return;
  throw new Error(`the epic is ${last.state}, not finished with ${units} succeeded: ${JSON.stringify(last)}`);
}

/** The file of a process's CPU profile: that of its main thread, since each thread leaves one. */
export function profilePath(profiles: string, name: 'master' | 'worker'): string {
  const folder = `${profiles}-${name}`;
  const file = readdirSync(folder).find((path) => /\.\d+\.0\.\d+\.cpuprofile$/.test(path));
  if (file === undefined) throw new Error(`the ${name} left no profile in ${folder}`);
  return join(folder, file);
}

function profileArgs(profiles: string | undefined, name: 'master' | 'worker'): string[] {
  if (profiles === undefined) return [];
  const folder = `${profiles}-${name}`;
  rmSync(folder, { recursive: true, force: true });
  return ['--cpu-prof', `--cpu-prof-dir=${folder}`];
}

function since(before: CpuMs, after: CpuMs): CpuMs {
  return Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? 0)]));
}
