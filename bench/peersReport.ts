/** What `peers` shows of its measurements: tables, a plot, and both in docs/. Measures nothing itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Tuning } from './peerList.ts';
import { ROOT } from './place.ts';
import { type Bar, type Panel, plotSvg } from './plot.ts';
import { type ClaimResult, type Rounds, ratioOf, times } from './ratios.ts';
import { type Spread, spreadOf } from './spread.ts';
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

/** One of those who idled until a unit came; in milliseconds. */
export type Waiter = { name: string; isOurs: boolean; runs: Spread[] };

export type Load = { before: number[]; after: number[] };

/** All that was measured. The numbers of each round: units or mails a second, milliseconds of waiting. */
export type Outcome = {
  systems: readonly System[];
  rates: Rounds;
  waiters: readonly Waiter[];
  waits: Rounds;
  results: readonly ClaimResult[];
  load: Load;
};

export const OURS = {
  nats: 'gimmework, nats + sqlite',
  ws: 'gimmework, websocket + sqlite',
  newsletter: 'gimmework newsletter',
};
const OF_KIND = { dispatch: OURS.nats, newsletter: OURS.newsletter };
const HEADS = { dispatch: 'units/s', newsletter: 'mails/s' };
const KINDS = ['dispatch', 'newsletter'] as const;

const PAGE = join(ROOT, 'docs', 'BENCHMARKS.md');
const PLOT = join(ROOT, 'docs', 'benchmarks.svg');
const SECTION = { begin: '<!-- peers: written by npm run bench:peers -- --docs -->', end: '<!-- /peers -->' };

/** The tables for people. */
export function report({ systems, rates, waiters, waits, results, load }: Outcome): string[] {
  return [
    ...KINDS.flatMap((kind) => rateTable(systems, rates, kind)),
    ...waitTable(waiters, waits),
    ...cpuTable(systems),
    ...promiseTable(results),
    '',
    ...systems
      .filter(({ tuning }) => Object.keys(tuning).length > 0)
      .map(({ name, tuning }) => `${name}: ${Object.entries(tuning).map(pair).join(', ')}`),
    `${availableParallelism()} cores, Node ${process.versions.node}, load average ${loads(load.before)} before, ${loads(load.after)} after`,
  ];
}

function rateTable(systems: readonly System[], rates: Rounds, kind: System['kind']): string[] {
  const rows = systems
    .filter((system) => system.kind === kind)
    .map(({ name }) => comparison(rates, OF_KIND[kind], name, whole));
  return comparisonTable(HEADS[kind], rows);
}

function waitTable(waiters: readonly Waiter[], waits: Rounds): string[] {
  const rows = waiters.map(({ name }) => comparison(waits, OURS.nats, name, (ms) => fixed(ms)));
  return comparisonTable('ms from submit to work', rows);
}

function comparison(rounds: Rounds, ours: string, name: string, shown: (value: number) => string): Row {
  const { median, min, max } = spreadOf(rounds.get(name) ?? []);
  const ratio = name === ours ? undefined : ratioOf(rounds, ours, name);
  const ratios = ratio ? [ratio.median, ratio.min, ratio.max].map(times) : ['', '', ''];
  return [name, ...[median, min, max].map(shown), ...ratios];
}

function comparisonTable(head: string, rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  return [...table([head, 'median', 'min', 'max', 'ours / theirs', 'min', 'max'], rows), ''];
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
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([, , each = '']) => each.length));
  const lines = table(
    ['CPU µs/unit', 'all', '  each process'.padEnd(width)],
    rows.map(([name = '', all = '', each = '']) => [name, all, each.padEnd(width)]),
  );
  return [...lines, ''];
}

function promiseTable(results: readonly ClaimResult[]): string[] {
  const rows = results.map(({ claim: { kind, ours, theirs, times: bound }, best, isKept }): Row => {
    const found = best ? times(best.ratio.median) : 'not measured';
    const name = `${kind} of ${ours} / ${best?.name ?? theirs.join(', ')}`;
    return [name, `${kind === 'rate' ? '≥' : '≤'} ${bound}x`, found, isKept ? 'kept' : 'not kept'];
  });
  return table(['promise', 'is', 'measured', ''], rows);
}

/** A panel for each kind, the best first. */
export function plotOf({ systems, rates, waiters, waits }: Outcome): string {
  const bar = (rounds: Rounds, { name, isOurs }: { name: string; isOurs: boolean }): Bar => ({
    label: name,
    spread: spreadOf(rounds.get(name) ?? []),
    isOurs,
  });
  const panels: Panel[] = KINDS.map((kind) => ({
    title: `${kind}, ${HEADS[kind]}`,
    bars: systems
      .filter((system) => system.kind === kind)
      .map((system) => bar(rates, system))
      .sort((a, b) => b.spread.median - a.spread.median),
  }));
  panels.push({
    title: 'from submit to work on an idle system, ms',
    bars: waiters.map((waiter) => bar(waits, waiter)).sort((a, b) => a.spread.median - b.spread.median),
  });
  return plotSvg(panels.filter(({ bars }) => bars.length > 0));
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
