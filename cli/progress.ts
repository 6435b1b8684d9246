/**
 * Shows an epic while it runs: bars on a terminal, otherwise a line every 10 s. Owns what is on the
 * screen; the data itself goes to stdout by `output.ts`.
 *
 * V1: progress is on stderr only, and without colours where NO_COLOR is set.
 */
import { type Epic, type EpicStatus, isOver } from '../client/index.ts';
import { GimmeError } from '../shared/core/errors.ts';
import { barLines, hintOf, newLayout, numbersOf, settledOf } from './bars.ts';
import { count, type Output, oneLine, print, span, statesLine, story } from './output.ts';
import { onStop } from './signals.ts';

const LINE_EVERY_MS = 10_000;
const DRAW_EVERY_MS = 100;

/**
 * Follows an epic to its end, showing it. Ctrl-C throws `detached`; the epic runs on. With `jsonl`
 * each state is a line on stdout, with `json` the end state is, with `text` its story.
 */
export async function watchEpic(epic: Epic, output: Output, timeoutMs?: number): Promise<EpicStatus> {
  const each = (status: EpicStatus): void => {
    if (output === 'jsonl') print(JSON.stringify(status));
  };
  const last = await followToEnd(epic, { each, ...(timeoutMs !== undefined && { timeoutMs }) });
  if (output === 'json') print(JSON.stringify(last));
  if (output === 'text') for (const line of story(last)) print(line);
  return last;
}

/** Shows an epic until its end. Ctrl-C throws `detached`, the timeout `wait_timeout`; the epic runs on. */
export async function followToEnd(
  epic: Epic,
  { each, timeoutMs }: Pick<Following, 'each'> & { timeoutMs?: number } = {},
): Promise<EpicStatus> {
  const stop = new AbortController();
  let detached = false;
  const release = onStop(() => {
    detached = true;
    stop.abort();
  });
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => stop.abort(), timeoutMs);
  let last: EpicStatus;
  try {
    last = await follow(epic, { signal: stop.signal, ...(each && { each }) });
  } finally {
    clearTimeout(timer);
    release();
  }
  if (!isOver(last.state)) throw detached ? leftRunning(last) : timedOut(last, timeoutMs ?? 0);
  return last;
}

type Following = { signal?: AbortSignal; each?: (status: EpicStatus) => void };

/** Shows an epic until its end or until `signal` fires; resolves with the last state seen. */
export async function follow(epic: Epic, { signal, each }: Following = {}): Promise<EpicStatus> {
  const view = process.stderr.isTTY && process.env['TERM'] !== 'dumb' ? barsView() : linesView();
  let last = epic.first;
  try {
    const onMaster = (state: 'gone' | 'back'): void =>
      view.note(state === 'gone' ? 'master is gone, trying again' : 'master is back');
    for await (const status of epic.watch({ onMaster, ...(signal && { signal }) })) {
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
  const done = `${count(settledOf(epic))} of ${count(epic.total)} units done`;
  return new GimmeError(
    'wait_timeout',
    `${epic.name} still runs after ${span(timeoutMs)}, ${done}; wait again or watch it`,
  );
}

type View = { show(epic: EpicStatus): void; note(line: string): void; end(epic: EpicStatus): void };

/** Bars redrawn in place. */
export function barsView(screen: Pick<NodeJS.WriteStream, 'write' | 'columns'> = process.stderr): View {
  const layout = newLayout();
  let drawn = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;
  let last: EpicStatus | undefined;
  const draw = (epic: EpicStatus, above = ''): void => {
    const lines = barLines(epic, screen.columns || 80, layout);
    const up = drawn > 0 ? `\u001b[${drawn}A\r` : '';
    screen.write(`${up}\u001b[0J${above}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
    drawnAt = performance.now();
  };
  return {
    show(epic) {
      last = epic;
      if (performance.now() - drawnAt >= DRAW_EVERY_MS) draw(epic);
    },
    note(line) {
      if (last) draw(last, `${line}\n`);
      else screen.write(`${line}\n`);
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
      const parts = [numbersOf(epic), ...statesLine(epic), hintOf(epic)].filter((part) => part !== '');
      screen.write(`${oneLine(epic.name)}: ${parts.join('  ')}\n`);
      shownAt = performance.now();
    },
    note: (line) => void screen.write(`${line}\n`),
    end() {},
  };
}
