/** `gimme status`: how a master and what hangs on it stand, on one screen. Exit 1 when the master is not ready. */
import type { Command } from 'commander';
import { Client, type EpicStatus, type Master, type Readiness, type Worker } from '../../client/index.ts';
import { ERRORS } from '../../shared/core/errors.ts';
import { readConfig } from '../../shared/io/config.ts';
import { addSettings, example } from '../options.ts';
import { arithmetic, count, oneLine, print, storeWords, table } from '../output.ts';
import { CLIENT } from '../settings.ts';

const EPICS_SHOWN = 5;
const QUEUES_SHOWN = 3;

type Queue = Master['queues'][string] & { name: string };
export type Status = {
  url: string;
  readiness: Readiness;
  master: Omit<Master, 'queues'> | undefined;
  workers: Record<Worker['state'], number> & { slots: number; held: number };
  /** The newest running ones; `master.epics` counts all. */
  epics: EpicStatus[];
  /** Fullest first. */
  queues: Queue[];
  metrics: string;
};

/** What one look at a master brought. */
export type Look = { status: Status; workers: Worker[] };

export function addStatus(program: Command, ended: (exitCode: number) => void): void {
  const command = program
    .command('status')
    .summary('show how a master, its workers, epics and queues stand')
    .description('Shows all on one screen. Exits 1 when the master is not ready or does not answer.');
  addSettings(command, CLIENT);
  example(command, 'gimme status --master http://127.0.0.1:7171');
  command.action(async (flags: Record<string, unknown>) => ended(await run(flags)));
}

async function run(flags: Record<string, unknown>): Promise<number> {
  const { master: url, output } = readConfig(CLIENT, flags);
  const { status } = await lookAt(new Client({ master: url }), EPICS_SHOWN);
  if (output !== 'text') print(JSON.stringify(status));
  else for (const line of screen(status)) print(line);
  return status.readiness.ready ? 0 : ERRORS.master_unreachable.exit;
}

/** Asks a master for all that its status shows, with at most so many of its running epics. */
export async function lookAt(client: Client, epicsMax: number): Promise<Look> {
  const [readiness, [master], workers, { epics }] = await Promise.all([
    client.readiness(),
    client.masters(),
    client.workers(),
    client.epics({ state: 'running', limit: epicsMax }),
  ]);
  const { queues = {}, ...rest } = master ?? {};
  const counted = { ready: 0, draining: 0, suspect: 0, slots: 0, held: 0 };
  for (const worker of workers) {
    counted[worker.state] += 1;
    counted.slots += worker.slots;
    counted.held += worker.held;
  }
  const fullest = Object.entries(queues).map(([name, queue]) => ({ name, ...queue }));
  fullest.sort((a, b) => fullness(b) - fullness(a) || a.name.localeCompare(b.name));
  const status = {
    url: client.master,
    readiness,
    master: master && (rest as Omit<Master, 'queues'>),
    workers: counted,
    epics,
    queues: fullest,
    metrics: `${client.master}/metrics`,
  };
  return { status, workers };
}

/** How full a queue has been at most, as a share of its limit. */
function fullness({ max, limit }: Queue): number {
  return limit === 0 ? 0 : max / limit;
}

/** The screen, line by line. */
export function screen({ url, readiness, master, workers, epics, queues, metrics }: Status): string[] {
  const running = master?.epics ?? epics.length;
  return [
    masterLine({ url, readiness, master }),
    workersLine(workers),
    `epics    ${count(running)} running`,
    ...epics.flatMap((epic) => [`  … ${oneLine(epic.name)} (${epic.id})`, `    ${arithmetic(epic.totals)}`]),
    ...(running > epics.length
      ? [`  and ${count(running - epics.length)} more: gimme epic ls --state running`]
      : []),
    ...queueLines(queues),
    `metrics  ${metrics}`,
  ];
}

export function masterLine({ url, readiness, master }: Pick<Status, 'url' | 'readiness' | 'master'>): string {
  const who = master ? [`id ${master.id}   term ${master.term}   store ${storeWords(master.store)}`] : [];
  const link = master ? [`link ${linkWords(master.link)}`] : [];
  const state = readiness.ready ? 'ready' : `NOT READY: ${oneLine(readiness.reason)}`;
  return [`master   ${url}   ${state}`, ...who, ...link].join('   ');
}

export function workersLine({ ready, draining, suspect, slots, held }: Status['workers']): string {
  const states = `${count(ready)} ready, ${count(draining)} draining, ${count(suspect)} suspect`;
  return `workers  ${states}   ${count(slots)} slots, ${count(held)} units held`;
}

function queueLines(queues: Queue[]): string[] {
  if (queues.length === 0) return ['queues   nothing was queued yet'];
  const rows = queues
    .slice(0, QUEUES_SHOWN)
    .map((queue) => [
      ...[queue.name, count(queue.depth), count(queue.max), count(queue.limit)],
      `${(fullness(queue) * 100).toFixed(1)}%`,
    ]);
  const lines = table(['NAME', 'DEPTH', 'MOST', 'LIMIT', 'FULLEST'], rows);
  return [`queues   the fullest of ${queues.length}`, ...lines.map((line) => `  ${line}`)];
}

/** The name of a link as `gimme master` prints it. */
function linkWords(link: string): string {
  return link === 'ws' ? 'websocket' : link;
}
