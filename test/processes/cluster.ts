/**
 * The processes of one test: a master, mail servers, workers and commands, each a real process on a free
 * port, in a folder of their own. Owns their end: whatever becomes of the test, nothing is left of them.
 */
import assert from 'node:assert/strict';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client, type EpicStatus, type Totals, type Worker } from '../../client/index.ts';
import type { CoreSettings } from '../../master/core/state.ts';
import type { MasterView } from '../../shared/protocol/api.ts';
import { generateRecipients } from '../../works/newsletter/main.ts';
import { built } from '../built.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { type FoundTool, natsServers } from '../tools.ts';
import { type Journal, readJournal } from './journal.ts';
import { type Mails, readMails } from './mails.ts';
import { lastingPort } from './port.ts';
import { GIMME, Process } from './process.ts';
import { until } from './until.ts';

const fixture = (name: string): string =>
  built(fileURLToPath(new URL(`../fixtures/cluster/${name}`, import.meta.url)));

/** A works module of the fixtures, as `--works` takes it. */
export const WORKS = fixture('works.ts');
export const MORE_WORKS = fixture('moreWorks.ts');
export const AT_LEAST_ONCE = fixture('atLeastOnce.ts');
/** `newsletter-<effect>` for each effect mode; workers note their sends in the file `sends-<effect>.txt`. */
export const WATCHED = fixture('watched.ts');
export const RECOVERY_WORKS = fixture('recoveryWorks.ts');
export const SPIN_WORKS = fixture('spinWorks.ts');
export const ASKING_WORKS = fixture('askingWorks.ts');
export const GATHERING_WORKS = fixture('gatheringWorks.ts');

const BRIEF = {
  from: 'Weekly <news@example.com>',
  subject: 'Hello {{ name }}',
  html: '<p>Dear {{ name }} of {{ city }}</p>',
  text: 'Dear {{ name }} of {{ city }}',
};

/** Columns of the recipients that `recipients` writes: unit n is `reader.<n>@example.com`. */
export type Finished = { code: number | null; out: string; err: string };
export type Stub = { url: string; report: string; process: Process; mails(): Mails; close(): Promise<Mails> };
export type WorkerSettings = {
  works: string[];
  slots: number;
  heartbeatMs: number;
  smtp?: string;
  /** Longest first wait after a mail was deferred; 200 ms unless told. */
  retryFirstMs?: number;
  /** The NATS server over which it reaches the master; by WebSocket unless told. */
  nats?: string;
  /** For steps that run in threads; as many as `gimme worker` has unless told. */
  threads?: number;
};
export type DurableSettings = {
  /** The file that says what the master's disk does (`disk.cjs`). */
  fate?: string;
  /** The NATS server over which workers reach it; by WebSocket unless told. */
  nats?: string;
};

export class Cluster {
  readonly dir: string;
  /** Address of the master, once it is started. */
  url = '';
  readonly #processes: Process[] = [];
  readonly #servers: NatsServer[] = [];
  #named = 0;

  constructor(dir: string) {
    this.dir = dir;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  get client(): Client {
    return new Client({ master: this.url });
  }

  get journal(): Journal {
    return readJournal(this.path('journal.jsonl'));
  }

  /** Starts any `gimme` command. */
  gimme(...args: string[]): Process {
    return this.gimmeWith({}, ...args);
  }

  /** Starts any `gimme` command with these variables. */
  gimmeWith(env: Record<string, string>, ...args: string[]): Process {
    return this.#start(`gimme-${args[0]}`, GIMME, args, env);
  }

  /** Starts `gimme master`, on a free port unless told which. */
  async master(port = 0): Promise<Process> {
    return this.ready(this.gimme('master', '--listen', `127.0.0.1:${port}`, '--data', this.path('data')));
  }

  /** Starts a master with settings that the command does not offer, and with a journal to read. */
  async masterWith(settings: Partial<CoreSettings>): Promise<Process> {
    const config = { dataDir: this.path('data'), journal: this.path('journal.jsonl'), settings };
    return this.ready(this.#start('master', fixture('master.ts'), [JSON.stringify(config)]));
  }

  /**
   * Starts a master that keeps its journal, on this port, with settings that the command does not offer. It is
   * returned before it is ready.
   */
  durableMaster(
    port: number,
    settings: Partial<CoreSettings>,
    { fate, nats }: DurableSettings = {},
  ): Process {
    const config = { dataDir: this.path('data'), port, settings, nats };
    const disk = { NODE_OPTIONS: `--require "${fixture('disk.cjs')}"`, DISK_FATE: fate ?? '' };
    const env = fate === undefined ? {} : disk;
    return this.#start('master', fixture('master.ts'), [JSON.stringify(config)], env);
  }

  /** Waits until a master takes epics and workers. */
  async ready(master: Process): Promise<Process> {
    this.url = (await master.line(/^master +(http:\S+)/))[1] as string;
    return master;
  }

  /** Starts the newest nats-server that is here, on a port to which it can come back. */
  async nats(): Promise<NatsServer> {
    const { path } = natsServers().at(-1) as FoundTool;
    const server = await NatsServer.start({ path, port: await lastingPort() });
    this.#servers.push(server);
    return server;
  }

  /** Starts `gimme smtp-stub` on a free port; it defers and rejects nothing unless told. */
  async stub(...args: string[]): Promise<Stub> {
    const report = this.path(`mails-${this.#named++}.jsonl`);
    const clean = ['--defer', '0%', '--reject', '0%'];
    const where = ['--listen', '127.0.0.1:0', '--report', report, '-o', 'json'];
    const stub = this.gimme('smtp-stub', ...clean, ...where, ...args);
    const port = (await stub.line(/"port":(\d+)/))[1] as string;
    return {
      url: `smtp://127.0.0.1:${port}`,
      report,
      process: stub,
      mails: () => readMails(report),
      async close() {
        assert.equal((await stub.end('SIGTERM')).code, 0, stub.lastWords());
        return readMails(report);
      },
    };
  }

  /** Starts `gimme worker` with the newsletter for this stub; more flags override. */
  worker(stub: Stub, ...args: string[]): Process {
    const flags = ['--works', 'newsletter', '--smtp', stub.url, '--smtp-retry-first', '200ms'];
    return this.gimme('worker', '--master', this.url, ...flags, ...args);
  }

  /** Starts a worker with a heartbeat that the command does not offer. */
  workerWith(settings: WorkerSettings): Process {
    const config = { master: this.url.replace(/^http/, 'ws'), ...settings };
    return this.#start('worker', fixture('worker.ts'), [JSON.stringify(config)]);
  }

  /** Runs a client command to its end. */
  async run(...args: string[]): Promise<Finished> {
    const command = this.gimme(...args, '--master', this.url);
    const { code } = await command.gone('by itself');
    return { code, out: command.out.join('\n'), err: command.err.join('\n') };
  }

  /** Submits a newsletter by the client and returns its id. */
  async submit(source: string, work = 'newsletter'): Promise<string> {
    const { csv } = await import('../../client/index.ts');
    return (await this.client.submit({ work, source: csv(source), brief: BRIEF })).id;
  }

  /** Writes a CSV of this many recipients. */
  async recipients(rows: number): Promise<string> {
    const path = this.path('recipients.csv');
    await pipeline(generateRecipients(rows), createWriteStream(path));
    return path;
  }

  /** Writes the brief as a person would. */
  async brief(): Promise<string> {
    return this.write('brief.json', JSON.stringify(BRIEF));
  }

  async write(name: string, content: string | Uint8Array): Promise<string> {
    await writeFile(this.path(name), content);
    return this.path(name);
  }

  status(id: string): Promise<EpicStatus> {
    return this.client.status(id);
  }

  /** What the master says of itself. */
  async masters(): Promise<MasterView[]> {
    const answer = await fetch(`${this.url}/v1/masters`);
    return ((await answer.json()) as { masters: MasterView[] }).masters;
  }

  /** Follows an epic until this holds; its arithmetic must be right at every look. */
  async reach(id: string, what: string, holds: (epic: EpicStatus) => boolean): Promise<EpicStatus> {
    return until(
      `the epic is ${what}`,
      async () => {
        const epic = await this.status(id);
        assertArithmetic(epic.totals);
        return epic;
      },
      holds,
    );
  }

  /** Waits for the end of an epic. */
  async finished(id: string): Promise<EpicStatus> {
    return this.reach(id, 'over', (epic) => epic.state !== 'running');
  }

  /** The worker of this process, once the master knows it and `holds` says yes of it. */
  async known(
    process: Process,
    holds: (worker: Worker) => boolean = () => true,
    withinMs?: number,
  ): Promise<Worker> {
    const id = (await process.line(/worker ready id=(\S+)/))[1];
    const ask = async () => (await this.client.workers()).find((worker) => worker.id === id);
    const worker = await until('the worker is so', ask, (it) => it !== undefined && holds(it), withinMs);
    return worker as Worker;
  }

  #start(name: string, entry: string, args: string[], env: Record<string, string> = {}): Process {
    const process = new Process({ name: `${name}-${this.#named++}`, entry, args, cwd: this.dir, env });
    this.#processes.push(process);
    return process;
  }

  /** Kills what is left, shows what it said if the test failed, and removes the folder. */
  async close(failed: boolean): Promise<void> {
    for (const process of this.#processes) process.signal('SIGKILL');
    for (const process of this.#processes) {
      await process.ended;
      if (failed) console.error(process.lastWords());
    }
    for (const server of this.#servers) await server.end();
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Runs a test's body with a cluster and ends its processes, however the body ends. */
export function withCluster(body: (cluster: Cluster, t: TestContext) => Promise<void>) {
  return async (t: TestContext): Promise<void> => {
    const cluster = new Cluster(await mkdtemp(join(tmpdir(), 'gimmework-')));
    let failed = true;
    try {
      await body(cluster, t);
      failed = false;
    } finally {
      await cluster.close(failed);
    }
  };
}

/** Checks the one line of arithmetic. */
export function assertArithmetic(totals: Totals): void {
  const { read, succeeded, failed, unknown, skipped, cancelled, missing, outstanding } = totals;
  const sum = succeeded + failed + unknown + skipped + cancelled + missing + outstanding;
  assert.equal(read, sum, JSON.stringify(totals));
}

/** Checks the totals of a finished epic; what is not named must be 0. */
export function assertTotals(epic: EpicStatus, expected: Partial<Totals>): void {
  const none = { succeeded: 0, failed: 0, unknown: 0, skipped: 0, cancelled: 0, missing: 0, outstanding: 0 };
  assert.deepEqual(epic.totals, { ...none, ...expected });
}
