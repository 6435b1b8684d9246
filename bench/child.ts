/**
 * A child is one process of a benchmark: its lines, its end, and what /proc says it used.
 *
 * C1: it holds an IPC channel, so that one of ours ends by itself when the benchmark is gone.
 * C2: ending before it was told to is a failure, which `failed` carries with its last words.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { treeCpuMs } from './processTree.ts';

export type ChildOptions = {
  name: string;
  command: string;
  args: readonly string[];
  cwd?: string;
  /** Beside what the benchmark itself has. */
  env?: Readonly<Record<string, string>>;
  /** Whom it runs as, if not as the benchmark. */
  user?: { uid: number; gid: number } | undefined;
  /** What `kill` sends, where a process takes something with it only if it is asked. Defaults to SIGKILL. */
  killedBy?: NodeJS.Signals;
};

const STDERR_LINES_KEPT = 50;
const PATIENCE_MS = 15_000;

export class Child {
  readonly name: string;
  readonly pid: number;
  readonly ended: Promise<number>;
  /** Rejects when it ends before `stop` or `kill`; never resolves. */
  readonly failed: Promise<never>;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string, undefined>;
  readonly #stderr: string[] = [];
  readonly #killedBy: NodeJS.Signals;
  #isTold = false;
  #isGone = false;

  constructor({ name, command, args, cwd, env, user, killedBy = 'SIGKILL' }: ChildOptions) {
    this.name = name;
    this.#killedBy = killedBy;
    this.#process = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      ...(cwd === undefined ? {} : { cwd }),
      ...user,
      env: { ...ownEnvironment(), ...env },
      // Ctrl-C reaches the benchmark only, which ends its children.
      detached: true,
    });
    const { stdout, stderr, pid } = this.#process;
    if (!stdout || !stderr) throw new Error(`${name} has no pipes`);
    this.pid = pid ?? -1;
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    createInterface({ input: stderr }).on('line', (line) => {
      this.#stderr.push(line);
      if (this.#stderr.length > STDERR_LINES_KEPT) this.#stderr.shift();
    });
    this.ended = new Promise((resolve) => {
      this.#process.once('close', (code) => resolve(code ?? 1));
      this.#process.once('error', (error) => {
        this.#stderr.push(error.message);
        resolve(1);
      });
    });
    this.failed = this.ended.then((code) => {
      this.#isGone = true;
      if (this.#isTold) return new Promise<never>(() => {});
      throw new Error(`${name} ended with exit code ${code}: ${this.#lastWords()}`);
    });
    this.failed.catch(() => {});
  }

  /** The next line on its stdout. */
  async line(): Promise<string> {
    const next = await this.#lines.next();
    return next.done ? this.failed : next.value;
  }

  send(message: object): void {
    this.#process.send(message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#process.on('message', listener);
  }

  /** CPU time that it and what it started used so far; to 10 ms. */
  cpuMs(): number {
    return treeCpuMs(this.pid);
  }

  /** The most memory it ever had resident. */
  peakBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    if (kilobytes === undefined) throw new Error(`/proc says nothing of the memory of ${this.name}`);
    return Number(kilobytes) * 1024;
  }

  /** What it wrote on stderr: a healthy run writes nothing. */
  complaints(): readonly string[] {
    return this.#stderr;
  }

  /** The line that says why it ended: what follows it is Node's version. */
  #lastWords(): string {
    const error = this.#stderr.findLast((line) => /error/i.test(line));
    return error ?? this.#stderr.at(-1) ?? 'it said nothing';
  }

  /** Tells it to stop and waits for its exit code; throws if it had to be killed. */
  async stop(): Promise<number> {
    this.#isTold = true;
    if (this.#isGone) return this.ended;
    let killed = false;
    this.#process.kill('SIGTERM');
    const killing = setTimeout(() => {
      killed = true;
      this.kill();
    }, PATIENCE_MS);
    const code = await this.ended;
    clearTimeout(killing);
    if (killed) throw new Error(`${this.name} did not stop within ${PATIENCE_MS} ms of SIGTERM`);
    return code;
  }

  /** Ends it at once. */
  kill(): void {
    this.#isTold = true;
    if (!this.#isGone) this.#process.kill(this.#killedBy);
  }
}

/** A developer's own settings must not decide what is measured. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('GIMMEWORK_') && name !== 'NODE_OPTIONS' && name !== 'NODE_V8_COVERAGE',
  );
  return Object.fromEntries(kept);
}
