/** Runs the command as a person does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nodeArguments } from '../../built.ts';
import type { Ask, Said } from '../../fixtures/cli/shell.ts';

const SHELL = fileURLToPath(new URL('../../fixtures/cli/shell.ts', import.meta.url));
const ENTRY = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

export type Ran = { code: number | null; stdout: string; stderr: string };
export type Running = {
  process: ChildProcess;
  ended: Promise<Ran>;
  /** Resolves once stdout or stderr has text that matches; rejects if the command ends before. */
  says(pattern: RegExp): Promise<string>;
};

function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(GIMMEWORK_|NODE_TEST)/.test(name)),
  );
}

/** Starts a command as a process of its own. */
export function start(args: string[], env: Record<string, string> = {}, cwd?: string): Running {
  const child = spawn(process.execPath, [...nodeArguments(ENTRY), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnv(), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const ran: Ran = { code: null, stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  const hear = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
    ran[name] += chunk.toString();
    for (const check of waiting) check();
  };
  child.stdout.on('data', hear('stdout'));
  child.stderr.on('data', hear('stderr'));
  const killing = setTimeout(() => child.kill('SIGKILL'), 120_000);
  const ended = new Promise<Ran>((resolve) => {
    child.once('close', (code) => {
      clearTimeout(killing);
      resolve({ ...ran, code });
    });
  });
  const says = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const text = ran.stdout + ran.stderr;
        if (!pattern.test(text)) return;
        waiting.delete(check);
        resolve(text);
      };
      waiting.add(check);
      check();
      void ended.then(() => reject(new Error(`ended without ${pattern}: ${ran.stdout}${ran.stderr}`)));
    });
  return { process: child, ended, says };
}

/**
 * Runs a command to its end. All of a file run one after the other in one process: what is shown is what they say, not
 * how a process starts and ends. In a folder of its own a command is a process of its own.
 */
export function gimme(args: string[], env: Record<string, string> = {}, cwd?: string): Promise<Ran> {
  if (cwd !== undefined) return start(args, env, cwd).ended;
  shell ??= new Shell();
  return shell.run({ args, env });
}

let shell: Shell | undefined;

class Shell {
  readonly #child: ChildProcess;
  readonly #waiting: { said: (said: Said) => void; gone: (error: Error) => void }[] = [];

  constructor() {
    this.#child = spawn(process.execPath, nodeArguments(SHELL), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: cleanEnv(),
    });
    this.#child.on('message', (said: Said) => {
      this.#waiting.shift()?.said(said);
      if (this.#waiting.length === 0) this.#child.channel?.unref();
    });
    this.#child.once('exit', (code) => {
      const error = new Error(`the process of the commands ended with ${code}`);
      for (const { gone } of this.#waiting.splice(0)) gone(error);
    });
    this.#child.unref();
    this.#child.channel?.unref();
  }

  run(ask: Ask): Promise<Ran> {
    this.#child.channel?.ref();
    return new Promise((said, gone) => {
      this.#waiting.push({ said, gone });
      this.#child.send(ask);
    });
  }
}
