/**
 * `dispatch`: units that do nothing, so that what is measured is pulling itself: the upload, the spool, the
 * grants, the reports. BullMQ takes turns with us in the same run, each time on fresh processes.
 */
import { join } from 'node:path';
import { stdin } from '../client/index.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { installBullmq, type PeerRun, runBullmq } from './bullmq.ts';
import { Cluster, type EpicRun, profilePath } from './cluster.ts';
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';
import { profileLines } from './profile.ts';
import { findRedis } from './redis.ts';
import { type Spread, spreadOf } from './spread.ts';
import { fixed, type Row, table, whole } from './table.ts';
import { ndjsonUnits } from './units.ts';

const UNITS = 1_000_000;
/** The promise: so many times BullMQ's rate, both from the first byte to the last outcome. */
const RATIO_MIN = 10;

type Ours = EpicRun & { complaints: string[] };

export const dispatch: Benchmark = async (place, options, say) => {
  const units = options.units ?? UNITS;
  if (options.profile) return profiled(place, options, units);
  const redis = peerOf(options, say);
  const ours: Ours[] = [];
  const theirs: PeerRun[] = [];
  for (let i = 0; i < options.runs; i++) {
    const run = await runOurs(place, options, units);
    ours.push(run);
    say(`gimmework ${i + 1}/${options.runs}: ${whole(rate(run))} units/s`);
    if (redis === undefined) continue;
    const { peerUnits: jobs, workers: consumers = 2, concurrency } = options;
    const peer = await runBullmq(place, { redis, jobs, consumers, concurrency });
    theirs.push(peer);
    say(`bullmq ${i + 1}/${options.runs}: ${whole(peerRate(peer))} units/s`);
  }
  return verdict(ours, theirs);
};

function peerOf(options: BenchOptions, say: (line: string) => void): string | undefined {
  if (!options.peers) return undefined;
  try {
    installBullmq();
    return findRedis();
  } catch (error) {
    say((error as Error).message);
    return undefined;
  }
}

async function runOurs(place: Place, options: BenchOptions, units: number, profiles?: string): Promise<Ours> {
  const { workers, slots, link } = options;
  const works = place.built('bench/works/noop.js');
  const profile = profiles === undefined ? {} : { profiles };
  const cluster = await Cluster.start(place, { workers, slots, link, works, ...profile });
  const source = stdin('ndjson', ndjsonUnits(units));
  const run = await cluster.run({ work: 'noop', source }, units);
  await cluster.stop();
  return { ...run, complaints: cluster.complaints() };
}

async function profiled(place: Place, options: BenchOptions, units: number): Promise<Verdict> {
  const profiles = join(options.out, 'dispatch');
  const run = await runOurs(place, options, units, profiles);
  const of = (name: 'master' | 'worker', title: string): string[] =>
    profileLines(profilePath(profiles, name), title, run.window, units, place.built(''));
  const lines = [...of('master', 'master'), '', ...of('worker', 'worker 1')];
  return { lines, results: { ours: [run] }, broken: [] };
}

function verdict(ours: Ours[], theirs: PeerRun[]): Verdict {
  const rows: Row[] = [
    spreadRow('gimmework', spreadOf(ours.map(rate))),
    spreadRow('  after the upload', spreadOf(ours.map((run) => perSecond(run.units, run.settlingMs)))),
  ];
  const broken = ours.flatMap((run) => run.complaints.map((line) => `a process complained: ${line}`));
  let ratio: Spread | undefined;
  if (theirs.length > 0) {
    rows.push(spreadRow('bullmq', spreadOf(theirs.map(peerRate))));
    ratio = spreadOf(theirs.map((peer, i) => rate(ours[i] as Ours) / peerRate(peer)));
    rows.push(['ratio', ...[ratio.median, ratio.min, ratio.max].map((n) => `${fixed(n, 1)}x`)]);
    if (ratio.median < RATIO_MIN) broken.push(`${fixed(ratio.median, 1)}x BullMQ's rate, not ${RATIO_MIN}x`);
  } else broken.push("BullMQ's rate was not measured");
  const lines = [
    ...table(['units/s', 'median', 'min', 'max'], rows),
    '',
    ...cpuTable('gimmework', ours, (run) => run.units),
    ...(theirs.length > 0 ? ['', ...cpuTable('bullmq', theirs, (run) => run.jobs)] : []),
    '',
    `store ${ours[0]?.store}, link ${ours[0]?.link}`,
    `longest time without a settled unit: ${Math.max(...ours.map((run) => run.longestPauseMs))} ms`,
  ];
  return { lines, results: { ours, theirs, ratio }, broken };
}

function cpuTable<R extends { cpuMs: Record<string, number> }>(
  title: string,
  runs: readonly R[],
  unitsOf: (run: R) => number,
): string[] {
  const names = Object.keys(runs[0]?.cpuMs ?? {});
  const microseconds = (run: R, name: string): number => ((run.cpuMs[name] ?? 0) * 1_000) / unitsOf(run);
  const rows = names.map((name) => cpuRow(name, spreadOf(runs.map((run) => microseconds(run, name)))));
  const sums = runs.map((run) => names.reduce((sum, name) => sum + microseconds(run, name), 0));
  return table([`${title}: CPU µs/unit`, 'median', 'min', 'max'], [...rows, cpuRow('all', spreadOf(sums))]);
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

function peerRate(run: PeerRun): number {
  return perSecond(run.jobs, run.totalMs);
}

function perSecond(count: number, ms: number): number {
  return (count * 1_000) / Math.max(1, ms);
}
