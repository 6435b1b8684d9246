/**
 * Child processes of the demo and of `dev`: this same command, started again. Owns them until they are gone.
 *
 * D1: no child outlives its parent: each holds an IPC channel and stops when it breaks, and `killAll`
 *     ends those that are left without waiting.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { GimmeError } from '../shared/core/errors.ts';

const STDERR_LINES_KEPT = 20;

/** A child: its stdout line by line, and how it ended. */
export class Child {
  readonly name: string;
  readonly ended: Promise<number>;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string, undefined>;
  readonly #stderr: string[] = [];
  #isGone = false;

  /** Starts `gimme <args>`; `entry` is the command's own file, `onStderr` gets its stderr line by line. */
  constructor(
    name: string,
    entry: string,
    args: string[],
    env: Record<string, string> = {},
    onStderr: (line: string) => void = () => {},
  ) {
    this.name = name;
    this.#process = spawn(process.execPath, [...process.execArgv, entry, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
      // Ctrl-C reaches the parent only, which stops its children in order.
      detached: true,
    });
    const { stdout, stderr } = this.#process;
    if (!stdout || !stderr) throw new Error(`child ${name} has no pipes`);
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    createInterface({ input: stderr }).on('line', (line) => {
      onStderr(line);
      this.#stderr.push(line);
      if (this.#stderr.length > STDERR_LINES_KEPT) this.#stderr.shift();
    });
    this.ended = new Promise((resolve) => {
      const gone = (code: number): void => {
        this.#isGone = true;
        resolve(code);
      };
      this.#process.once('close', (code) => gone(code ?? 1));
      this.#process.once('error', () => gone(1));
    });
  }

  /** The next line that the child writes; throws with what it said on stderr if it ends before. */
  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (!next.done) return next.value;
    await this.ended;
    throw new GimmeError('internal', `${this.name} ended: ${this.#stderr.at(-1) ?? 'it said nothing'}`);
  }

  /** What it last said on stderr. */
  lastWords(): string {
    return this.#stderr.at(-1) ?? 'it said nothing';
  }

  /** Asks it to stop and waits; one that does not is killed. */
  async stop(patienceMs: number): Promise<number> {
    if (!this.#isGone) this.#process.kill('SIGTERM');
    const killing = setTimeout(() => this.kill(), patienceMs);
    const code = await this.ended;
    clearTimeout(killing);
    return code;
  }

  /** Ends it at once. */
  kill(): void {
    if (!this.#isGone) this.#process.kill('SIGKILL');
  }
}
