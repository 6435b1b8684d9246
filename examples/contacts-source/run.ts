/** One run: a newsletter to the contacts of a list, while the worker that reads them and the master are killed. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Client, type Epic, type EpicStatus, fromSource, isOver } from '../../client/index.ts';
import { startSmtpStub } from '../../works/newsletter/main.ts';
import { Cluster } from '../cluster.ts';
import { contacts } from './contacts.ts';
import { addressOf, makeDatabase } from './database.ts';

export type Victim = 'reader' | 'master' | 'both';
export type RunOptions = { contacts: number; lookAheadUnits: number; victims: readonly Victim[] };
export type Ran = {
  end: EpicStatus;
  kills: { victim: Victim; read: number }[];
  /** Of the database, and the rows of them beyond the contacts that there are. */
  pages: number;
  rowsAgain: number;
  /** Most units that were read and that no worker had yet: until the master was killed first, and at any time. */
  aheadFirst: number;
  aheadMost: number;
  lost: number;
  doubled: number;
};

const LIST = 'weekly';
const LOOK_MS = 20;
const LEASE_MS = 6_000;
const READER = 0;
const SENDERS = 2;
const HTML = '<p>Hello {{ name }}, this is what happened this week.</p>';
const BRIEF = { from: 'News <news@example.org>', subject: 'This week', html: HTML };

/** Resolves once the epic is over and all is counted. */
export async function run(options: RunOptions): Promise<Ran> {
  const files = new Files(await mkdtemp(join(tmpdir(), 'gimmework-contacts-')));
  try {
    makeDatabase(files.database, LIST, options.contacts);
    const shares = { defer: 0, reject: 0, stall: 0, dropReply: 0 };
    const stub = await startSmtpStub({
      listen: { host: '127.0.0.1', port: 0 },
      ...shares,
      report: files.mails,
    });
    const env = { ...files.env, CONTACTS_SMTP: `smtp://127.0.0.1:${stub.port}` };
    let told: Told;
    try {
      told = await sendAll(options, env);
    } finally {
      await stub.close();
    }
    return { ...told, ...(await files.counted(options.contacts)) };
  } finally {
    await files.remove();
  }
}

type Told = Pick<Ran, 'end' | 'kills' | 'aheadFirst' | 'aheadMost'>;

/** One worker reads and sends nothing, the others send and read nothing. */
async function sendAll(options: RunOptions, env: Record<string, string>): Promise<Told> {
  const { contacts: count, lookAheadUnits, victims } = options;
  const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const works = [path('./contacts.ts'), ...Array.from({ length: SENDERS }, () => path('./works.ts'))];
  const given = { works, workers: works.length, slots: 16, leaseMs: LEASE_MS, lookAheadUnits, env };
  const cluster = await Cluster.start(given);
  try {
    const source = fromSource(contacts, { list: LIST });
    const epic = await cluster.client.submit({ work: 'newsletter', source, brief: BRIEF });
    const watched = new Watched(cluster.client, epic);
    const kills: Ran['kills'] = [];
    for (const [i, victim] of victims.entries()) {
      const { totals } = await watched.until(
        (now) => now.totals.read >= ((i + 1) * count) / (victims.length + 2),
      );
      kills.push({ victim, read: totals.read });
      await kill(cluster, victim);
    }
    const end = await watched.until(({ state }) => isOver(state));
    await cluster.stop();
    const { aheadFirst, aheadMost } = watched;
    return { end, kills, aheadFirst, aheadMost };
  } finally {
    await cluster.close();
  }
}

async function kill(cluster: Cluster, victim: Victim): Promise<void> {
  if (victim !== 'master') await cluster.killWorker(READER);
  if (victim !== 'reader') await cluster.killMaster();
  if (victim !== 'reader') await cluster.startMaster();
  if (victim !== 'master') await cluster.startWorker(READER);
}

/** An epic that is looked at again and again. */
class Watched {
  /** Most units that were ready and that no worker had yet, by what each master says of its queues. */
  aheadFirst = 0;
  aheadMost = 0;
  #first: number | undefined;
  readonly #client: Client;
  readonly #epic: Epic;

  constructor(client: Client, epic: Epic) {
    this.#client = client;
    this.#epic = epic;
  }

  /** Waits until the epic is so. */
  async until(isSo: (now: EpicStatus) => boolean): Promise<EpicStatus> {
    for (;;) {
      const now = await this.#epic.status();
      if (isSo(now)) {
        await this.#lookAhead();
        return now;
      }
      if (isOver(now.state)) throw new Error(`the epic is ${now.state}: ${now.fault?.message ?? now.reason}`);
      await pause(LOOK_MS);
    }
  }

  /** A master knows the most since it began: it is asked before it is killed, and at the end. */
  async #lookAhead(): Promise<void> {
    for (const { term, queues } of await this.#client.masters()) {
      const most = queues['ready_units']?.max ?? 0;
      this.#first ??= term;
      if (term === this.#first) this.aheadFirst = most;
      this.aheadMost = Math.max(this.aheadMost, most);
    }
  }
}

/** What the run leaves behind: the database, the pages that were read of it, the mails that were sent. */
class Files {
  readonly database: string;
  readonly mails: string;
  readonly #pages: string;
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
    this.database = join(dir, 'contacts.db');
    this.mails = join(dir, 'mails.jsonl');
    this.#pages = join(dir, 'pages.jsonl');
  }

  get env(): Record<string, string> {
    return { CONTACTS_DB: this.database, CONTACTS_LOG: this.#pages };
  }

  async counted(contactsCount: number): Promise<Pick<Ran, 'pages' | 'rowsAgain' | 'lost' | 'doubled'>> {
    const pages = linesOf<{ rows: number }>(await readFile(this.#pages, 'utf8'));
    const sent = new Map<string, number>();
    for (const { to } of linesOf<{ to?: string }>(await readFile(this.mails, 'utf8')))
      if (to !== undefined) sent.set(to, (sent.get(to) ?? 0) + 1);
    const wanted = Array.from({ length: contactsCount }, (_, i) => addressOf(i));
    const once = wanted.filter((address) => sent.get(address) === 1);
    const lost = wanted.filter((address) => !sent.has(address)).length;
    return {
      pages: pages.length,
      rowsAgain: pages.reduce((sum, { rows }) => sum + rows, 0) - contactsCount,
      lost,
      // Also whoever should have got none.
      doubled: sent.size - once.length,
    };
  }

  async remove(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function linesOf<Line>(text: string): Line[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}
