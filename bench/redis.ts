/**
 * A Redis server for the peers: the one on PATH, or Debian's packages unpacked beside the sources without
 * touching the system. Started with an append-only file synced every second and no eviction, as BullMQ's
 * pages advise for production.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { CACHE, type Place } from './place.ts';

const GET_IT = 'no redis-server: install one (apt-get install redis-server) and run again';
/** The server is a link to a program of the tools package; the others are its libraries. */
const PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1'];

export type Redis = { child: Child; port: number };

/** The command that runs redis-server; throws with one line that says how to get it. */
export function findRedis(): string {
  for (const command of ['redis-server', '/usr/bin/redis-server', unpacked()]) {
    if (isRunnable(command)) return command;
  }
  if (!existsSync('/usr/bin/apt-get')) throw new Error(GET_IT);
  unpack();
  if (!isRunnable(unpacked())) throw new Error(GET_IT);
  return unpacked();
}

/** Starts a server on a free port, with nothing in it; resolves once it takes connections. */
export async function startRedis(place: Place, command: string): Promise<Redis> {
  const port = await freePort();
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: place.newFolder(),
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    save: '',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = place.start({ name: 'redis', command, args });
  while (!(await child.line()).includes('Ready to accept connections'));
  return { child, port };
}

function unpacked(): string {
  return join(CACHE, 'redis', 'redis-server');
}

function isRunnable(command: string): boolean {
  return spawnSync(command, ['--version']).status === 0;
}

/** Fetches the packages that Debian offers and unpacks them; a file beside them finds their libraries. */
function unpack(): void {
  const folder = join(CACHE, 'redis');
  mkdirSync(folder, { recursive: true });
  const run = (command: string, args: string[]): void => {
    const { status } = spawnSync(command, args, { cwd: folder, timeout: 120_000 });
    if (status !== 0) throw new Error(GET_IT);
  };
  run('apt-get', ['-q', 'download', ...PACKAGES]);
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb'))) {
    run('dpkg', ['-x', file, 'files']);
  }
  const libraries = readdirSync(join(folder, 'files', 'usr', 'lib'))
    .filter((name) => name.includes('-linux-'))
    .map((name) => join('files', 'usr', 'lib', name));
  const script = [
    '#!/bin/sh',
    'here=$(dirname "$0")',
    `LD_LIBRARY_PATH=${libraries.map((name) => `"$here"/${name}`).join(':')}`,
    'export LD_LIBRARY_PATH',
    'exec "$here"/files/usr/bin/redis-server "$@"',
  ];
  writeFileSync(unpacked(), `${script.join('\n')}\n`, { mode: 0o755 });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
