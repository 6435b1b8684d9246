/**
 * Where imported reports go: what the example needs of an object store, over a folder. Owns that a key is either
 * absent or whole, and that putting it again changes nothing.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RetryableError } from '../../client/index.ts';

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

/** A store that is too busy for a share of the puts, as S3 says by 503 SlowDown: some before they happen, some after. */
export class BusyObjects implements Objects {
  readonly #objects: Objects;
  readonly #share: number;

  constructor(objects: Objects, share: number) {
    this.#objects = objects;
    this.#share = share;
  }

  async put(key: string, body: string): Promise<void> {
    const draw = Math.random();
    await pause(PUT_MS);
    if (draw < this.#share / 2) throw slowDown();
    await this.#objects.put(key, body);
    if (draw < this.#share) throw slowDown();
  }
}

function slowDown(): RetryableError {
  return new RetryableError('the object store asks to slow down', { code: 'slow_down' });
}
