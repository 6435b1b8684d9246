/**
 * A Redis server for the peers: the one on PATH, or Debian's packages unpacked beside the sources. Started with an
 * append-only file synced every second and no eviction, as BullMQ's pages advise for production.
 */
import { join } from 'node:path';
import type { Child } from './child.ts';
import { freePort, isRunnable, libraryPath, unpacked } from './debian.ts';
import type { Place } from './place.ts';

const GET_IT = 'no redis-server: install one (apt-get install redis-server) and run again';
/** The server is a link to a program of the tools package; the others are its libraries. */
const PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1'];

export type Redis = { child: Child; port: number };
type Program = { command: string; env: Record<string, string> };

/** Starts a server on a free port, with nothing in it; resolves once it takes connections. */
export async function startRedis(place: Place): Promise<Redis> {
  const { command, env } = program();
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
  const child = place.start({ name: 'redis', command, args, env });
  while (!(await child.line()).includes('Ready to accept connections'));
  return { child, port };
}

/** Throws with one line that says how to get it. */
function program(): Program {
  const installed = ['redis-server', '/usr/bin/redis-server'].find((command) => isRunnable(command));
  if (installed !== undefined) return { command: installed, env: {} };
  const files = unpacked('redis', PACKAGES, GET_IT);
  const found = {
    command: join(files, 'usr/bin/redis-server'),
    env: { LD_LIBRARY_PATH: libraryPath(files) },
  };
  if (!isRunnable(found.command, found.env)) throw new Error(GET_IT);
  return found;
}
