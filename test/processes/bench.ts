/** The command `npm run bench` as a process of a test, and what it leaves. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let out = '';
before(() => {
  out = mkdtempSync(join(tmpdir(), 'gimmework-bench-test-'));
});
after(() => rmSync(out, { recursive: true, force: true }));

export function start(...args: string[]): ChildProcess {
  const command = ['--import', 'tsx', join(ROOT, 'bench', 'main.ts'), ...args, '--out', out];
  return spawn(process.execPath, command, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs a benchmark to its end; fails if it leaves anything behind. */
export async function bench(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = start(...args);
  const texts = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => (texts.stdout += String(chunk)));
  child.stderr?.on('data', (chunk) => (texts.stderr += String(chunk)));
  const [code] = (await once(child, 'close')) as [number];
  assert.deepEqual(leftBy(child), [], 'left behind');
  return { code, ...texts };
}

/** The folder and the processes of a benchmark that are still there. */
export function leftBy(bench: ChildProcess): string[] {
  const folder = join('.cache', 'bench', String(bench.pid));
  const processes = readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && commandOf(pid).includes(`${folder}/`),
  );
  return [...(existsSync(join(ROOT, folder)) ? [folder] : []), ...processes.map((pid) => `process ${pid}`)];
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // It has ended meanwhile.
  }
}

/** What the run measured, from the file that it names. */
export function resultsIn(stderr: string): unknown {
  const file = /the run as JSON: (.+)/.exec(stderr)?.[1];
  assert.ok(file, stderr);
  return (JSON.parse(readFileSync(file, 'utf8')) as { results: unknown }).results;
}
