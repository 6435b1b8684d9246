/**
 * `latency`: what an idle cluster takes to begin. From the submit call, and from when the epic was durable, to the call of
 * `doWork`, one unit at a time; beside the round trip of a frame over the same link between two bare processes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { range, type Source, stdin } from '../client/index.ts';
import { runBare } from './bare.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { clockUs } from './clock.ts';
import { Cluster, type Link } from './cluster.ts';
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';
import { fixed, type Row, table } from './table.ts';
import { ndjsonUnits } from './units.ts';

const SAMPLES = 300;
const WARMING = 30;
/** Nothing happens so long before each sample. */
const IDLE_MS = 10;
const LINKS: readonly Link[] = ['ws', 'nats'];
/** The promise: from durable to `doWork`, the middle one, in round trips of the link. */
const ROUND_TRIPS_MAX = 1.5;

type Sample = {
  /** From the submit call, and from when the epic was durable, to `doWork`. */
  fromSubmitMs: number;
  fromDurableMs: number;
};
type Measured = { link: Link; roundTripsMs: number[]; numbers: Sample[]; uploads: Sample[] };

export const latency: Benchmark = async (place, options, say) => {
  const links = options.link === undefined ? LINKS : [options.link];
  const all = new Map<Link, Measured>();
  // In turns, so that what else the machine does falls on all of them.
  for (let i = 0; i < options.runs; i++) {
    for (const link of links) {
      const samples = Math.ceil((options.units ?? SAMPLES) / options.runs);
      const { roundTripsMs } = await runBare(place, {
        units: samples + WARMING,
        workers: 1,
        link,
        batch: 1,
        ahead: 1,
        pauseMs: IDLE_MS,
      });
      const ours = await runOurs(place, options, link, samples);
      const so = all.get(link) ?? { link, roundTripsMs: [], numbers: [], uploads: [] };
      so.roundTripsMs.push(...roundTripsMs.slice(WARMING));
      so.numbers.push(...ours.numbers);
      so.uploads.push(...ours.uploads);
      all.set(link, so);
      say(`${i + 1}/${options.runs} over ${link}`);
    }
  }
  return verdict([...all.values()]);
};

async function runOurs(
  place: Place,
  { slots }: BenchOptions,
  link: Link,
  samples: number,
): Promise<Pick<Measured, 'numbers' | 'uploads'>> {
  const cluster = await Cluster.start(place, {
    workers: 1,
    slots,
    link,
    works: place.built('bench/works/begun.js'),
    masterImports: place.built('bench/works/accepted.js'),
  });
  const clocks = new Clocks(cluster);
  const sampled = async (source: () => Source): Promise<Sample[]> => {
    const taken: Sample[] = [];
    for (let i = 0; i < samples + WARMING; i++) {
      await pause(IDLE_MS);
      taken.push(await clocks.sample(source()));
    }
    return taken.slice(WARMING);
  };
  const numbers = await sampled(() => range(0, 1));
  const uploads = await sampled(() => stdin('ndjson', ndjsonUnits(1)));
  await cluster.stop();
  return { numbers, uploads };
}

/** Puts together what the processes tell of one epic at a time. */
class Clocks {
  readonly #cluster: Cluster;
  readonly #durable = new Map<string, number>();
  readonly #ran = new Map<string, number>();
  #look = (): void => {};

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const into = (times: Map<string, number>) => (message: unknown) => {
      const { epic, atUs } = message as { epic: string; atUs: number };
      times.set(epic, atUs);
      this.#look();
    };
    cluster.master.onMessage(into(this.#durable));
    cluster.workers[0]?.onMessage(into(this.#ran));
  }

  async sample(source: Source): Promise<Sample> {
    const submittedUs = clockUs();
    const { id } = await this.#cluster.whileUp(this.#cluster.client.submit({ work: 'begun', source }));
    await this.#cluster.whileUp(this.#known(id));
    const ranUs = this.#ran.get(id) ?? 0;
    const durableUs = this.#durable.get(id) ?? 0;
    return { fromSubmitMs: (ranUs - submittedUs) / 1_000, fromDurableMs: (ranUs - durableUs) / 1_000 };
  }

  #known(id: string): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (this.#ran.has(id) && this.#durable.has(id)) resolve();
      };
      this.#look();
    });
  }
}

function verdict(all: readonly Measured[]): Verdict {
  const broken: string[] = [];
  const rows: Row[] = [];
  for (const { link, roundTripsMs, numbers, uploads } of all) {
    const roundTrip = quantile(roundTripsMs, 0.5);
    rows.push(row(`${link}: round trip of a frame`, roundTripsMs, roundTrip));
    for (const [what, samples] of [['numbers', numbers] as const, ['an upload', uploads] as const]) {
      const durable = samples.map(({ fromDurableMs }) => fromDurableMs);
      rows.push(row(`${link}: durable to doWork, ${what}`, durable, roundTrip));
      const submit = samples.map(({ fromSubmitMs }) => fromSubmitMs);
      rows.push(row(`${link}: submit to doWork, ${what}`, submit, roundTrip));
      const trips = quantile(durable, 0.5) / roundTrip;
      if (trips <= ROUND_TRIPS_MAX) continue;
      const took = `from durable to doWork it took ${fixed(trips)} round trips over ${link} (${what})`;
      broken.push(`${took}, over ${ROUND_TRIPS_MAX}`);
    }
  }
  const lines = table(['milliseconds', 'p50', 'p90', 'p99', 'p50 in round trips'], rows);
  return { lines, results: { all }, broken };
}

function row(name: string, values: readonly number[], roundTrip: number): Row {
  const of = (share: number): string => fixed(quantile(values, share), 3);
  return [name, of(0.5), of(0.9), of(0.99), fixed(quantile(values, 0.5) / roundTrip)];
}

/** The value that this share of them is at most. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
