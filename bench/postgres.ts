/**
 * A PostgreSQL server for the peers: Debian's, installed or unpacked beside the sources. Every commit is synced; what
 * a machine of this size is given beside that is memory and room for its log, so that no checkpoint comes between.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { freePort, isRunnable, libraryPath, unpacked } from './debian.ts';
import type { Place } from './place.ts';

const GET_IT = 'no postgres: install one (apt-get install postgresql) and run again';
const INSTALLED = '/usr/lib/postgresql';
const PACKAGES = [
  'postgresql-15',
  'libpq5',
  'libllvm14',
  'libicu72',
  'libxml2',
  'libxslt1.1',
  'libz3-4',
  'libbsd0',
];
const SETTINGS = {
  synchronous_commit: 'on',
  fsync: 'on',
  shared_buffers: '1GB',
  effective_cache_size: '4GB',
  work_mem: '32MB',
  wal_buffers: '16MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '30min',
  random_page_cost: '1.1',
  max_connections: '100',
  jit: 'off',
};

export type Postgres = { child: Child; port: number };
type Programs = { folder: string; env: Record<string, string> };

/** Starts a server on a free port, with an empty database and one user, `bench`; resolves once it takes connections. */
export async function startPostgres(place: Place): Promise<Postgres> {
  const { folder, env } = programs();
  const user = unprivileged();
  const data = place.sharedFolder();
  if (user) chownSync(data, user.uid, user.gid);
  const inFolder = join(data, 'db');
  const args = ['-D', inFolder, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale', 'C', '--no-sync'];
  const made = spawnSync(join(folder, 'initdb'), args, {
    ...user,
    cwd: data,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr?.trim().split('\n').at(-1)}`);
  const port = await freePort();
  const settings = { ...SETTINGS, port, listen_addresses: '127.0.0.1', unix_socket_directories: '' };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // It logs on stderr; what is on stderr counts as a complaint.
  const shell = ['-c', 'exec "$0" "$@" 2>&1', join(folder, 'postgres'), '-D', inFolder, ...flags];
  // Immediate shutdown: its backends and its shared memory go with it.
  const options = { cwd: data, env, user, killedBy: 'SIGQUIT' } as const;
  const child = place.start({ name: 'postgres', command: '/bin/sh', args: shell, ...options });
  while (!(await child.line()).includes('ready to accept connections'));
  return { child, port };
}

/** Throws with one line that says how to get it. */
function programs(): Programs {
  const versions = existsSync(INSTALLED) ? readdirSync(INSTALLED).sort((a, b) => Number(b) - Number(a)) : [];
  const installed = versions.map((version) => join(INSTALLED, version, 'bin'));
  const folder = installed.find((bin) => isRunnable(join(bin, 'initdb')));
  if (folder !== undefined) return { folder, env: {} };
  const files = unpacked('postgres', PACKAGES, GET_IT);
  const found = { folder: join(files, INSTALLED, '15', 'bin'), env: { LD_LIBRARY_PATH: libraryPath(files) } };
  if (!isRunnable(join(found.folder, 'initdb'), found.env)) throw new Error(GET_IT);
  return found;
}

/** It refuses to run as root: then it runs as nobody. */
function unprivileged(): { uid: number; gid: number } | undefined {
  return process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
}
