/**
 * Where imported reports go: what the example needs of an object store, over a folder. Owns that a key is either
 * absent or whole, and that putting it again changes nothing.
 */
import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RetryableError } from '../../client/index.ts';
import { drawOf } from './draw.ts';

export type Objects = {
  /** Replaces what is there. */
  put(key: string, body: string): Promise<void>;
};

/** Objects as files: a put is a rename, so that nobody sees half of one. */
export class FolderObjects implements Objects {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async put(key: string, body: string): Promise<void> {
    const path = join(this.#folder, key);
    const part = `${path}.${randomBytes(6).toString('hex')}.part`;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(part, body);
    await rename(part, path);
  }

  get(key: string): Promise<string> {
    return readFile(join(this.#folder, key), 'utf8');
  }
}

/** How long a put takes at least, as over a network. */
const PUT_MS = 20;
const LOG = 'refused.log';

export type Busy = {
  seed: number;
  /** Share of the puts. */
  share: number;
  /** Which time this is that the same object is put: it may fare better than the one before. */
  attempt: number;
};

/**
 * A folder that is too busy for some puts, as S3 says by 503 SlowDown: half of them before they happen, half after.
 * Which ones depends on the seed, the key and the attempt; the log has a line for each.
 */
export class BusyObjects implements Objects {
  readonly #folder: string;
  readonly #busy: Busy;

  constructor(folder: string, busy: Busy) {
    this.#folder = folder;
    this.#busy = busy;
  }

  async put(key: string, body: string): Promise<void> {
    const { seed, share, attempt } = this.#busy;
    const left = drawOf(seed, key, attempt)();
    await pause(PUT_MS);
    if (left >= share / 2) await new FolderObjects(this.#folder).put(key, body);
    if (left >= share) return;
    await mkdir(this.#folder, { recursive: true });
    await appendFile(join(this.#folder, LOG), `${key}\n`);
    throw slowDown();
  }
}

/** The keys of the puts that a store in this folder was too busy for. */
export async function refusedPuts(folder: string): Promise<string[]> {
  const log = await readFile(join(folder, LOG), 'utf8').catch(() => '');
  return log.split('\n').slice(0, -1);
}

function slowDown(): RetryableError {
  return new RetryableError('the object store asks to slow down', { code: 'slow_down' });
}
