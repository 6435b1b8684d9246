/**
 * `memory`: what a master holds must not grow with its epic (promise G6). The same units, few and many, each
 * on fresh processes; the peak that the kernel saw, and how full every queue was at most.
 */
import { range, stdin } from '../client/index.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { Cluster, type Depth, type EpicRun } from './cluster.ts';
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';
import { fixed, megabytes, table, whole } from './table.ts';
import { ndjsonUnits } from './units.ts';

const UNITS = 5_000_000;
/** The promise: the peak of many units is at most so many times the peak of few. */
const RATIO_MAX = 1.3;

type MemoryRun = EpicRun & {
  masterBytes: number;
  workerBytes: number[];
  queues: Record<string, Depth>;
  complaints: string[];
};

export const memory: Benchmark = async (place, options, say) => {
  const measured = async (units: number): Promise<MemoryRun> => {
    const run = await runOnce(place, options, units);
    say(`${whole(units)} units in ${fixed(run.totalMs / 1_000, 1)} s: master ${megabytes(run.masterBytes)}`);
    return run;
  };
  const few: MemoryRun[] = [];
  const many: MemoryRun[] = [];
  for (let i = 0; i < options.runs; i++) {
    few.push(await measured(options.base));
    many.push(await measured(options.units ?? UNITS));
  }
  return verdict(few, many);
};

/** A peak depends on when the garbage collector came by: of several runs the one in the middle counts. */
function middle(runs: readonly MemoryRun[]): MemoryRun {
  const sorted = [...runs].sort((a, b) => a.masterBytes - b.masterBytes);
  return sorted[sorted.length >> 1] as MemoryRun;
}

async function runOnce(place: Place, options: BenchOptions, units: number): Promise<MemoryRun> {
  const { workers, slots, link } = options;
  const works = place.built('bench/works/noop.js');
  const cluster = await Cluster.start(place, { workers, slots, link, works });
  const source = options.source === 'range' ? range(0, units) : stdin('ndjson', ndjsonUnits(units));
  const run = await cluster.run({ work: 'noop', source }, units);
  const queues = await cluster.queues();
  const masterBytes = cluster.master.peakBytes();
  const workerBytes = cluster.workers.map((worker) => worker.peakBytes());
  await cluster.stop();
  return { ...run, masterBytes, workerBytes, queues, complaints: cluster.complaints() };
}

function verdict(fewRuns: readonly MemoryRun[], manyRuns: readonly MemoryRun[]): Verdict {
  const all = [...fewRuns, ...manyRuns];
  const few = middle(fewRuns);
  const many = middle(manyRuns);
  const ratio = many.masterBytes / few.masterBytes;
  const broken = all.flatMap((run) => [
    ...run.complaints.map((line) => `a process complained: ${line}`),
    ...overfull(run),
  ]);
  if (ratio > RATIO_MAX) {
    broken.push(`the master's peak grew ${fixed(ratio)}x from few units to many, over ${RATIO_MAX}x`);
  }
  const peaks = [few, many].map((run) => [
    whole(run.units),
    megabytes(run.masterBytes),
    ...run.workerBytes.map(megabytes),
    `${fixed(run.totalMs / 1_000, 1)} s`,
  ]);
  const workers = few.workerBytes.map((_, i) => `worker ${i + 1}`);
  const deepest = (runs: readonly MemoryRun[], name: string): string =>
    whole(Math.max(...runs.map((run) => run.queues[name]?.max ?? 0)));
  const queues = Object.entries(many.queues).map(([name, { limit }]) => [
    name,
    deepest(fewRuns, name),
    deepest(manyRuns, name),
    whole(limit),
  ]);
  const lines = [
    ...table(['units', 'master peak', ...workers, 'took'], peaks),
    `ratio ${fixed(ratio)}x`,
    `store ${many.store}, link ${many.link}`,
    '',
    ...table(['deepest', 'few', 'many', 'limit'], queues),
  ];
  return { lines, results: { few, many, ratio, all }, broken };
}

/** Queues that were fuller than they may be, or are not empty at the end. */
export function overfull(run: { queues: Record<string, Depth> }): string[] {
  return Object.entries(run.queues).flatMap(([name, { depth, max, limit }]) => [
    ...(max > limit ? [`queue ${name} was ${whole(max)} deep, over its limit of ${whole(limit)}`] : []),
    ...(depth > 0 ? [`queue ${name} holds ${whole(depth)} after the end`] : []),
  ]);
}
