/**
 * `formats`: dispatch of the same number of records as NDJSON, as CSV, and as CSV with quotes, in turns. The master cuts them
 * at their ends without a look into them, and workers take them apart; so no format is to be the slow one.
 */
import type { Benchmark, Verdict } from './benchmark.ts';
import { type DispatchRun, runDispatch } from './dispatch.ts';
import { type Spread, spreadOf } from './spread.ts';
import { fixed, type Row, table, whole } from './table.ts';
import type { Layout } from './units.ts';

const UNITS = 1_000_000;
const LAYOUTS: readonly Layout[] = ['ndjson', 'csv', 'quoted csv'];
/** The promise: a unit costs all processes together so many times what it costs as NDJSON. */
const COST_MAX = 1.25;

type Runs = Record<Layout, DispatchRun[]>;

export const formats: Benchmark = async (place, options, say) => {
  const runs: Runs = { ndjson: [], csv: [], 'quoted csv': [] };
  for (let i = 0; i < options.runs; i++) {
    for (const layout of LAYOUTS) {
      const run = await runDispatch(place, options, options.units ?? UNITS, { layout });
      runs[layout].push(run);
      say(`${layout} ${i + 1}/${options.runs}: ${whole(rateOf(run))} units/s`);
    }
  }
  return verdict(runs);
};

function verdict(runs: Runs): Verdict {
  const all = LAYOUTS.flatMap((layout) => runs[layout]);
  const broken = all.flatMap((run) => run.complaints.map((line) => `a process complained: ${line}`));
  const ratios: Record<string, Spread> = {};
  for (const layout of LAYOUTS) {
    // Neighbours are compared: what else the machine does changes from one turn to the next.
    const ratio = spreadOf(runs[layout].map((run, i) => costOf(run) / costOf(runs.ndjson[i] as DispatchRun)));
    ratios[layout] = ratio;
    if (ratio.median > COST_MAX)
      broken.push(`${layout} cost ${fixed(ratio.median)}x NDJSON, over ${COST_MAX}x`);
  }
  const rows = LAYOUTS.map((layout): Row => {
    const median = (of: (run: DispatchRun) => number): number => spreadOf(runs[layout].map(of)).median;
    const { median: ratio, min, max } = ratios[layout] as Spread;
    return [
      layout,
      whole(median(rateOf)),
      fixed(median((run) => costOf(run, ['master']))),
      fixed(median((run) => costOf(run, workersOf(run)))),
      fixed(median((run) => costOf(run))),
      `${fixed(ratio)}x (${fixed(min)} to ${fixed(max)})`,
    ];
  });
  const head = ['CPU µs/unit', 'units/s', 'master', 'workers', 'all', 'to NDJSON'];
  const lines = [...table(head, rows), '', `store ${all[0]?.store}, link ${all[0]?.link}`];
  return { lines, results: { runs, ratios }, broken };
}

function workersOf({ cpuMs }: DispatchRun): string[] {
  return Object.keys(cpuMs).filter((name) => name.startsWith('worker'));
}

/** CPU microseconds of these processes for each unit. */
function costOf({ cpuMs, units }: DispatchRun, names = Object.keys(cpuMs)): number {
  return names.reduce((sum, name) => sum + ((cpuMs[name] ?? 0) * 1_000) / units, 0);
}

function rateOf({ units, totalMs }: DispatchRun): number {
  return (units * 1_000) / totalMs;
}
