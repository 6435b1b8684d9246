/** Servers for the peers out of Debian's packages, unpacked beside the sources without touching the system. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CACHE } from './place.ts';

const FETCH_MS = 120_000;

/** The folder that stands for `/` in these packages, fetched on first use; throws `getIt` where that cannot be. */
export function unpacked(name: string, packages: readonly string[], getIt: string): string {
  const folder = join(CACHE, name);
  const files = join(folder, 'files');
  if (existsSync(files)) return files;
  const part = join(folder, 'part');
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  const run = (command: string, args: string[]): void => {
    const { status } = spawnSync(command, args, { cwd: folder, timeout: FETCH_MS });
    if (status !== 0) throw new Error(getIt);
  };
  run('apt-get', ['-q', 'download', ...packages]);
  for (const file of readdirSync(folder).filter((it) => it.endsWith('.deb'))) run('dpkg', ['-x', file, part]);
  renameSync(part, files);
  return files;
}

/** Where its libraries are, as LD_LIBRARY_PATH has it. */
export function libraryPath(files: string): string {
  const folder = join(files, 'usr', 'lib');
  const libraries = readdirSync(folder).filter((name) => name.includes('-linux-'));
  return libraries.map((name) => join(folder, name)).join(':');
}

export function isRunnable(command: string, env: Readonly<Record<string, string>> = {}): boolean {
  return spawnSync(command, ['--version'], { env: { ...process.env, ...env } }).status === 0;
}

/** A port of loopback that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
