/**
 * `gimme demo`: a whole newsletter on this machine in one command: a mail server stub, a master, worker
 * processes, live progress, and the proof that the epic's totals and the mail server's count agree.
 *
 * D1: exit 0 only if both agree to the unit. D2: whatever ends it, no process and no folder is left.
 */
import { randomBytes } from 'node:crypto';
import { createWriteStream, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { Client, csv, type EpicStatus } from '../../client/index.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { readConfig } from '../../shared/io/config.ts';
import { createLog } from '../../shared/io/log.ts';
import { readBrief } from '../brief.ts';
import { Child } from '../children.ts';
import { type TrialNats, trialNats } from '../natsServer.ts';
import { NATS, type NatsSettings, natsOf } from '../natsSettings.ts';
import { addSettings, example } from '../options.ts';
import { arithmetic, count, print, say, storeWords, story } from '../output.ts';
import { follow } from '../progress.ts';
import { DEMO } from '../settings.ts';
import { onStop, type Stop } from '../signals.ts';

const HOST = '127.0.0.1';
const MASTER_PORT = 7171;
const STUB_PORT = 2525;
const SLOTS = 16;
const NAME = 'newsletter-demo';
/** A deferred mail waits 30 s in earnest; here the end should come in seconds. */
const RETRY_FIRST = '300ms';
const STOP_PATIENCE_MS = 5_000;

/** A server of the demo's own takes anybody; credentials for another are not shown to it. */
const NO_NATS_ACCESS = Object.fromEntries(
  Object.values(NATS).flatMap(({ env }) => [
    [env, ''],
    [`${env}_FILE`, ''],
  ]),
);

type Counts = { accepted: number; distinct: number; duplicates: number };
type Master = { url: string; store: string; link: string; stop(): Promise<void> };
type DemoSettings = { recipients: number; workers: number; keep: boolean; nats: boolean };

export function addDemo(program: Command, entry: string, ended: (exitCode: number) => void): void {
  const command = program
    .command('demo')
    .summary('send a newsletter to a mail server stub, all on this machine')
    .option('--nats', 'link over NATS: a server that runs, or one found on this machine and started')
    .option('--keep', 'leave the master up until Ctrl-C');
  addSettings(command, DEMO);
  example(command, 'gimme demo --recipients 10000 --workers 2');
  command.action(async (flags: { keep?: boolean; nats?: boolean }) => {
    const settings = { ...readConfig(DEMO, flags), keep: flags.keep === true, nats: flags.nats === true };
    ended(await new Demo(entry, settings).run());
  });
}

class Demo {
  readonly #entry: string;
  readonly #settings: DemoSettings;
  readonly #children: Child[] = [];
  #folder = '';
  /** The exit code, once epic and mail server have been compared. */
  #proven: number | undefined;
  #master: Master | undefined;
  #nats: TrialNats | undefined;

  constructor(entry: string, settings: DemoSettings) {
    this.#entry = entry;
    this.#settings = settings;
  }

  /** D2: what is left is ended on any way out; a process that exits has only time for `#leave`. */
  async run(): Promise<number> {
    const leave = (): void => this.#leave();
    process.once('exit', leave);
    let interrupt: (why: Stop) => void = () => {};
    const interrupted = new Promise<Stop>((resolve) => {
      interrupt = resolve;
    });
    const release = onStop(interrupt);
    try {
      const outcome = await Promise.race([this.#play(interrupted), interrupted]);
      if (typeof outcome === 'number') return outcome;
      if (this.#proven !== undefined) return this.#proven;
      throw new GimmeError('detached', `stopped by ${outcome}; everything that the demo started is ended`);
    } finally {
      release();
      await this.#close();
      process.off('exit', leave);
    }
  }

  async #play(interrupted: Promise<Stop>): Promise<number> {
    const { recipients, workers, keep } = this.#settings;
    const nats = this.#settings.nats ? await this.#findNats() : undefined;
    this.#folder = await mkdtemp(join(tmpdir(), 'gimmework-demo-'));
    const { stub, port } = await this.#startStub();
    const master = await this.#startMaster(nats);
    print(`master   ${master.url}   store ${storeWords(master.store)}   link ${master.link}`);
    const working = this.#startWorkers(workers, port, linkArgs(master.url, nats));
    print(`workers  ${workers} x ${SLOTS} slots`);
    print(`mail     smtp stub ${HOST}:${port}: 2% deferred, 1% rejected`);

    const end = await Promise.race([this.#send(master.url, recipients), failureOf(working)]);
    for (const line of story(end)) print(line);
    for (const worker of working) await worker.stop(STOP_PATIENCE_MS);
    const counts = await countsOf(stub);
    print(
      `  smtp stub accepted ${count(counts.distinct)} distinct messages, ${count(counts.duplicates)} duplicates`,
    );
    const faults = disagreements(end, counts, recipients);
    for (const fault of faults) say(`✗ ${fault}`);
    if (faults.length === 0) {
      say(
        'Next: gimme init my-works | gimme master | gimme worker --works newsletter --smtp smtp://127.0.0.1:2525',
      );
    }
    this.#proven = faults.length === 0 ? 0 : 1;
    if (keep) {
      say(`The master stays at ${master.url}: gimme epic get ${NAME} --master ${master.url}. Ctrl-C ends it`);
      await interrupted;
    }
    return this.#proven;
  }

  async #send(url: string, recipients: number): Promise<EpicStatus> {
    const { generateRecipients, sampleDir } = await import('../../works/newsletter/main.ts');
    const file = join(this.#folder, 'recipients.csv');
    await pipeline(generateRecipients(recipients), createWriteStream(file));
    const brief = await readBrief(join(sampleDir(), 'brief.json'));
    const client = new Client({ master: url });
    const epic = await client.submit({ work: 'newsletter', name: NAME, source: csv(file), brief });
    return follow(epic);
  }

  /** The subjects are the demo's own: no other worker may get its mails, nor its workers those of others. */
  async #findNats(): Promise<NatsSettings> {
    const values = readConfig(NATS, {});
    this.#nats = await trialNats(values.nats?.join(','));
    const { url, isOwn } = this.#nats;
    print(`nats     ${url}   ${isOwn ? 'nats-server started for this demo' : 'a server that runs already'}`);
    const access = isOwn ? undefined : natsOf({ ...values, nats: [url] }, {});
    return { ...access, servers: url, prefix: `gimmework-demo-${randomBytes(6).toString('hex')}` };
  }

  async #startMaster(nats: NatsSettings | undefined): Promise<Master> {
    const { startMaster } = await import('../../master/main.ts');
    const log = createLog({ level: 'error', format: 'text' });
    const config = { host: HOST, dataDir: join(this.#folder, 'data'), log, ...(nats && { nats }) };
    const master = await startMaster({ ...config, port: MASTER_PORT }).catch((error: unknown) => {
      if (!(error instanceof GimmeError) || error.code !== 'port_taken') throw error;
      say(`port ${MASTER_PORT} is taken; the master takes a free one`);
      return startMaster({ ...config, port: 0 });
    });
    this.#master = master;
    return master;
  }

  async #startStub(): Promise<{ stub: Child; port: number }> {
    const shares = ['--defer', '2%', '--reject', '1%', '--output', 'jsonl'];
    const start = (port: number): Child =>
      this.#adopt(
        new Child('smtp stub', this.#entry, ['smtp-stub', '--listen', `${HOST}:${port}`, ...shares]),
      );
    let stub = start(STUB_PORT);
    let line: string;
    try {
      line = await stub.line();
    } catch {
      stub = start(0);
      line = await stub.line();
    }
    const { listening } = JSON.parse(line) as { listening: { port: number } };
    return { stub, port: listening.port };
  }

  #startWorkers(workers: number, smtpPort: number, link: string[]): Child[] {
    const env = this.#nats?.isOwn ? NO_NATS_ACCESS : {};
    return Array.from({ length: workers }, (_, i) => {
      const args = ['worker', '--works', 'newsletter', '--slots', String(SLOTS), '--name', `demo-${i + 1}`];
      args.push('--smtp', `smtp://${HOST}:${smtpPort}`, '--smtp-retry-first', RETRY_FIRST);
      args.push(...link, '--log-level', 'warn');
      return this.#adopt(new Child(`worker ${i + 1}`, this.#entry, args, env));
    });
  }

  #adopt(child: Child): Child {
    this.#children.push(child);
    return child;
  }

  async #close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop(STOP_PATIENCE_MS)));
    await this.#master?.stop();
    await this.#nats?.stop();
    this.#leave();
  }

  #leave(): void {
    for (const child of this.#children) child.kill();
    if (this.#folder !== '') rmSync(this.#folder, { recursive: true, force: true });
  }
}

function linkArgs(url: string, nats: NatsSettings | undefined): string[] {
  if (!nats) return ['--master', url.replace(/^http/, 'ws')];
  return ['--nats', String(nats.servers), '--nats-prefix', nats.prefix ?? ''];
}

/** Rejects when a worker ends before it was told to. */
function failureOf(workers: readonly Child[]): Promise<never> {
  return Promise.race(
    workers.map(async (worker) => {
      await worker.ended;
      throw new GimmeError('internal', `${worker.name} ended early: ${worker.lastWords()}`);
    }),
  );
}

async function countsOf(stub: Child): Promise<Counts> {
  const stopped = stub.stop(STOP_PATIENCE_MS);
  const { counts } = JSON.parse(await stub.line()) as { counts: Counts };
  await stopped;
  return counts;
}

/** D1: everything in which the epic and the mail server do not agree. */
export function disagreements(epic: EpicStatus, counts: Counts, recipients: number): string[] {
  const { read, succeeded, unknown, outstanding, ...rest } = epic.totals;
  const sum = succeeded + unknown + outstanding + rest.failed + rest.skipped + rest.cancelled + rest.missing;
  return [
    ...(epic.state === 'finished' ? [] : [`the epic is ${epic.state}, not finished`]),
    ...(read === sum ? [] : [`the arithmetic does not hold: ${arithmetic(epic.totals)}`]),
    ...(read === recipients ? [] : [`read ${count(read)}, but there are ${count(recipients)} recipients`]),
    ...(outstanding === 0 ? [] : [`${count(outstanding)} units are outstanding`]),
    ...(unknown === 0 ? [] : [`${count(unknown)} units are unknown, though no reply was lost`]),
    ...(counts.distinct === succeeded
      ? []
      : [`the epic counts ${count(succeeded)} sent, the mail server ${count(counts.distinct)}`]),
    ...(counts.duplicates === 0 ? [] : [`the mail server got ${count(counts.duplicates)} mails twice`]),
  ];
}
