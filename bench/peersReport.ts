/** What `peers` shows of its measurements: tables, a plot, and both in docs/. Measures nothing itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Tuning } from './peer.ts';
import { ROOT } from './place.ts';
import { plotSvg } from './plot.ts';
import { type ClaimResult, type Rates, ratioOf, times } from './ratios.ts';
import { spreadOf } from './spread.ts';
import { fixed, type Row, table, whole } from './table.ts';

export type Measured = { units: number; totalMs: number; cpuMs: Record<string, number> };

/** One of those who took turns. */
export type System = {
  name: string;
  kind: 'dispatch' | 'newsletter';
  isOurs: boolean;
  /** The fastest of the trials. */
  tuning: Tuning;
  trials: { tuning: Tuning; unitsPerS: number }[];
  runs: Measured[];
};

export type Load = { before: number[]; after: number[] };

export const NAMES = {
  nats: 'gimmework, nats + sqlite',
  ws: 'gimmework, websocket + sqlite',
  newsletter: 'gimmework newsletter',
};
const OF_KIND = { dispatch: NAMES.nats, newsletter: NAMES.newsletter };
const HEADS = { dispatch: 'units/s', newsletter: 'mails/s' };
const KINDS = ['dispatch', 'newsletter'] as const;

const PAGE = join(ROOT, 'docs', 'BENCHMARKS.md');
const PLOT = join(ROOT, 'docs', 'benchmarks.svg');
const SECTION = { begin: '<!-- peers: written by npm run bench:peers -- --docs -->', end: '<!-- /peers -->' };

/** The tables for people. */
export function report(
  systems: readonly System[],
  rates: Rates,
  results: readonly ClaimResult[],
  load: Load,
): string[] {
  return [
    ...KINDS.flatMap((kind) => rateTable(systems, rates, kind)),
    ...cpuTable(systems),
    '',
    ...promiseTable(results),
    '',
    ...systems
      .filter(({ isOurs }) => !isOurs)
      .map(({ name, tuning }) => `${name}: ${Object.entries(tuning).map(pair).join(', ')}`),
    `${availableParallelism()} cores, Node ${process.versions.node}, load average ${loads(load.before)} before, ${loads(load.after)} after`,
  ];
}

function rateTable(systems: readonly System[], rates: Rates, kind: System['kind']): string[] {
  const rows = systems
    .filter((system) => system.kind === kind)
    .map(({ name }): Row => {
      const { median, min, max } = spreadOf(rates.get(name) ?? []);
      const ratio = name === OF_KIND[kind] ? undefined : ratioOf(rates, OF_KIND[kind], name);
      const ratios = ratio ? [ratio.median, ratio.min, ratio.max].map(times) : ['', '', ''];
      return [name, ...[median, min, max].map(whole), ...ratios];
    });
  if (rows.length === 0) return [];
  return [...table([HEADS[kind], 'median', 'min', 'max', 'ours / theirs', 'min', 'max'], rows), ''];
}

/** CPU time of a unit in each process: the middle of the runs. */
function cpuTable(systems: readonly System[]): string[] {
  const rows = systems.map(({ name, runs }): Row => {
    const names = Object.keys(runs[0]?.cpuMs ?? {});
    const of = (run: Measured, process: string): number =>
      ((run.cpuMs[process] ?? 0) * 1_000) / Math.max(1, run.units);
    const each = names.map((it) => `${it} ${fixed(spreadOf(runs.map((run) => of(run, it))).median, 1)}`);
    const sum = spreadOf(runs.map((run) => names.reduce((all, it) => all + of(run, it), 0)));
    return [name, fixed(sum.median, 1), `  ${each.join(', ')}`];
  });
  const width = Math.max(...rows.map(([, , each = '']) => each.length));
  return table(
    ['CPU µs/unit', 'all', '  each process'.padEnd(width)],
    rows.map(([name = '', all = '', each = '']) => [name, all, each.padEnd(width)]),
  );
}

function promiseTable(results: readonly ClaimResult[]): string[] {
  const rows = results.map(({ claim: { ours, theirs, min }, closest }): Row => {
    const name = closest?.name ?? theirs.join(', ');
    const found = closest ? times(closest.ratio.median) : 'not measured';
    const kept = closest && closest.ratio.median >= min ? 'kept' : 'not kept';
    return [`${ours} / ${name}`, `≥ ${min}x`, found, kept];
  });
  return table(['promise', 'at least', 'measured', ''], rows);
}

/** A panel for each kind, the fastest first. */
export function plotOf(systems: readonly System[], rates: Rates): string {
  return plotSvg(
    KINDS.flatMap((kind) => {
      const bars = systems
        .filter((system) => system.kind === kind)
        .map(({ name, isOurs }) => ({ label: name, spread: spreadOf(rates.get(name) ?? []), isOurs }))
        .sort((a, b) => b.spread.median - a.spread.median);
      return bars.length === 0 ? [] : [{ title: `${kind}, ${HEADS[kind]}`, bars }];
    }),
  );
}

/** Puts the outcome of this run in place of the last one's. */
export function intoDocs(lines: readonly string[], svg: string): void {
  writeFileSync(PLOT, svg);
  writeFileSync(PAGE, withSection(readFileSync(PAGE, 'utf8'), lines, new Date().toISOString().slice(0, 10)));
}

/** The page with these lines in its section of the peers; throws where it has none. */
export function withSection(page: string, lines: readonly string[], day: string): string {
  const [begin, end] = [page.indexOf(SECTION.begin), page.indexOf(SECTION.end)];
  if (begin < 0 || end < begin) throw new Error('docs/BENCHMARKS.md has no section of the peers');
  const text = [
    SECTION.begin,
    `Measured ${day}.`,
    '',
    '![Units and mails a second of each](benchmarks.svg)',
    '',
    '```',
    ...lines,
    '```',
    '',
  ];
  return page.slice(0, begin) + text.join('\n') + page.slice(end);
}

function pair([name, value]: [string, unknown]): string {
  return `${name} ${String(value)}`;
}

function loads(averages: readonly number[]): string {
  return fixed(averages[0] ?? 0, 1);
}
