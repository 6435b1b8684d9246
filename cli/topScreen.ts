/** What `gimme top` shows of one look at a master: whole screens for a terminal, one line for a log. */
import type { EpicStatus, Worker } from '../client/index.ts';
import { settledOf } from './bars.ts';
import { type Look, masterLine, workersLine } from './commands/status.ts';
import { count, oneLine, span, table } from './output.ts';

const EPICS_HEAD = [
  'EPIC',
  'WORK',
  'DONE',
  'OF',
  '%',
  'RATE',
  'ETA',
  'FAILED',
  'UNKNOWN',
  'HELD',
  'WAITS FOR',
];
const WORKERS_HEAD = ['WORKER', 'STATE', 'SLOTS', 'HELD', 'WORKS', 'HEARD'];
/** Master, workers, an empty line before each table, their heads, the last line, and the one of the cursor. */
const FIXED_LINES = 8;

/** The screen in at most `rows` lines of less than `columns`; epics have the room before workers. */
export function topLines({ status, workers }: Look, columns: number, rows: number): string[] {
  const room = Math.max(2, rows - FIXED_LINES);
  const epics = status.epics.slice(0, Math.max(1, room - Math.min(workers.length, Math.floor(room / 3))));
  const shown = busiest(workers).slice(0, Math.max(1, room - epics.length));
  const running = status.master?.epics ?? status.epics.length;
  const lines = [
    masterLine(status),
    workersLine(status.workers),
    '',
    ...table(EPICS_HEAD, epics.map(epicRow)),
    '',
    ...table(WORKERS_HEAD, shown.map(workerRow)),
    `epics ${epics.length} of ${count(running)}, workers ${shown.length} of ${workers.length}   q quits`,
  ];
  return lines.map((line) => (line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`));
}

/** The same in one line. */
export function topLine({ status }: Look): string {
  const { master, workers, epics, readiness } = status;
  const rate = epics.reduce((sum, epic) => sum + epic.rate, 0);
  const outstanding = epics.reduce((sum, epic) => sum + epic.totals.outstanding, 0);
  return [
    readiness.ready ? 'ready' : `NOT READY: ${oneLine(readiness.reason)}`,
    `epics ${count(master?.epics ?? epics.length)} running`,
    `${count(rate)}/s`,
    `outstanding ${count(outstanding)}`,
    `workers ${count(workers.ready)} ready, ${count(workers.held)} units held`,
  ].join('   ');
}

function epicRow(epic: EpicStatus): string[] {
  const { totals, total, totalExact, rate, etaMs, leased, bottleneck } = epic;
  const done = settledOf(epic);
  return [
    ...[epic.name, epic.work, count(done), `${totalExact ? '' : '~'}${count(total)}`],
    total === 0 ? '-' : String(Math.min(100, Math.floor((done / total) * 100))),
    epic.workers === 0 ? '-' : `${count(rate)}/s`,
    etaMs === undefined || epic.workers === 0 ? '-' : span(etaMs),
    ...[totals.failed, totals.unknown, leased].map(count),
    bottleneck,
  ];
}

function workerRow({ name, state, slots, held, works, lastHeardMs }: Worker): string[] {
  return [name, state, count(slots), count(held), works.join(','), `${span(lastHeardMs)} ago`];
}

function busiest(workers: readonly Worker[]): Worker[] {
  return workers.toSorted((a, b) => b.held - a.held || a.name.localeCompare(b.name));
}
