/**
 * One run of chaos: a real master, real workers and a real mail server, and a newsletter that goes out while
 * they are killed and stopped by plan. The mail server is the witness and is never touched. It makes no
 * judgement: what happened goes to the checker as a `Story`.
 */
import { setTimeout as pause } from 'node:timers/promises';
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

export type Story = {
  epic: string;
  units: number;
  effect: ChaosEffect;
  planned: number;
  done: Done[];
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
  const { master, workers, done, unexpected, stub } = stage;
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
  for (const fault of plan) {
    await progress.until(() => mails.count() >= fault.share * units * effects.length || over());
    await pause(fault.afterMs);
    await make(fault, master, workers, progress);
    say(`${fault.what} ${fault.whom} at ${mails.count()} mails`);
  }
  await progress.until(over);
  const tookMs = performance.now() - startedMs;
  await progress.until(() => workers.every((worker) => worker.isReady) && master.isReady);
  const during = [...done];
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
    planned: plan.length,
    done: during,
    unexpected,
    mails: new Mails(sent.all.filter((mail) => mail.epic === it.epic)),
    sends: readNotes(cluster.path(`sends-${it.effect}.txt`)),
    kept,
    final: finals[i] as EpicStatus,
    again: agains[i] as EpicStatus,
    tookMs,
  }));
}

async function setUp(cluster: Cluster, { leaseMs, retryFirstMs, workers: count }: ChaosOptions) {
  const heartbeatMs = Math.round(leaseMs / 6);
  const settings = { leaseMs, heartbeatMs, lookAheadUnits: LOOK_AHEAD };
  const port = await lastingPort();
  const [stub, first] = await Promise.all([
    cluster.stub('--defer', '2%', '--reject', '1%'),
    cluster.ready(cluster.durableMaster(port, settings)),
  ]);
  await first.end('SIGTERM');
  keepRecords(cluster.path('data'));
  const done: Done[] = [];
  const unexpected: string[] = [];
  const noting = {
    onDone: (it: Done) => void done.push(it),
    onUnexpected: (story: string) => void unexpected.push(story),
  };
  const start = () => cluster.durableMaster(port, settings);
  const master = new Member({ whom: 'master', start, ready: /^master +(http:\S+)/, ...noting });
  const work = () =>
    cluster.workerWith({ works: [WATCHED], slots: SLOTS, heartbeatMs, smtp: stub.url, retryFirstMs });
  const workers = Array.from(
    { length: count },
    () => new Member({ whom: 'worker', start: work, ready: /worker ready id=(\S+)/, ...noting }),
  );
  for (const member of [master, ...workers]) {
    if (!(await member.ready())) throw new Error(`a process did not start:\n${unexpected.join('\n')}`);
  }
  return { stub, master, workers, done, unexpected };
}

async function make(fault: Fault, master: Member, workers: Member[], progress: Progress): Promise<void> {
  let victim = master;
  if (fault.whom === 'worker') {
    await progress.until(() => workers.some((worker) => worker.isReady));
    const ready = workers.filter((worker) => worker.isReady);
    victim = ready[Math.floor(fault.lot * ready.length)] as Member;
  } else if (!fault.early) await progress.until(() => master.isReady);
  if (fault.what === 'stop') victim.stop(fault.stopMs);
  else await victim.kill();
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
