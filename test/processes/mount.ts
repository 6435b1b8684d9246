/** Small file systems in memory, where a test may mount them: a disk that is really full, or really read-only. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MB = 1024 * 1024;

export function canMount(): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'gimmework-mount-'));
  const can = run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir);
  if (can) unmount(dir);
  rmdirSync(dir);
  return can;
}

export function mount(dir: string, mb: number): void {
  assert.ok(run('mount', '-t', 'tmpfs', '-o', `size=${mb}m`, 'tmpfs', dir), `cannot mount on ${dir}`);
}

/** Makes what is mounted there read-only, or writable again. */
export function remount(dir: string, mode: 'ro' | 'rw'): void {
  assert.ok(run('mount', '-o', `remount,${mode}`, dir), `cannot make ${dir} ${mode}`);
}

export function unmount(dir: string): void {
  assert.ok(run('umount', '--lazy', dir), `cannot unmount ${dir}`);
}

/** Writes a file until there is no room left, not for a byte. */
export async function fillUp(path: string): Promise<void> {
  const file = await open(path, 'w');
  for (let bytes = MB; bytes >= 1; ) {
    const written = await file.write(Buffer.alloc(bytes)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      return undefined;
    });
    if (!written) bytes = bytes === 1 ? 0 : Math.ceil(bytes / 16);
  }
  await file.close();
}

function run(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
