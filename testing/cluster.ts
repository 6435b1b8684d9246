/**
 * A cluster within the process: the real master and real workers, over a link and a store in memory. Owns how they are
 * wired and ended. Uploads and briefs lie in a folder of their own below the system's for temporary files.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import type { Source } from '../client/source.ts';
import type { SourceSpec } from '../master/core/source.ts';
import { Briefs } from '../master/io/briefs.ts';
import { MasterRuntime } from '../master/io/runtime.ts';
import { sealWith } from '../master/io/secret.ts';
import { Spool } from '../master/io/spool.ts';
import { MemoryStore } from '../master/io/stores/memory.ts';
import { type Duration, durationMs } from '../shared/core/duration.ts';
import { GimmeError } from '../shared/core/errors.ts';
import type { GatherDefinition } from '../shared/core/gather.ts';
import { idFrom } from '../shared/core/ids.ts';
import { seededRng } from '../shared/core/rng.ts';
import type { SourceDefinition } from '../shared/core/userSource.ts';
import type { WorkDefinition } from '../shared/core/work.ts';
import { MemoryNetwork } from '../shared/io/bus/memory.ts';
import { type Clock, spedUp } from '../shared/io/clock.ts';
import { createLog, type Log, type LogLevel, silentLog } from '../shared/io/log.ts';
import { VERSION } from '../shared/io/version.ts';
import { type EpicStatus, isOver } from '../shared/protocol/api.ts';
import type { Ranges } from '../shared/protocol/messages.ts';
import { WorkerRuntime } from '../worker/io/runtime.ts';
import { manifestOf } from '../worker/main.ts';
import { VirtualTime } from './virtualTime.ts';

/** A worker to start; its name is that by which a scatter addresses it. */
export type TestWorker = { name?: string; labels?: Record<string, string>; slots?: number };

export type TestClusterOptions = {
  /** What every worker offers: what `defineWork(...)` and `defineGather(...)` return. */
  works: readonly { readonly name: string }[];
  /** What every worker can read: what `defineSource(...)` returns. */
  sources?: readonly { readonly name: string }[];
  /** How many workers, or which. Defaults to 1; more can be started later. */
  workers?: number | readonly TestWorker[];
  /** Units that each worker runs at once, unless it says so itself. Defaults to 16. */
  slots?: number;
  /**
   * How much faster than the wall the time of master and workers goes: deadlines, leases, delays of retries. The
   * timers of your own steps are not part of it. Defaults to 1.
   */
  speed?: number;
  /**
   * `virtual`: time stands still but for what `advance` lets pass, and while `ask`, `submit` or `over` waits and no step
   * runs: then it goes straight to the next timer. So two hours take milliseconds, and each run is the same. `speed` has
   * no part in it.
   */
  time?: 'virtual';
  /** The least that is logged on stderr. Defaults to nothing. */
  log?: LogLevel;
};

/** What a gather came to. */
export type ClusterAnswer<Value> = {
  /** Every item was answered or declined. */
  complete: boolean;
  value: Value;
  /** Numbers of the items that nobody answered in time, as ranges `[from, to, …]`. */
  missing: Ranges;
  /** Items that failed. */
  failed: number;
  /** Where the epic stands, with its totals. */
  status: EpicStatus;
};

/** Starts a cluster; close it when the test is over, whatever came of it. Throws what the start of a work throws. */
export async function testCluster(options: TestClusterOptions): Promise<TestCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-test-'));
  const { workers = 1 } = options;
  const wanted = typeof workers === 'number' ? Array.from({ length: workers }, () => ({})) : workers;
  const cluster = new TestCluster(options, dir, await Spool.open(dir), await Briefs.open(dir));
  try {
    await cluster.open();
    for (const worker of wanted) await cluster.addWorker(worker);
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}

export class TestCluster {
  readonly #works: readonly WorkDefinition[];
  readonly #sources: readonly SourceDefinition[];
  readonly #slots: number;
  readonly #dir: string;
  readonly #spool: Spool;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #network = new MemoryNetwork();
  readonly #master: MasterRuntime;
  readonly #workers: { id: string; name: string; runtime: WorkerRuntime; isLost: boolean }[] = [];
  readonly #virtual: VirtualTime | undefined;
  /** Ids that are the same in every run where time is. */
  readonly #newId: () => string;
  readonly #broken: Promise<never>;

  /** Use `testCluster`. */
  constructor(options: TestClusterOptions, dir: string, spool: Spool, briefs: Briefs) {
    this.#works = options.works as readonly WorkDefinition[];
    this.#sources = (options.sources ?? []) as readonly SourceDefinition[];
    this.#slots = options.slots ?? 16;
    this.#dir = dir;
    this.#spool = spool;
    this.#virtual = options.time === 'virtual' ? new VirtualTime() : undefined;
    const random = seededRng(0);
    const bytes = (): Uint8Array => Uint8Array.from({ length: 15 }, () => random() * 256);
    this.#newId = () => idFrom(this.#virtual ? bytes() : randomBytes(15));
    this.#clock = this.#virtual ?? spedUp(options.speed ?? 1);
    this.#log = options.log === undefined ? silentLog : createLog({ level: options.log, format: 'text' });
    let onFatal: (error: unknown) => void = () => {};
    this.#broken = new Promise((_resolve, reject) => {
      onFatal = (cause) => reject(new Error('the master of the cluster broke', { cause }));
    });
    this.#broken.catch(() => {}); // Told to whoever waits.
    const parts = { bus: this.#network.master('master'), store: new MemoryStore(() => this.#clock.wallMs()) };
    const own = {
      spool,
      briefs,
      clock: this.#clock,
      log: this.#log,
      newId: this.#newId,
      seal: sealWith(randomBytes(32)),
    };
    this.#master = new MasterRuntime({ id: 'master', ...parts, ...own, onFatal }, { term: 1, records: [] });
  }

  /** `testCluster` has done this. */
  async open(): Promise<void> {
    for (const work of this.#works) await work.options.start?.();
    await this.#master.open();
  }

  /** Starts one more worker; it is there for what is asked from now on. */
  async addWorker({ name, labels = {}, slots = this.#slots }: TestWorker = {}): Promise<void> {
    const id = this.#newId();
    const named = name ?? `worker-${this.#workers.length + 1}`;
    const works = this.#works.map(manifestOf);
    const runtime = new WorkerRuntime({
      identity: {
        name: named,
        works,
        labels,
        slots,
        version: VERSION,
        sources: this.#sources.map((source) => source.name),
      },
      sources: new Map(this.#sources.map((source) => [source.name, source])),
      works: new Map(this.#works.map((work) => [work.name, work])),
      bus: this.#network.worker(id),
      clock: this.#clock,
      random: this.#virtual ? seededRng(this.#workers.length + 1) : Math.random,
      log: this.#log,
    });
    this.#workers.push({ id, name: named, runtime, isLost: false });
    await runtime.open();
    // Its Hello takes a few turns of the loop.
    while (!this.#master.workers().some((worker) => worker.id === id)) await turn();
    await this.#virtual?.settled();
  }

  /** Takes a worker away as a power failure would: nothing is heard of it any more. Its steps run on, for nobody. */
  loseWorker(name: string): void {
    const worker = this.#workers.find((it) => it.name === name);
    if (!worker) throw new TypeError(`there is no worker ${name}`);
    worker.isLost = true;
    this.#network.cut(worker.id);
  }

  /** Lets so much time pass, timer by timer, whether steps run or not. Only where time is virtual. */
  async advance(time: Duration): Promise<void> {
    if (!this.#virtual)
      throw new TypeError("advance moves virtual time: testCluster({ ..., time: 'virtual' })");
    await this.#virtual.advance(durationMs(time));
  }

  /** Submits these units, or what `fromSource(...)` names, and waits until the epic is over. */
  async submit(
    work: { readonly name: string },
    units: readonly unknown[] | Extract<Source, { type: 'named' }>,
    brief?: unknown,
  ): Promise<EpicStatus> {
    return this.over(await this.start(work, units, brief));
  }

  /** Submits these units, or what `fromSource(...)` names; what it returns is the id of the epic. */
  async start(
    work: { readonly name: string },
    units: readonly unknown[] | Extract<Source, { type: 'named' }>,
    brief?: unknown,
  ): Promise<string> {
    const spool = this.#newId();
    const source =
      'type' in units ? named(units, spool) : await this.#spool.write('ndjson', linesOf(units), spool);
    const { id } = await this.#master.submit({ work: work.name, source, brief });
    return id;
  }

  /** Where an epic stands. */
  epic(id: string): EpicStatus {
    const status = this.#master.epic(id);
    if (!status) throw new GimmeError('not_found', `there is no epic ${id}`);
    return status;
  }

  /** Waits until an epic is over. */
  async over(id: string): Promise<EpicStatus> {
    await this.#until(() => isOver(this.epic(id).state));
    return this.epic(id);
  }

  /**
   * Asks a gather and waits for what it comes to. What `options` do not say is as the gather says. Throws epic_failed
   * with the reason where nothing came of it.
   */
  async ask<Input, Answer, Value>(
    gather: GatherDefinition<Input, Answer, Value>,
    input: Input,
    options: { deadline?: Duration; enough?: number; quorum?: number } = {},
  ): Promise<ClusterAnswer<Value>> {
    const { deadline, ...asked } = options;
    const deadlineMs = deadline === undefined ? {} : { deadlineMs: durationMs(deadline) };
    const { id } = await this.#master.gather({ work: gather.name, input, ...asked, ...deadlineMs });
    const status = await this.over(id);
    const result = await this.#master.result(id);
    if (!result) {
      const { code, message } = status.fault ?? { code: status.state, message: status.reason ?? '' };
      throw new GimmeError('epic_failed', `${gather.name} ended without a value: ${code}: ${message}`);
    }
    const { complete, missing, failed, value } = result;
    return { complete, missing, failed, value: JSON.parse(await text(value)) as Value, status };
  }

  /** Ends workers and master at once, and removes what they wrote. */
  async close(): Promise<void> {
    this.#virtual?.end();
    const drained = this.#workers.map(({ runtime }) => runtime.drain('the cluster is closed', 0));
    await this.#virtual?.advance(0);
    await Promise.all(drained);
    await this.#master.close();
    for (const work of this.#works) await work.options.stop?.();
    await this.#spool.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  #isBusy(): boolean {
    return this.#workers.some(({ runtime, isLost }) => runtime.busy && !isLost);
  }

  /** Waits until something is so, which is looked at whenever the master changes. */
  async #until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    if (this.#virtual) {
      const seen = this.#virtual.until(isSo, () => this.#isBusy());
      await Promise.race([seen, this.#broken]);
      return;
    }
    let stop = (): void => {};
    const seen = new Promise<void>((resolve) => {
      stop = this.#master.onChange(() => {
        if (isSo()) resolve();
      });
    });
    try {
      await Promise.race([seen, this.#broken]);
    } finally {
      stop();
    }
  }
}

function named({ type, name, args = null }: Extract<Source, { type: 'named' }>, id: string): SourceSpec {
  return { type, id, name, args: JSON.stringify(args) };
}

async function* linesOf(units: readonly unknown[]): AsyncGenerator<Uint8Array> {
  for (const unit of units) yield Buffer.from(`${JSON.stringify(unit)}\n`);
}
