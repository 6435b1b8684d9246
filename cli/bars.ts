/**
 * The bars and numbers of an epic that runs, as lines. Owns how they are laid out; `progress.ts` puts them on a
 * screen and knows when.
 *
 * B1: a bar is full only when there is nothing left to do: never while the total is not known.
 * B2: what is only estimated is shown rounded, and a column never becomes narrower while one screen lives.
 */
import { type EpicStatus, isOver } from '../client/index.ts';
import { count, oneLine, span, statesLine } from './output.ts';

/** Codes of units that reached no step. */
const NEVER_RUN = ['invalid_unit', 'unit_too_large', 'unclosed_quote'];
const BAR_CELLS_MAX = 24;
const BAR_CELLS_MIN = 6;

/** How wide things have been so far (B2). */
export type Layout = { widths: Map<string, number>; cells: number };

export function newLayout(): Layout {
  return { widths: new Map(), cells: BAR_CELLS_MAX };
}

/** A bar per step; the last one carries the numbers of the whole. No line is wider than `columns`. */
export function barLines(epic: EpicStatus, columns = 100, layout = newLayout()): string[] {
  const names = Object.keys(epic.steps);
  const last = names.pop() ?? 'units';
  const width = Math.max(...names.map((name) => name.length), last.length);
  const total = totalOf(epic);
  const numbers = numbersOf(epic, layout);
  const room = Math.min(layout.cells, columns - width - numbers.length - 3);
  layout.cells = Math.max(BAR_CELLS_MIN, room);
  const line = (name: string, done: number, text: string): string =>
    `${oneLine(name).padEnd(width)} ${bar(epic, done, layout.cells)} ${text}`;
  const lines = names.map((name) => {
    // A unit that ran again counts twice in a worker's counters.
    const done = Math.min(total, through(epic, name));
    return line(name, done, shareOf(epic, done, layout));
  });
  lines.push(line(last, settledOf(epic), numbers));
  lines.push(...statesLine(epic).map((text) => `${' '.repeat(width)} ${text}`));
  const why = hintOf(epic);
  if (why !== '') lines.push(`${' '.repeat(width)} ${why}`);
  return lines.map((text) => (text.length < columns ? text : `${text.slice(0, Math.max(0, columns - 2))}…`));
}

/** How far the whole is, in one line; parts that say nothing now are left out. */
export function numbersOf(epic: EpicStatus, layout = newLayout()): string {
  const { totals, rate, etaMs } = epic;
  const isRunning = !isOver(epic.state);
  const isMoving = isRunning && epic.workers > 0;
  const retried = Object.values(epic.steps).reduce((sum, step) => sum + step.retried, 0);
  const parts: [string, string][] = [['share', shareOf(epic, settledOf(epic), layout)]];
  if (isMoving || (!isRunning && rate > 0)) parts.push(['rate', `${count(rate)}/s`]);
  parts.push(['ok', `ok ${count(totals.succeeded)}`], ['failed', `failed ${count(totals.failed)}`]);
  if (totals.unknown > 0) parts.push(['unknown', `unknown ${count(totals.unknown)}`]);
  if (retried > 0) parts.push(['retried', `retried ${count(retried)}`]);
  if (isMoving && etaMs !== undefined) parts.push(['eta', `eta ${span(etaMs)}`]);
  return parts
    .map(([name, text]) => grown(layout, name, text, name === 'rate' ? 'right' : 'left'))
    .join('  ')
    .trimEnd();
}

/** What a running epic waits for; empty where there is nothing to say. */
export function hintOf(epic: EpicStatus): string {
  return !isOver(epic.state) ? oneLine(epic.bottleneck) : '';
}

export function settledOf(epic: EpicStatus): number {
  return epic.totals.read - epic.totals.outstanding;
}

/** `8,012/10,000`, `  512/~20,000`, or only `512` where nothing is known of the total. */
function shareOf(epic: EpicStatus, done: number, layout: Layout): string {
  const total = totalOf(epic);
  if (!epic.totalExact && total === 0) return grown(layout, 'done', count(done), 'right');
  const of = `${epic.totalExact ? '' : '~'}${count(total)}`;
  const width = count(total).length;
  return `${grown(layout, 'done', count(done).padStart(width), 'right')}/${of}`;
}

/** B2: two digits of an estimate are as many as it is worth. */
function totalOf(epic: EpicStatus): number {
  const total = Math.max(epic.total, epic.totals.read);
  if (epic.totalExact) return total;
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, total))) - 1);
  return Math.max(Math.round(total / step) * step, epic.totals.read);
}

function grown({ widths }: Layout, name: string, text: string, side: 'left' | 'right' = 'left'): string {
  const width = Math.max(widths.get(name) ?? 0, text.length);
  widths.set(name, width);
  return side === 'right' ? text.padStart(width) : text.padEnd(width);
}

/**
 * Units that went through a step. Workers' counters come late; that a unit is settled is known at
 * once, and what was run and settled went through every step, but for those that failed before.
 */
function through(epic: EpicStatus, name: string): number {
  const { succeeded, failed, unknown } = epic.totals;
  let run = succeeded + failed + unknown - NEVER_RUN.reduce((sum, code) => sum + (epic.faults[code] ?? 0), 0);
  for (const [step, counters] of Object.entries(epic.steps)) {
    if (step === name) return Math.max(run, counters.done + counters.failed);
    run -= counters.failed;
  }
  return run;
}

/** B1 */
function bar(epic: EpicStatus, done: number, cells: number): string {
  const total = totalOf(epic);
  const empty = isOver(epic.state) ? cells : 0;
  const filled = total === 0 ? empty : Math.min(cells, Math.floor((done / total) * cells));
  return '█'.repeat(filled) + '░'.repeat(cells - filled);
}
