/**
 * One real process of a test: a command `gimme …` or a fixture, started as a terminal would start it. Owns
 * what it printed and how it ended; who ends it is `cluster.ts`.
 *
 * P1: every wait has an end: what was awaited, the end of the process, or PATIENCE_MS.
 * P2: a process does not outlive the test's own process: it holds an IPC channel and stops when it breaks.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { nodeArguments } from '../built.ts';

/** Longest wait for anything; a healthy run needs a twentieth of it. */
export const PATIENCE_MS = 120_000;
const LINES_SHOWN = 15;
export const GIMME = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

export type Ended = { code: number | null; signal: NodeJS.Signals | null };
export type ProcessOptions = {
  name: string;
  entry: string;
  args: string[];
  cwd: string;
  /** Beside what the test has itself, without its settings of Gimmework. */
  env?: Record<string, string>;
};

export class Process {
  readonly name: string;
  readonly pid: number;
  readonly out: string[] = [];
  readonly err: string[] = [];
  /** Resolves once it has ended and all that it printed is here. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<(line: string) => void>();

  constructor({ name, entry, args, cwd, env = {} }: ProcessOptions) {
    this.name = name;
    const own = Object.entries(process.env).filter(([key]) => !key.startsWith('GIMMEWORK_'));
    this.#child = spawn(process.execPath, [...nodeArguments(entry), ...args], {
      cwd,
      env: { ...Object.fromEntries(own), NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.pid = this.#child.pid ?? 0;
    this.#collect(this.#child.stdout, this.out);
    this.#collect(this.#child.stderr, this.err);
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
      this.#child.once('error', () => resolve({ code: null, signal: null }));
    });
  }

  /** The first line on either stream that matches, whether it was printed already or is yet to come. */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    for (const line of [...this.out, ...this.err]) {
      const found = pattern.exec(line);
      if (found) return Promise.resolve(found);
    }
    return new Promise((resolve, reject) => {
      const give = (why: string): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
        reject(new Error(`${this.name} ${why} before it printed ${pattern}\n${this.lastWords()}`));
      };
      const look = (line: string): void => {
        const found = pattern.exec(line);
        if (!found) return;
        this.#waiting.delete(look);
        clearTimeout(timer);
        resolve(found);
      };
      const timer = setTimeout(() => give(`took over ${PATIENCE_MS} ms`), PATIENCE_MS);
      this.#waiting.add(look);
      void this.ended.then(({ code, signal }) => give(`ended (${code ?? signal})`));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends a signal and resolves with how it ended; rejects when it does not end in time. */
  async end(signal: NodeJS.Signals): Promise<Ended> {
    this.signal(signal);
    return this.gone(`after ${signal}`);
  }

  /** Waits for its end. */
  async gone(when: string): Promise<Ended> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const text = `${this.name} did not end ${when}`;
      timer = setTimeout(() => reject(new Error(`${text}\n${this.lastWords()}`)), PATIENCE_MS);
    });
    try {
      return await Promise.race([this.ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  lastWords(): string {
    return [...this.out.slice(-LINES_SHOWN), ...this.err.slice(-LINES_SHOWN)]
      .map((line) => `  ${this.name}: ${line}`)
      .join('\n');
  }

  #collect(stream: NodeJS.ReadableStream | null, lines: string[]): void {
    if (!stream) return;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const look of [...this.#waiting]) look(line);
    });
  }
}
