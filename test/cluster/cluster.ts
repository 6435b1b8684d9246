/**
 * A cluster within the test's process: the real shells and cores of one master and some workers, over a
 * link of the test's choice, with real spools in a folder of its own. Time may run faster than by the wall.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EpicRecord } from '../../master/core/records.ts';
import type { Batch, SourceSpec } from '../../master/core/source.ts';
import type { CoreSettings } from '../../master/core/state.ts';
import { Briefs } from '../../master/io/briefs.ts';
import { MasterRuntime } from '../../master/io/runtime.ts';
import { sealWith } from '../../master/io/secret.ts';
import { Spool } from '../../master/io/spool.ts';
import { MemoryStore } from '../../master/io/stores/memory.ts';
import type { SourceDefinition } from '../../shared/core/userSource.ts';
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { Bus } from '../../shared/io/bus.ts';
import { type Clock, spedUp } from '../../shared/io/clock.ts';
import { silentLog } from '../../shared/io/log.ts';
import type { EpicStatus } from '../../shared/protocol/api.ts';
import { WorkerRuntime } from '../../worker/io/runtime.ts';
import { manifestOf } from '../../worker/main.ts';
import type { Link, MakeLink } from './links.ts';
import { within } from './signals.ts';
import { type Fate, type Sent, Tap } from './tap.ts';

export type ClusterOptions = {
  settings?: Partial<CoreSettings>;
  /** How much faster than the wall the clocks of master and workers run. Defaults to 1. */
  speed?: number;
};

export type ClusterWorker = { id: string; runtime: WorkerRuntime };

const HEARTBEAT_MS = 100;

export class Cluster {
  readonly master: MasterRuntime;
  /** Every read of a source: where it began. */
  readonly reads: { source: SourceSpec; offset: number }[] = [];
  /** Every status of every epic that was shown. */
  readonly shown: EpicStatus[] = [];
  /** What becomes of the frames from here on. */
  fate: Fate = () => 1;
  /** Where spools and briefs are. */
  readonly dir: string;
  readonly briefs: Briefs;
  readonly #link: Link;
  readonly #store: Recording;
  readonly #spool: Spool;
  readonly #clock: Clock;
  readonly #workers: ClusterWorker[] = [];
  readonly #cut = new Set<string>();
  #ids = 0;
  #broken: Error | undefined;

  private constructor(
    link: Link,
    store: Recording,
    spool: Spool,
    dir: string,
    parts: ClusterOptions,
    briefs: Briefs,
  ) {
    this.#link = link;
    this.#store = store;
    this.#spool = spool;
    this.dir = dir;
    this.briefs = briefs;
    this.#clock = spedUp(parts.speed ?? 1);
    const read = spool.read.bind(spool);
    spool.read = (source, offset, first, limits): Promise<Batch> => {
      this.reads.push({ source, offset });
      return read(source, offset, first, limits);
    };
    this.master = new MasterRuntime(
      {
        id: 'master-1',
        bus: this.#tapped(link.master('master-1')),
        store,
        spool,
        briefs,
        clock: this.#clock,
        log: silentLog,
        newId: () => `epic-${++this.#ids}`,
        seal: sealWith(randomBytes(32)),
        settings: { leaseMs: 20 * HEARTBEAT_MS, heartbeatMs: HEARTBEAT_MS, ...parts.settings },
        onFatal: (error) => {
          this.#broken ??= new Error('the master broke', { cause: error });
        },
      },
      { term: 1, records: [] },
    );
    this.master.onChange((epics) => {
      for (const id of epics) {
        const status = this.master.epic(id);
        if (status) this.shown.push(status);
      }
    });
  }

  /** Starts a master, runs the body, and ends everything whatever came of it. */
  static async run(
    makeLink: MakeLink,
    options: ClusterOptions,
    body: (cluster: Cluster) => Promise<void>,
  ): Promise<void> {
    const dir = await mkdtemp(join(tmpdir(), 'gimmework-cluster-'));
    const spool = await Spool.open(dir);
    const briefs = await Briefs.open(dir);
    const cluster = new Cluster(await makeLink(), new Recording(), spool, dir, options, briefs);
    try {
      await cluster.master.open();
      await body(cluster);
      if (cluster.#broken !== undefined) throw cluster.#broken;
    } finally {
      await cluster.#end();
    }
  }

  /** Records that were made durable. */
  get records(): readonly EpicRecord[] {
    return this.#store.all;
  }

  /** Starts a worker of these works (as `defineWork` makes them), and sources; resolves when its link is up. */
  async work(
    id: string,
    slots: number,
    works: readonly { name: string }[],
    offered: readonly { name: string }[] = [],
  ): Promise<ClusterWorker> {
    const definitions = works as readonly WorkDefinition[];
    const sources = offered as readonly SourceDefinition[];
    const names = sources.map(({ name }) => name);
    const own = { name: id, labels: {}, slots, version: '0', sources: names };
    const identity = { ...own, works: definitions.map(manifestOf) };
    const runtime = new WorkerRuntime({
      identity,
      works: new Map(definitions.map((definition) => [definition.name, definition])),
      sources: new Map(sources.map((source) => [source.name, source])),
      bus: this.#tapped(this.#link.worker(id)),
      clock: this.#clock,
      random: Math.random,
      log: silentLog,
      heartbeatMs: HEARTBEAT_MS,
    });
    const worker = { id, runtime };
    this.#workers.push(worker);
    await within(runtime.open(), () => `the link of ${id}`);
    return worker;
  }

  /** Submits an epic of these units, uploaded as NDJSON. Returns its id. */
  async submit(work: string, units: readonly unknown[]): Promise<string> {
    const lines = units.map((unit) => `${JSON.stringify(unit)}\n`).join('');
    const body = (async function* () {
      yield Buffer.from(lines);
    })();
    const source = await this.#spool.write('ndjson', body, `spool-${++this.#ids}`);
    return (await this.master.submit({ work, source, brief: {} })).id;
  }

  /** Submits an epic of what a source gives. Returns its id. */
  async submitFrom(work: string, name: string, args: unknown = null): Promise<string> {
    const source = { type: 'named', id: `spool-${++this.#ids}`, name, args: JSON.stringify(args) } as const;
    return (await this.master.submit({ work, source, brief: {} })).id;
  }

  status(epic: string): EpicStatus {
    const status = this.master.epic(epic);
    if (!status) throw new Error(`there is no epic ${epic}`);
    return status;
  }

  /** Waits until the status of an epic, as it is shown, is as wanted. */
  async until(epic: string, what: string, ready: (status: EpicStatus) => boolean): Promise<EpicStatus> {
    if (ready(this.status(epic))) return this.status(epic);
    let stop = (): void => {};
    const seen = new Promise<EpicStatus>((resolve) => {
      stop = this.master.onChange(() => {
        const status = this.status(epic);
        if (ready(status)) resolve(status);
      });
    });
    try {
      return await within(seen, () => `${epic} to be ${what}; it is ${JSON.stringify(this.status(epic))}`);
    } finally {
      stop();
    }
  }

  finished(epic: string): Promise<EpicStatus> {
    return this.until(epic, 'finished', ({ state }) => state !== 'running');
  }

  settled(epic: string, count: number): Promise<EpicStatus> {
    return this.until(
      epic,
      `settled ${count} times`,
      ({ totals }) => totals.read - totals.outstanding >= count,
    );
  }

  /** From here on nothing comes from or to this worker, though nobody is told that its link is gone. */
  cut(worker: ClusterWorker): void {
    this.#cut.add(worker.id);
  }

  heal(worker: ClusterWorker): void {
    this.#cut.delete(worker.id);
  }

  #tapped(bus: Bus): Bus {
    const fate = (sent: Sent): number => this.fate(sent);
    return new Tap(bus, fate, (id) => this.#cut.has(id));
  }

  async #end(): Promise<void> {
    this.fate = () => 1;
    await Promise.all(this.#workers.map(({ runtime }) => runtime.drain('the test is over', 0)));
    await this.master.close();
    await this.#link.end();
    await this.#spool.close();
    await rm(this.dir, { recursive: true, force: true });
  }
}

class Recording extends MemoryStore {
  readonly all: EpicRecord[] = [];

  override append(records: readonly EpicRecord[]): Promise<void> {
    this.all.push(...records);
    return super.append(records);
  }
}
