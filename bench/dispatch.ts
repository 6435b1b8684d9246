/**
 * `dispatch`: units that do nothing, so that what is measured is pulling itself: the upload, the spool, the
 * grants, the reports. Each run has fresh processes. Beside other queues: `peers`.
 */
import { join } from 'node:path';
import { stdin } from '../client/index.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { Cluster, type EpicRun, profilePath } from './cluster.ts';
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';
import { profileLines } from './profile.ts';
import { type Spread, spreadOf } from './spread.ts';
import { fixed, type Row, table, whole } from './table.ts';
import { type Layout, unitLines } from './units.ts';

const UNITS = 1_000_000;

export type DispatchRun = EpicRun & { complaints: string[] };

export const dispatch: Benchmark = async (place, options, say) => {
  const units = options.units ?? UNITS;
  if (options.profile) return profiled(place, options, units);
  const runs: DispatchRun[] = [];
  for (let i = 0; i < options.runs; i++) {
    const run = await runDispatch(place, options, units);
    runs.push(run);
    say(`gimmework ${i + 1}/${options.runs}: ${whole(rate(run))} units/s`);
  }
  return verdict(runs);
};

/** Runs one epic of units that do nothing, by fresh processes. */
export async function runDispatch(
  place: Place,
  options: Pick<BenchOptions, 'workers' | 'slots' | 'link'>,
  units: number,
  { profiles, layout = 'ndjson' }: { profiles?: string; layout?: Layout } = {},
): Promise<DispatchRun> {
  const { workers, slots, link } = options;
  const works = place.built('bench/works/noop.js');
  const profile = profiles === undefined ? {} : { profiles };
  const cluster = await Cluster.start(place, { workers, slots, link, works, ...profile });
  const source = stdin(layout === 'ndjson' ? 'ndjson' : 'csv', unitLines(layout, units));
  const run = await cluster.run({ work: 'noop', source }, units);
  await cluster.stop();
  return { ...run, complaints: cluster.complaints() };
}

async function profiled(place: Place, options: BenchOptions, units: number): Promise<Verdict> {
  const profiles = join(options.out, 'dispatch');
  const run = await runDispatch(place, options, units, { profiles });
  const of = (name: 'master' | 'worker', title: string): string[] =>
    profileLines(profilePath(profiles, name), title, run.window, units, place.built(''));
  const lines = [...of('master', 'master'), '', ...of('worker', 'worker 1')];
  return { lines, results: { ours: [run] }, broken: [] };
}

function verdict(runs: DispatchRun[]): Verdict {
  const rows: Row[] = [
    spreadRow('gimmework', spreadOf(runs.map(rate))),
    spreadRow('  after the upload', spreadOf(runs.map((run) => perSecond(run.units, run.settlingMs)))),
  ];
  const lines = [
    ...table(['units/s', 'median', 'min', 'max'], rows),
    '',
    ...cpuTable(runs),
    '',
    `store ${runs[0]?.store}, link ${runs[0]?.link}`,
    `longest time without a settled unit: ${Math.max(...runs.map((run) => run.longestPauseMs))} ms`,
  ];
  const broken = runs.flatMap((run) => run.complaints.map((line) => `a process complained: ${line}`));
  return { lines, results: { ours: runs }, broken };
}

function cpuTable(runs: readonly DispatchRun[]): string[] {
  const names = Object.keys(runs[0]?.cpuMs ?? {});
  const microseconds = (run: DispatchRun, name: string): number =>
    ((run.cpuMs[name] ?? 0) * 1_000) / run.units;
  const rows = names.map((name) => cpuRow(name, spreadOf(runs.map((run) => microseconds(run, name)))));
  const sums = runs.map((run) => names.reduce((sum, name) => sum + microseconds(run, name), 0));
  return table(['CPU µs/unit', 'median', 'min', 'max'], [...rows, cpuRow('all', spreadOf(sums))]);
}

function cpuRow(name: string, { median, min, max }: Spread): Row {
  return [name, fixed(median), fixed(min), fixed(max)];
}

function spreadRow(name: string, { median, min, max }: Spread): Row {
  return [name, whole(median), whole(min), whole(max)];
}

function rate(run: EpicRun): number {
  return perSecond(run.units, run.totalMs);
}

function perSecond(count: number, ms: number): number {
  return (count * 1_000) / Math.max(1, ms);
}
