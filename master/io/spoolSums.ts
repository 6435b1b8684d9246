/**
 * The sums of a spool: a CRC-32 for each chunk of SPOOL_SUM_BYTES, and one of them all at the end, in a file beside it.
 * They find what a disk gives back other than it was given; who forges a spool forges them too.
 */
import { open, readFile, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { GimmeError } from '../../shared/core/errors.ts';
import { SPOOL_SUM_BYTES } from '../../shared/core/limits.ts';
import { partOf, publish } from './durableDir.ts';

const SUM_BYTES = 4;
const SUMS = '.sums';

/** Where the sums of the spool at `path` are. */
export function sumsOf(path: string): string {
  return path + SUMS;
}

/** The spool that a file of a spool directory belongs to. */
export function spoolOf(name: string): string {
  return name.endsWith(SUMS) ? name.slice(0, -SUMS.length) : name;
}

/** Takes the sums of bytes as they come. */
export class SumsWriter {
  readonly #sums: number[] = [];
  #sum = 0;
  /** Bytes in the chunk that is not whole yet. */
  #filled = 0;

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + SPOOL_SUM_BYTES - this.#filled);
      this.#sum = crc32(part, this.#sum);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === SPOOL_SUM_BYTES) this.#endChunk();
    }
  }

  /** Makes the sums of the spool at `path` durable. */
  async publish(path: string): Promise<void> {
    if (this.#filled > 0) this.#endChunk();
    const bytes = Buffer.alloc((this.#sums.length + 1) * SUM_BYTES);
    for (const [chunk, sum] of this.#sums.entries()) bytes.writeUInt32BE(sum, chunk * SUM_BYTES);
    const end = bytes.length - SUM_BYTES;
    bytes.writeUInt32BE(crc32(bytes.subarray(0, end)), end);
    const own = sumsOf(path);
    const handle = await open(partOf(own), 'w');
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await publish(own);
  }

  #endChunk(): void {
    this.#sums.push(this.#sum);
    this.#sum = 0;
    this.#filled = 0;
  }
}

/** Removes the sums of the spool at `path`, whole or not; there may be none. */
export async function removeSums(path: string): Promise<void> {
  const own = sumsOf(path);
  for (const file of [own, partOf(own)]) await rm(file, { force: true });
}

/** The sums of a spool and which of its chunks were found to be as they were written. */
export class Sums {
  readonly #sums: Buffer;
  readonly #isVerified: Uint8Array;

  private constructor(sums: Buffer) {
    this.#sums = sums;
    this.#isVerified = new Uint8Array(sums.length / SUM_BYTES - 1);
  }

  /** Reads the sums of the spool at `path`, of `size` bytes. Throws source_damaged where they are not whole. */
  static async read(path: string, size: number): Promise<Sums> {
    const own = sumsOf(path);
    const bytes = await readFile(own).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw sourceDamaged(`${own} is gone, so nobody can tell whether the spool is whole`);
    });
    const end = Math.ceil(size / SPOOL_SUM_BYTES) * SUM_BYTES;
    if (bytes.length !== end + SUM_BYTES || bytes.readUInt32BE(end) !== crc32(bytes.subarray(0, end))) {
      throw sourceDamaged(`${own} is not as it was written`);
    }
    return new Sums(bytes);
  }

  isVerified(chunk: number): boolean {
    return this.#isVerified[chunk] === 1;
  }

  /** Tells whether these are the bytes of a chunk, and remembers that they are. */
  verify(chunk: number, bytes: Uint8Array): boolean {
    const isSame = crc32(bytes) === this.#sums.readUInt32BE(chunk * SUM_BYTES);
    if (isSame) this.#isVerified[chunk] = 1;
    return isSame;
  }
}

/** The refusal of a spool: `what` names the file, and the bytes where it is known. */
export function sourceDamaged(what: string): GimmeError {
  const cure = 'restore it from a backup and resume the epic, or cancel it and submit its source again';
  return new GimmeError('source_damaged', `${what}; ${cure}`);
}
