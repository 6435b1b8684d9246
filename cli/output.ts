/**
 * What the command line writes: data to stdout, everything else to stderr. Owns the words and numbers
 * of an epic as a person reads them; it follows nothing and asks nothing.
 */
import { arithmetic, count } from '../shared/core/arithmetic.ts';
import { ERRORS, type ErrorCode } from '../shared/core/errors.ts';
import { LEASE_MS } from '../shared/core/limits.ts';
import { type EpicStatus, isOver } from '../shared/protocol/api.ts';

export { arithmetic, count } from '../shared/core/arithmetic.ts';

export type Output = 'text' | 'json' | 'jsonl';

/** Control characters that would move a terminal's cursor or forge a line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/** Characters of a text in a table. */
const CELL_CHARS_MAX = 80;

/** Writes one line of data. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes one line to the person. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Makes any text one harmless line. */
export function oneLine(text: string): string {
  return text.replace(UNSAFE, ' ').trim();
}

/** One line that is not too long for a table. */
export function cut(text: string): string {
  const line = oneLine(text);
  return line.length > CELL_CHARS_MAX ? `${line.slice(0, CELL_CHARS_MAX - 1)}…` : line;
}

/** `0.4s`, `7.4s`, `3m 12s`, `2h 5m`. */
export function span(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${Math.floor(seconds % 60)}s`;
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

/** What a person must know of the store. */
export function storeWords(store: string): string {
  return store === 'memory' ? 'memory (not durable yet)' : store;
}

/** Exit code that an epic's end stands for; a running one is 0. */
export function exitCodeOf(epic: EpicStatus): number {
  switch (epic.state) {
    case 'failed':
    case 'cancelled':
      return ERRORS.epic_failed.exit;
    case 'finished': {
      const { failed, unknown, missing } = epic.totals;
      return failed + unknown + missing > 0 ? ERRORS.epic_incomplete.exit : 0;
    }
    case 'running':
    case 'scattering':
    case 'folding':
      return 0;
    default:
      return epic.state satisfies never;
  }
}

/** How an epic stands, in lines. */
export function story(epic: EpicStatus): string[] {
  return [headline(epic), `  ${arithmetic(epic.totals)}`, ...closingLines(epic), ...faultLines(epic)];
}

/** Whether an epic was cancelled and what had begun may still report how it ended. */
export function isClosing(epic: EpicStatus): boolean {
  return !isOver(epic.state) && epic.reason !== undefined;
}

function closingLines(epic: EpicStatus): string[] {
  if (!isClosing(epic) || epic.gather) return [];
  const { cancelled, missing, outstanding } = epic.totals;
  const patience = `for at most ${span(LEASE_MS)}`;
  const parts = [
    ...(cancelled > 0 ? [`${count(cancelled)} units are cancelled`] : []),
    ...(missing > 0 ? [`${count(missing)} units are missing`] : []),
    ...(outstanding > 0
      ? [`${count(outstanding)} on workers may still report how they ended, ${patience}`]
      : []),
    ...(epic.totalExact ? [] : ['the rest of the source is being counted']),
  ];
  return parts.length > 0 ? [`  ${parts.join('; ')}`] : [];
}

/** Everything `epic get` shows. */
export function details(epic: EpicStatus): string[] {
  const total = epic.totalExact ? count(epic.total) : `about ${count(epic.total)}`;
  const steps = Object.entries(epic.steps).map(
    ([name, step]) =>
      `${name} ${count(step.done)} done, ${count(step.failed)} failed, ${count(step.retried)} retried`,
  );
  return [
    ...story(epic),
    `  id ${epic.id}   work ${epic.work}   units ${total}   submitted ${epic.submittedAt}`,
    ...(epic.retryOf === undefined ? [] : [`  retry of ${epic.retryOf}`]),
    ...gatherLines(epic),
    ...(epic.deadlineAt === undefined ? [] : [`  deadline ${epic.deadlineAt}`]),
    ...(steps.length > 0 ? [`  steps: ${steps.join('; ')}`] : []),
    ...statesLine(epic).map((line) => `  ${line}`),
    ...(!isOver(epic.state) ? [`  ${running(epic)}`, ...waiting(epic)] : []),
  ];
}

/** How many units wait at which step, where that says more than how many are outstanding. */
export function statesLine({ states = {} }: EpicStatus): string[] {
  const waiting = Object.entries(states);
  if (waiting.slice(1).every(([, units]) => units === 0)) return [];
  return [`wait for: ${waiting.map(([step, units]) => `${step} ${count(units)}`).join(', ')}`];
}

function gatherLines({ gather, state }: EpicStatus): string[] {
  if (!gather) return [];
  const { deadlineAt, items, responses, late } = gather;
  const until = isOver(state)
    ? `took answers until ${deadlineAt} at the latest`
    : `takes answers until ${deadlineAt}`;
  const of = items === undefined ? '' : ` of ${count(items)}`;
  return [`  ${until}; ${count(responses)}${of} so far, ${count(late)} too late`];
}

/** A table with a head line and aligned columns; numbers to the right. */
export function table(head: string[], rows: string[][]): string[] {
  const all = [head, ...rows].map((row) => row.map(oneLine));
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const isNumber = head.map((_, i) => rows.length > 0 && rows.every((row) => /^[\d,.]+$/.test(row[i] ?? '')));
  const cell = (text: string, i: number): string =>
    isNumber[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0);
  return all.map((row) => row.map(cell).join('  ').trimEnd());
}

/** What to do about an error, from the table. */
export function nextOf(code: ErrorCode): string {
  return ERRORS[code].next;
}

function headline(epic: EpicStatus): string {
  const name = oneLine(epic.name);
  switch (epic.state) {
    case 'running':
    case 'scattering':
    case 'folding':
      if (isClosing(epic)) return `… ${name} ${closingWords(epic)}: ${oneLine(epic.reason ?? '')}`;
      return epic.paused === undefined
        ? `… ${name} is ${epic.state}`
        : `‖ ${name} is paused: ${oneLine(epic.paused)}`;
    case 'finished':
      return `✓ ${name} finished${lasted(epic)}`;
    case 'failed':
    case 'cancelled':
      return `✗ ${name} ${epic.state}${lasted(epic)}${whyOver(epic)}`;
    default:
      return epic.state satisfies never;
  }
}

/** What has a deadline closes at it, a gather with enough answers, too. */
function closingWords({ gather, deadlineAt, totals }: EpicStatus): string {
  if (gather) return 'takes no more answers';
  return deadlineAt !== undefined && totals.cancelled === 0 ? 'is being ended' : 'is being cancelled';
}

function whyOver({ reason, fault }: EpicStatus): string {
  if (fault) return `: ${oneLine(`${fault.code}: ${fault.message}`)}`;
  return reason ? `: ${oneLine(reason)}` : '';
}

function lasted(epic: EpicStatus): string {
  const ms = Date.parse(epic.finishedAt ?? '') - Date.parse(epic.submittedAt);
  return Number.isFinite(ms) ? ` in ${span(ms)}` : '';
}

function running(epic: EpicStatus): string {
  const eta = epic.etaMs === undefined ? '' : `   eta ${span(epic.etaMs)}`;
  const speed = epic.workers === 0 ? '' : `${count(epic.rate)}/s${eta}   `;
  const held = `${count(epic.leased)} on workers, ${count(epic.delayed)} waiting for a retry`;
  return `${speed}${held}   ${epic.workers === 1 ? '1 worker' : `${count(epic.workers)} workers`}`;
}

function waiting(epic: EpicStatus): string[] {
  return epic.bottleneck === '' ? [] : [`  ${oneLine(epic.bottleneck)}`];
}

function faultLines(epic: EpicStatus): string[] {
  const faults = Object.entries(epic.faults).map(([code, n]) => `${oneLine(code)} ${count(n)}`);
  if (faults.length === 0) return [];
  const examples = (epic.examples ?? []).map(({ record, code, message }) => {
    const named = message.startsWith('record ') ? '' : `record ${record}: `;
    return `    ${oneLine(code)}  ${named}${oneLine(message)}`;
  });
  return [`  failed or unknown by code: ${faults.join(', ')}`, ...examples];
}
