/**
 * Shows an epic while it runs: bars on a terminal, otherwise a line every 10 s. Owns what is on the
 * screen; the data itself goes to stdout by `output.ts`.
 *
 * V1: progress is on stderr only, and without colours where NO_COLOR is set.
 */
import type { Epic, EpicStatus } from '../client/index.ts';
import { GimmeError } from '../shared/core/errors.ts';
import { count, type Output, oneLine, print, span, story } from './output.ts';
import { onStop } from './signals.ts';

const BAR_CELLS_MAX = 24;
const BAR_CELLS_MIN = 6;
const LINE_EVERY_MS = 10_000;
const DRAW_EVERY_MS = 100;

/**
 * Follows an epic to its end, showing it. Ctrl-C throws `detached`; the epic runs on. With `jsonl`
 * each state is a line on stdout, with `json` the end state is, with `text` its story.
 */
export async function watchEpic(epic: Epic, output: Output, timeoutMs?: number): Promise<EpicStatus> {
  const stop = new AbortController();
  let detached = false;
  const release = onStop(() => {
    detached = true;
    stop.abort();
  });
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => stop.abort(), timeoutMs);
  let last: EpicStatus;
  try {
    last = await follow(epic, {
      signal: stop.signal,
      each: (status) => {
        if (output === 'jsonl') print(JSON.stringify(status));
      },
    });
  } finally {
    clearTimeout(timer);
    release();
  }
  if (last.state === 'running') throw detached ? leftRunning(last) : timedOut(last, timeoutMs ?? 0);
  if (output === 'json') print(JSON.stringify(last));
  if (output === 'text') for (const line of story(last)) print(line);
  return last;
}

type Following = { signal?: AbortSignal; each?: (status: EpicStatus) => void };

/** Shows an epic until its end or until `signal` fires; resolves with the last state seen. */
export async function follow(epic: Epic, { signal, each }: Following = {}): Promise<EpicStatus> {
  const view = process.stderr.isTTY && process.env['TERM'] !== 'dumb' ? barsView() : linesView();
  let last = epic.first;
  try {
    for await (const status of epic.watch(signal === undefined ? {} : { signal })) {
      last = status;
      view.show(status);
      each?.(status);
    }
  } finally {
    view.end(last);
  }
  return last;
}

function leftRunning(epic: EpicStatus): GimmeError {
  return new GimmeError('detached', `detached; ${epic.name} runs on. Follow it: gimme epic watch ${epic.id}`);
}

function timedOut(epic: EpicStatus, timeoutMs: number): GimmeError {
  const done = `${count(settled(epic))} of ${count(epic.total)} units done`;
  return new GimmeError(
    'wait_timeout',
    `${epic.name} still runs after ${span(timeoutMs)}, ${done}; wait again or watch it`,
  );
}

type View = { show(epic: EpicStatus): void; end(epic: EpicStatus): void };

/** Bars redrawn in place. */
export function barsView(screen: NodeJS.WriteStream = process.stderr): View {
  let drawn = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;
  const draw = (epic: EpicStatus): void => {
    const lines = barLines(epic, screen.columns || 80);
    const up = drawn > 0 ? `\u001b[${drawn}A\r` : '';
    screen.write(`${up}\u001b[0J${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
    drawnAt = performance.now();
  };
  return {
    show(epic) {
      if (performance.now() - drawnAt >= DRAW_EVERY_MS) draw(epic);
    },
    end: draw,
  };
}

/** One line now and then, for logs. */
export function linesView(screen: Pick<NodeJS.WriteStream, 'write'> = process.stderr): View {
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    show(epic) {
      if (performance.now() - shownAt < LINE_EVERY_MS) return;
      screen.write(`${oneLine(epic.name)}: ${sendLine(epic)}${hint(epic)}\n`);
      shownAt = performance.now();
    },
    end() {},
  };
}

/** A bar per step; the last one carries the numbers of the whole. No line is wider than `columns`. */
export function barLines(epic: EpicStatus, columns = 100): string[] {
  const names = Object.keys(epic.steps);
  const last = names.pop() ?? 'units';
  const width = Math.max(...names.map((name) => name.length), last.length);
  const total = Math.max(epic.total, epic.totals.read);
  const numbers = sendLine(epic);
  const cells = Math.max(BAR_CELLS_MIN, Math.min(BAR_CELLS_MAX, columns - width - numbers.length - 3));
  const line = (name: string, done: number, text: string): string =>
    `${oneLine(name).padEnd(width)} ${bar(done, total, cells)} ${text}`;
  const lines = names.map((name) => {
    // A unit that ran again counts twice in a worker's counters.
    const done = Math.min(total, through(epic, name));
    return line(name, done, `${count(done)}/${count(total)}`);
  });
  lines.push(line(last, settled(epic), numbers));
  const why = hint(epic);
  if (why !== '') lines.push(`${' '.repeat(width)} ${why.trim()}`);
  return lines.map((text) => text.slice(0, columns - 1));
}

/**
 * Units that went through a step. Workers' counters come late; that a unit is settled is known at
 * once, and what was run and settled went through every step, but for those that failed before.
 */
function through(epic: EpicStatus, name: string): number {
  const { succeeded, failed, unknown } = epic.totals;
  let run =
    succeeded + failed + unknown - (epic.faults['invalid_unit'] ?? 0) - (epic.faults['unit_too_large'] ?? 0);
  for (const [step, counters] of Object.entries(epic.steps)) {
    if (step === name) return Math.max(run, counters.done + counters.failed);
    run -= counters.failed;
  }
  return run;
}

function sendLine(epic: EpicStatus): string {
  const { totals, rate, etaMs } = epic;
  const retried = Object.values(epic.steps).reduce((sum, step) => sum + step.retried, 0);
  const parts = [
    `${count(settled(epic)).padStart(count(epic.total).length)}/${epic.totalExact ? '' : '~'}${count(epic.total)}`,
    `${count(rate)}/s`,
    `ok ${count(totals.succeeded)}`,
    `failed ${count(totals.failed)}`,
    ...(totals.unknown > 0 ? [`unknown ${count(totals.unknown)}`] : []),
    ...(retried > 0 ? [`retried ${count(retried)}`] : []),
    ...(etaMs === undefined || epic.state !== 'running' ? [] : [`eta ${span(etaMs)}`]),
  ];
  return parts.join('  ');
}

function hint(epic: EpicStatus): string {
  return epic.state === 'running' && epic.bottleneck !== '' ? `  ${oneLine(epic.bottleneck)}` : '';
}

function settled(epic: EpicStatus): number {
  return epic.totals.read - epic.totals.outstanding;
}

function bar(done: number, total: number, cells: number): string {
  const filled = total === 0 ? cells : Math.min(cells, Math.floor((done / total) * cells));
  return '█'.repeat(filled) + '░'.repeat(cells - filled);
}
