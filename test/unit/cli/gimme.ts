/** Runs the command as a person does, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nodeArguments } from '../../built.ts';

const ENTRY = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

export type Ran = { code: number | null; stdout: string; stderr: string };
export type Running = {
  process: ChildProcess;
  ended: Promise<Ran>;
  /** Resolves once stdout or stderr has text that matches; rejects if the command ends before. */
  says(pattern: RegExp): Promise<string>;
};

export function start(args: string[], env: Record<string, string> = {}, cwd?: string): Running {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(GIMMEWORK_|NODE_TEST)/.test(name)),
  );
  const child = spawn(process.execPath, [...nodeArguments(ENTRY), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...clean, ...env },
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
  const killing = setTimeout(() => child.kill('SIGKILL'), 60_000);
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

export function gimme(args: string[], env: Record<string, string> = {}, cwd?: string): Promise<Ran> {
  return start(args, env, cwd).ended;
}
