/**
 * A real nats-server for a test: on a free port of loopback, with the settings that the test gives. Owns the
 * process and its folder; both are gone once the test's process is, however that ends but by SIGKILL.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';

const READY_MS = 60_000;

export type NatsServerOptions = {
  /** The program. */
  path: string;
  /** Where it listens; a free port unless told. */
  port?: number;
  /** Settings in the server's own format, beside where it listens. */
  settings?: string;
  /** A file of settings instead, as it is but for where it listens and keeps its streams. */
  config?: string;
  /** Variables that the settings name. */
  env?: Record<string, string>;
};

type Running = { process: ChildProcess; ended: Promise<unknown> };

/** Servers that have not been ended. */
const open = new Set<NatsServer>();
let isGuarded = false;

export class NatsServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'gimmework-nats-'));
  readonly #path: string;
  readonly #config: string | undefined;
  readonly #env: Record<string, string>;
  #settings: string;
  #port: number;
  #running: Running | undefined;
  /** What the server logged, over all its runs. */
  readonly lines: string[] = [];

  private constructor({ path, port = -1, settings = '', config, env = {} }: NatsServerOptions) {
    this.#path = path;
    this.#port = port;
    this.#settings = settings;
    this.#config = config;
    this.#env = env;
  }

  /** Starts a server and waits until it takes connections. */
  static async start(options: NatsServerOptions): Promise<NatsServer> {
    const server = new NatsServer(options);
    await server.restart();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#running?.process.pid ?? 0;
  }

  /** Starts it again where it was, after `kill` or `lameDuck`; with other settings if some are given. */
  async restart(settings = this.#settings): Promise<void> {
    await this.#running?.ended;
    this.#settings = settings;
    guard();
    const env = { ...process.env, ...this.#env };
    const child = spawn(this.#path, this.#arguments(), { env, stdio: ['ignore', 'ignore', 'pipe'] });
    open.add(this);
    this.#running = { process: child, ended: once(child, 'exit') };
    await this.#ready(child);
  }

  #arguments(): string[] {
    if (this.#config !== undefined) {
      const where = [
        '-a',
        '127.0.0.1',
        '-p',
        String(this.#port),
        '-m',
        '-1',
        '-sd',
        join(this.folder, 'streams'),
      ];
      return ['-c', this.#config, ...where];
    }
    const file = join(this.folder, 'nats.conf');
    writeFileSync(file, `listen: "127.0.0.1:${this.#port}"\n${this.#settings}\n`);
    return ['-c', file];
  }

  /** Ends it without a goodbye. */
  async kill(): Promise<void> {
    this.#running?.process.kill('SIGKILL');
    await this.#running?.ended;
    this.#running = undefined;
  }

  /** It takes no more connections and, after its `lame_duck_grace_period`, ends those it has and itself. */
  lameDuck(): void {
    this.#running?.process.kill('SIGUSR2');
  }

  /** Reads its settings again. */
  reload(settings: string): void {
    this.#settings = settings;
    writeFileSync(join(this.folder, 'nats.conf'), `listen: "127.0.0.1:${this.#port}"\n${settings}\n`);
    this.#running?.process.kill('SIGHUP');
  }

  /** It stands still until `resume`; resolves once it does. */
  async pause(): Promise<void> {
    this.#running?.process.kill('SIGSTOP');
    while (!isStill(this.pid)) await turn();
  }

  resume(): void {
    this.#running?.process.kill('SIGCONT');
  }

  /** Resolves once it ended by itself. */
  async ended(): Promise<void> {
    await this.#running?.ended;
  }

  /** Ends it and removes its folder. */
  async end(): Promise<void> {
    await this.kill();
    this.endNow();
  }

  /** The same where nothing can be waited for. */
  endNow(): void {
    this.#running?.process.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
    open.delete(this);
  }

  async #ready(child: ChildProcess): Promise<void> {
    const said = createInterface({ input: child.stderr as NodeJS.ReadableStream });
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string): void => {
        reject(new Error(`${this.#path} ${what}: ${this.lines.slice(-5).join(' | ')}`));
      };
      const timer = setTimeout(() => fail(`was not ready within ${READY_MS} ms`), READY_MS);
      child.once('error', (error) => fail(`does not start (${error.message})`));
      child.once('exit', (code) => fail(`ended with ${code}`));
      said.on('line', (line) => {
        this.lines.push(line);
        const port = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port !== undefined) this.#port = Number(port);
        if (!line.includes('Server is ready')) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** Each thread stops by itself; only Linux tells of them all. */
function isStill(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  const states = existsSync(tasks)
    ? readdirSync(tasks).map((task) => readFileSync(join(tasks, task, 'stat'), 'utf8').split(') ')[1])
    : [execFileSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' })];
  return states.every((state) => state?.startsWith('T'));
}

/** No server outlives the process that started it. */
function guard(): void {
  if (isGuarded) return;
  isGuarded = true;
  const endAll = (): void => {
    for (const server of open) server.endNow();
  };
  process.once('exit', endAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      // Whoever else listens decides what becomes of the process.
      if (process.listenerCount(signal) > 0) return;
      endAll();
      process.kill(process.pid, signal);
    });
  }
}
