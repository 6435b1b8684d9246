/**
 * One run of chaos: a real master, real workers and a real mail server, and a newsletter that goes out while
 * they are killed and stopped by plan. The mail server is the witness and is never touched. It makes no
 * judgement: what happened goes to the checker as a `Story`.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { unreachable } from '../../shared/core/errors.ts';
import type { EpicStatus } from '../../shared/protocol/api.ts';
import { type Cluster, WATCHED } from '../processes/cluster.ts';
import { Mails } from '../processes/mails.ts';
import { type Note, readNotes } from '../processes/notes.ts';
import { lastingPort } from '../processes/port.ts';
import { type Kept, keepRecords, readKept } from './kept.ts';
import { LineCount } from './lines.ts';
import { Looks } from './looks.ts';
import { type Done, Member } from './member.ts';
import type { ChaosEffect, ChaosOptions } from './options.ts';
import { type Fault, planOf } from './plan.ts';
import { writeRecipients } from './recipients.ts';
import { Server } from './server.ts';

export type Story = {
  epic: string;
  units: number;
  effect: ChaosEffect;
  leaseMs: number;
  planned: number;
  done: Done[];
  /** Faults that were made while an epic ran. */
  during: number;
  /** The session of each worker process. */
  sessions: ReadonlyMap<number, string>;
  /** Ends that nobody gave. */
  unexpected: string[];
  looks: Looks;
  mails: Mails;
  /** What the workers noted just before each send. */
  sends: Note[];
  kept: Kept[];
  final: EpicStatus;
  /** What a master that was killed and started again after the end says. */
  again: EpicStatus;
  tookMs: number;
};

const LOOK_MS = 10;
/** No mail and no settled unit for this long: it will never end. */
const STUCK_MS = 60_000;
const SLOTS = 16;
/** Little is read before it is wanted, so that much is left to read after a crash. */
const LOOK_AHEAD = 256;

export async function play(
  cluster: Cluster,
  options: ChaosOptions,
  say: (line: string) => void,
): Promise<Story[]> {
  const { units, effects } = options;
  const stage = await setUp(cluster, options);
  const { master, workers, server, done, unexpected, stub } = stage;
  const list = await writeRecipients(cluster.path('recipients.csv'), units);
  const epics: { effect: ChaosEffect; epic: string; looks: Looks }[] = [];
  for (const effect of effects) {
    const epic = await cluster.submit(list, `newsletter-${effect}`);
    epics.push({ effect, epic, looks: new Looks(cluster.url, epic) });
  }
  const startedMs = performance.now();
  const mails = new LineCount(stub.report);
  const looks = epics.map((it) => it.looks);
  const progress = new Progress(mails, looks, unexpected);
  const over = (): boolean => looks.every(({ last }) => last !== undefined && last.state !== 'running');
  const plan = planOf(options.seed, options.kills, options.stops, options.leaseMs);
  let during = 0;
  for (const fault of plan) {
    await progress.until(() => mails.count() >= fault.share * units * effects.length || over());
    await pause(fault.afterMs);
    await make(fault, stage, progress);
    if (!over()) during += 1;
    say(`${fault.what} ${fault.whom} at ${mails.count()} mails`);
  }
  await progress.until(over);
  const tookMs = performance.now() - startedMs;
  await server?.ready();
  await progress.until(() => workers.every((worker) => worker.isReady) && master.isReady);
  const made = [...done];
  const finals = await Promise.all(epics.map(({ epic }) => cluster.status(epic)));
  await master.kill();
  await progress.until(() => master.isReady);
  await Promise.all(looks.map((it) => it.stop()));
  const agains = await Promise.all(epics.map(({ epic }) => cluster.status(epic)));
  // What a worker still sends is part of the story, so they end before the mail server does.
  await Promise.all(workers.map((worker) => worker.end()));
  await master.end();
  const sent = await stub.close();
  const kept = readKept(cluster.path('data'));
  return epics.map((it, i) => ({
    ...it,
    units,
    leaseMs: options.leaseMs,
    planned: plan.length,
    done: made,
    during,
    sessions: stage.sessions,
    unexpected,
    mails: new Mails(sent.all.filter((mail) => mail.epic === it.epic)),
    sends: readNotes(cluster.path(`sends-${it.effect}.txt`)),
    kept,
    final: finals[i] as EpicStatus,
    again: agains[i] as EpicStatus,
    tookMs,
  }));
}

type Stage = Awaited<ReturnType<typeof setUp>>;

async function setUp(cluster: Cluster, options: ChaosOptions) {
  const { leaseMs, retryFirstMs, workers: count } = options;
  const heartbeatMs = Math.round(leaseMs / 6);
  const settings = { leaseMs, heartbeatMs, lookAheadUnits: LOOK_AHEAD };
  const port = await lastingPort();
  const nats = options.link === 'nats' ? await cluster.nats() : undefined;
  const link = nats === undefined ? {} : { nats: nats.url };
  const start = () => cluster.durableMaster(port, settings, link);
  const [stub, first] = await Promise.all([
    cluster.stub('--defer', '2%', '--reject', '1%'),
    cluster.ready(start()),
  ]);
  await first.end('SIGTERM');
  keepRecords(cluster.path('data'));
  const done: Done[] = [];
  const unexpected: string[] = [];
  const sessions = new Map<number, string>();
  const onDone = (it: Done) => void done.push(it);
  const noting = { onDone, onUnexpected: (story: string) => void unexpected.push(story) };
  const master = new Member({ whom: 'master', start, ready: /^master +(http:\S+)/, ...noting });
  const work = () =>
    cluster.workerWith({
      works: [WATCHED],
      slots: SLOTS,
      heartbeatMs,
      smtp: stub.url,
      retryFirstMs,
      ...link,
    });
  const onReady = (pid: number, session: string) => void sessions.set(pid, session);
  const workers = Array.from(
    { length: count },
    () => new Member({ whom: 'worker', start: work, ready: /worker ready id=(\S+)/, onReady, ...noting }),
  );
  for (const member of [master, ...workers]) {
    if (!(await member.ready())) throw new Error(`a process did not start:\n${unexpected.join('\n')}`);
  }
  const server = nats && new Server(nats, onDone);
  return { stub, master, workers, server, sessions, done, unexpected };
}

async function make(fault: Fault, { master, workers, server }: Stage, progress: Progress): Promise<void> {
  let victim: Member | Server | undefined;
  switch (fault.whom) {
    case 'master':
      if (!fault.early) await progress.until(() => master.isReady);
      victim = master;
      break;
    case 'worker': {
      await progress.until(() => workers.some((worker) => worker.isReady));
      const ready = workers.filter((worker) => worker.isReady);
      victim = ready[Math.floor(fault.lot * ready.length)];
      break;
    }
    case 'nats':
      await server?.ready();
      victim = server;
      break;
    default:
      unreachable(fault.whom);
  }
  if (fault.what === 'stop') await victim?.stop(fault.awayMs);
  else await victim?.kill(fault.awayMs);
}

/** Waits as long as mails go out or units settle; then it gives up. */
class Progress {
  readonly #mails: LineCount;
  readonly #looks: readonly Looks[];
  readonly #unexpected: readonly string[];

  constructor(mails: LineCount, looks: readonly Looks[], unexpected: readonly string[]) {
    this.#mails = mails;
    this.#looks = looks;
    this.#unexpected = unexpected;
  }

  async until(holds: () => boolean): Promise<void> {
    let stand = '';
    let sinceMs = performance.now();
    while (!holds()) {
      if (this.#unexpected.length > 0) throw new Error(this.#unexpected.join('\n'));
      const totals = this.#looks.map(({ last }) => JSON.stringify(last?.totals));
      const now = `${this.#mails.count()} mails, ${totals.join(' and ')}`;
      if (now !== stand) sinceMs = performance.now();
      stand = now;
      if (performance.now() - sinceMs > STUCK_MS) {
        const why = this.#looks.map(({ last }) => last?.bottleneck);
        throw new Error(`stuck at ${stand}: ${why.join(' and ')}`);
      }
      await pause(LOOK_MS);
    }
  }
}
