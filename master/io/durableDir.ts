/**
 * A directory whose files appear whole or not at all. A file is written as `<name>.part`, synced, renamed
 * and the directory synced; after a crash a `.part` is a file that never was.
 */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GimmeError } from '../../shared/core/errors.ts';

const PART = '.part';

/** Makes the directory if it is not there and removes what unfinished writes left in it. */
export async function openDurableDir(dir: string): Promise<void> {
  try {
    const made = await makeDir(dir);
    if (made !== undefined) await syncDir(dirname(made));
    for (const name of await readdir(dir)) {
      if (name.endsWith(PART)) await rm(join(dir, name), { force: true });
    }
  } catch (error) {
    throw storeFault(error, `cannot use the directory ${dir}`);
  }
}

/**
 * Makes a directory and those above it; returns the topmost one made, if any. Node's own `recursive` never ends
 * where a system says ENOENT of a folder whose parent is there, as Linux does below /proc.
 */
export async function makeDir(dir: string): Promise<string | undefined> {
  const above = dirname(dir);
  try {
    await mkdir(dir);
    return dir;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await isDir(dir))) return undefined;
    if (code !== 'ENOENT' || above === dir) throw error;
    if (await isDir(above)) {
      const message = `cannot make the directory ${dir}: ${above} takes none; choose another with --data`;
      throw new GimmeError('store_failed', message, { cause: error });
    }
  }
  const made = await makeDir(above);
  return (await makeDir(dir)) && (made ?? dir);
}

async function isDir(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** The name under which the file at `path` is written before it is whole. */
export function partOf(path: string): string {
  return path + PART;
}

/** Gives a written and synced `.part` its name, durably, or removes it. */
export async function publish(path: string): Promise<void> {
  await rename(partOf(path), path);
  try {
    await syncDir(dirname(path));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** Makes the names in a directory durable. */
export async function syncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a system's error one of the store, which says what failed, why, and the cure; others stay as they are. */
export function storeFault(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  const code = (error as NodeJS.ErrnoException).code ?? error.message;
  const cure = CURES[code];
  return new GimmeError('store_failed', `${what}: ${code}${cure === undefined ? '' : `, ${cure}`}`, {
    cause: error,
  });
}

const CURES: Record<string, string> = {
  ENOSPC: 'the disk is full; make room',
  EDQUOT: 'the quota is used up; make room',
  EIO: 'the disk reports an error; check it',
  EROFS: 'the file system is read-only; choose another with --data',
  EACCES: 'permission denied; correct the owner or choose another with --data',
  EPERM: 'permission denied; correct the owner or choose another with --data',
  ENOENT: 'it is not there; something outside Gimmework removed it',
  EEXIST: 'a file is in its place; choose another with --data',
  ENOTDIR: 'a file is in its place; choose another with --data',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
  ENFILE: 'too many open files on this machine; raise the limit',
};
