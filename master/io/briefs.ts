/**
 * Briefs: what is the same for every unit of an epic, kept by content under `<dir>/briefs/<sha256>`.
 * It owns the files and a bounded memory of those used last; what is in a brief is the worker's business.
 *
 * B1: a brief that has a hash is durable and whole; the bytes are checked against it when read.
 * B2: at most BRIEFS_CACHED_BYTES_MAX bytes stay in memory.
 * B3: a brief that was put is there whatever is being removed: each put makes its file young again.
 */
import { createHash } from 'node:crypto';
import { open, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { GimmeError } from '../../shared/core/errors.ts';
import { BRIEF_BYTES_MAX, BRIEFS_CACHED_BYTES_MAX } from '../../shared/core/limits.ts';
import { openDurableDir, partOf, publish, storeFault } from './durableDir.ts';

const HASH = /^[0-9a-f]{64}$/;

export class Briefs {
  readonly #dir: string;
  readonly #cacheBytesMax: number;
  /** Least recently used first. */
  readonly #cache = new Map<string, Buffer>();
  #cachedBytes = 0;
  /** Writes under way: the same brief put twice is written once. */
  readonly #puts = new Map<string, Promise<void>>();
  readonly #removals = new Map<string, Promise<void>>();

  private constructor(dir: string, cacheBytesMax: number) {
    this.#dir = dir;
    this.#cacheBytesMax = cacheBytesMax;
  }

  /** Opens `<dir>/briefs`, made if need be. */
  static async open(dir: string, options: { cacheBytesMax?: number } = {}): Promise<Briefs> {
    const own = join(dir, 'briefs');
    await openDurableDir(own);
    return new Briefs(own, options.cacheBytesMax ?? BRIEFS_CACHED_BYTES_MAX);
  }

  /** Keeps a brief and returns its SHA-256 in hex. Throws too_large or store_failed. */
  async put(bytes: Uint8Array): Promise<string> {
    if (bytes.length > BRIEF_BYTES_MAX) {
      throw new GimmeError(
        'too_large',
        `the brief has ${bytes.length} bytes, the limit is ${BRIEF_BYTES_MAX}; refer to large parts by URL`,
      );
    }
    const hash = hashOf(bytes);
    let put = this.#puts.get(hash);
    if (!put) {
      put = this.#write(hash, bytes).finally(() => this.#puts.delete(hash));
      this.#puts.set(hash, put);
    }
    await put;
    return hash;
  }

  /**
   * Returns a brief's bytes, which are not to be changed. Throws bad_request, not_found, source_damaged, or store_failed
   * where it cannot be read.
   */
  async get(hash: string): Promise<Buffer> {
    if (!HASH.test(hash)) {
      throw new GimmeError('bad_request', 'a brief is named by its SHA-256: 64 characters of 0-9 and a-f');
    }
    const bytes = this.#cache.get(hash) ?? (await this.#read(hash));
    this.#remember(hash, bytes);
    return bytes;
  }

  /** Removes every brief but these and those put since then (wall time). Throws store_failed. */
  async keepOnly(hashes: ReadonlySet<string>, putSinceMs: number): Promise<void> {
    try {
      for (const name of await readdir(this.#dir)) {
        if (!HASH.test(name) || hashes.has(name) || this.#puts.has(name)) continue;
        const removal = this.#removeOlder(name, putSinceMs).finally(() => this.#removals.delete(name));
        this.#removals.set(name, removal); // B3
        await removal;
      }
    } catch (error) {
      throw storeFault(error, `cannot remove briefs from ${this.#dir}`);
    }
  }

  async #removeOlder(hash: string, putSinceMs: number): Promise<void> {
    const path = join(this.#dir, hash);
    if ((await stat(path)).mtimeMs >= putSinceMs) return;
    await rm(path, { force: true });
    this.#forget(hash);
  }

  async #write(hash: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.#dir, hash);
    const part = partOf(path);
    try {
      await this.#removals.get(hash); // B3
      if (await isThere(path, bytes.length)) {
        const now = new Date();
        return await utimes(path, now, now);
      }
      const handle = await open(part, 'w');
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await publish(path);
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      throw storeFault(error, `cannot write the brief ${path}`);
    }
  }

  async #read(hash: string): Promise<Buffer> {
    const path = join(this.#dir, hash);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        throw new GimmeError('not_found', `the brief ${path} is not there: put it back or submit the same`, {
          cause: error,
        });
      }
      throw storeFault(error, `cannot read the brief ${path}`);
    }
    if (hashOf(bytes) !== hash) {
      const message = `the brief ${path} is damaged: put it back whole, or remove it and submit the same`;
      throw new GimmeError('source_damaged', message);
    }
    return bytes;
  }

  #remember(hash: string, bytes: Buffer): void {
    this.#forget(hash);
    if (bytes.length > this.#cacheBytesMax) return;
    this.#cache.set(hash, bytes);
    this.#cachedBytes += bytes.length;
    for (const oldest of this.#cache.keys()) {
      if (this.#cachedBytes <= this.#cacheBytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(hash: string): void {
    const bytes = this.#cache.get(hash);
    if (!bytes) return;
    this.#cache.delete(hash);
    this.#cachedBytes -= bytes.length;
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A file of that name is whole (`durableDir.ts`) unless something else cut it: then it is written again. */
async function isThere(path: string, bytes: number): Promise<boolean> {
  try {
    return (await stat(path)).size === bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
