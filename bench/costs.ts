/**
 * `costs`: what a unit costs the master as epics and crowds grow: few units beside more and very many, one session beside
 * 64 in 4 processes, in turns, each on fresh processes; and the memory that the most units take.
 */
import { stdin } from '../client/index.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { Cluster, type EpicRun } from './cluster.ts';
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';
import { type Crowd, runSessions } from './sessions.ts';
import { type Spread, spreadOf } from './spread.ts';
import { fixed, megabytes, type Row, table, whole } from './table.ts';
import { ndjsonUnits } from './units.ts';

/** The first is short enough that a process is still warming up: the promise counts from the cheaper of the first two. */
const FEW_UNITS = 100_000;
const MORE_UNITS = 1_000_000;
const UNITS = 10_000_000;
const CROWD_UNITS = 2_000_000;
const ALONE: Crowd = { sessions: 1, processes: 1 };
const CROWD: Crowd = { sessions: 64, processes: 4 };
/** The promises: how many times as much a unit may cost, and the memory of a master that has had the most of them. */
const UNITS_RATIO_MAX = 1.15;
const CROWD_RATIO_MAX = 1.25;
const BYTES_MAX = 150 * 1024 * 1024;

type Cost = EpicRun & { complaints: string[]; masterBytes?: number };
type Pair = { few: Cost; many: Cost };
type Sizes = Pair & { more: Cost };

export const costs: Benchmark = async (place, options, say) => {
  const sizes: Sizes[] = [];
  const crowds: Pair[] = [];
  const units = options.units ?? UNITS;
  for (let i = 0; i < options.runs; i++) {
    const size = {
      few: await runSize(place, options, FEW_UNITS),
      more: await runSize(place, options, Math.min(MORE_UNITS, units)),
      many: await runSize(place, options, units),
    };
    sizes.push(size);
    say(`${i + 1}/${options.runs} ${whole(units)} units: ${told(size)}`);
    const few = { ...options, units: Math.min(CROWD_UNITS, units) };
    const crowd = {
      few: await runSessions(place, few, ALONE),
      many: await runSessions(place, few, CROWD),
    };
    crowds.push(crowd);
    say(`${i + 1}/${options.runs} ${CROWD.sessions} sessions: ${told(crowd)}`);
  }
  return verdict(sizes, crowds);
};

async function runSize(place: Place, { slots, link }: BenchOptions, units: number): Promise<Cost> {
  const works = place.built('bench/works/noop.js');
  const cluster = await Cluster.start(place, { slots, link, works });
  const run = await cluster.run({ work: 'noop', source: stdin('ndjson', ndjsonUnits(units)) }, units);
  const masterBytes = cluster.master.peakBytes();
  await cluster.stop();
  return { ...run, masterBytes, complaints: cluster.complaints() };
}

function verdict(sizes: readonly Sizes[], crowds: readonly Pair[]): Verdict {
  const runs = [...sizes, ...crowds].flatMap((group) => Object.values(group));
  const broken = runs.flatMap((run) => run.complaints.map((line) => `a process complained: ${line}`));
  const cheaper = ({ few, more, many }: Sizes): Pair => ({
    few: costOf(few) < costOf(more) ? few : more,
    many,
  });
  const [ofUnits, ofCrowd] = [ratioOf(sizes.map(cheaper)), ratioOf(crowds)];
  const most = sizes[0]?.many.units ?? 0;
  const peak = spreadOf(sizes.map(({ many }) => many.masterBytes ?? 0));
  if (ofUnits.median > UNITS_RATIO_MAX) {
    broken.push(
      `a unit of ${whole(most)} cost the master ${fixed(ofUnits.median)}x, over ${UNITS_RATIO_MAX}x`,
    );
  }
  if (ofCrowd.median > CROWD_RATIO_MAX) {
    broken.push(
      `${CROWD.sessions} sessions cost the master ${fixed(ofCrowd.median)}x, over ${CROWD_RATIO_MAX}x`,
    );
  }
  if (peak.median > BYTES_MAX) {
    broken.push(
      `the master took ${megabytes(peak.median)} for ${whole(most)} units, over ${megabytes(BYTES_MAX)}`,
    );
  }
  const crowd = `${CROWD.sessions} sessions in ${CROWD.processes} processes`;
  const rows = [
    ...(['few', 'more', 'many'] as const).map((which) => {
      const ofSize = sizes.map((size) => size[which]);
      return costRow(`${whole(ofSize[0]?.units ?? 0)} units`, ofSize);
    }),
    ...(['few', 'many'] as const).map((which) =>
      costRow(
        which === 'few' ? '1 session' : crowd,
        crowds.map((pair) => pair[which]),
      ),
    ),
  ];
  const ratios = [
    ratioRow(`${whole(most)} units to fewer`, ofUnits),
    ratioRow(`${CROWD.sessions} sessions to 1`, ofCrowd),
  ];
  const lines = [
    ...table(['master CPU µs/unit', 'median', 'min', 'max'], rows),
    '',
    ...table(['ratio', 'median', 'min', 'max'], ratios),
    '',
    `master peak with ${whole(most)} units: ${megabytes(peak.median)}`,
    `store ${sizes[0]?.many.store}, link ${sizes[0]?.many.link}; the sessions over ${crowds[0]?.many.link}`,
  ];
  return { lines, results: { sizes, crowds, ratios: { units: ofUnits, crowd: ofCrowd }, peak }, broken };
}

/** Neighbours are compared: what else the machine does changes from one pair to the next. */
function ratioOf(pairs: readonly Pair[]): Spread {
  return spreadOf(pairs.map(({ few, many }) => costOf(many) / costOf(few)));
}

function costOf({ cpuMs, units }: Cost): number {
  return ((cpuMs['master'] ?? 0) * 1_000) / units;
}

function told({ few, many }: Pair): string {
  return `${fixed(costOf(many))} µs/unit of the master, beside ${fixed(costOf(few))}`;
}

function costRow(name: string, runs: readonly Cost[]): Row {
  const { median, min, max } = spreadOf(runs.map(costOf));
  return [name, fixed(median), fixed(min), fixed(max)];
}

function ratioRow(name: string, { median, min, max }: Spread): Row {
  return [name, ...[median, min, max].map((n) => `${fixed(n)}x`)];
}
