/**
 * A spool that is open for reading. Owns its handle and what is known of its chunks.
 *
 * S5: no byte is given out before its chunk was found as it was written, once since the file was opened.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { GimmeError } from '../../shared/core/errors.ts';
import { SPOOL_SUM_BYTES } from '../../shared/core/limits.ts';
import { Sums, sourceDamaged } from './spoolSums.ts';

/** What a read may take beyond what is asked for: the rest of its first and its last chunk. */
export const READ_BEYOND_BYTES = 2 * SPOOL_SUM_BYTES;

export class SpoolFile {
  readonly #path: string;
  readonly #size: number;
  readonly #handle: FileHandle;
  readonly #sums: Sums;

  private constructor(path: string, size: number, handle: FileHandle, sums: Sums) {
    this.#path = path;
    this.#size = size;
    this.#handle = handle;
    this.#sums = sums;
  }

  /** Opens the spool of `size` bytes at `path`. Throws source_damaged, or what the system says. */
  static async open(path: string, size: number): Promise<SpoolFile> {
    const handle = await open(path, 'r');
    try {
      return new SpoolFile(path, size, handle, await Sums.read(path, size));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * Reads `bytes` bytes at `at`, fewer only at the end; into `room` where it is large enough, and then valid until that
   * is used again. Throws source_damaged, or store_failed where the file is too short.
   */
  async read(at: number, bytes: number, room?: Buffer): Promise<Buffer> {
    const end = Math.min(at + bytes, this.#size);
    if (end <= at) return Buffer.alloc(0);
    const first = Math.floor(at / SPOOL_SUM_BYTES);
    const last = Math.floor((end - 1) / SPOOL_SUM_BYTES);
    const from = this.#sums.isVerified(first) ? at : first * SPOOL_SUM_BYTES;
    const to = this.#sums.isVerified(last) ? end : this.#endOf(last);
    const wanted = to - from;
    const span = await pread(this.#handle, from, wanted, room && room.length >= wanted ? room : undefined);
    if (span.length < wanted) {
      const what = `cannot read the spool ${this.#path}`;
      throw new GimmeError('store_failed', `${what}: it is shorter than its ${this.#size} bytes`);
    }
    for (let chunk = first; chunk <= last; chunk++) this.#verify(chunk, span, from);
    return span.subarray(at - from, end - from);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** S5: a chunk that is not verified yet is whole in the span that begins at `from`. */
  #verify(chunk: number, span: Buffer, from: number): void {
    if (this.#sums.isVerified(chunk)) return;
    const start = chunk * SPOOL_SUM_BYTES;
    const end = this.#endOf(chunk);
    if (this.#sums.verify(chunk, span.subarray(start - from, end - from))) return;
    throw sourceDamaged(`the spool ${this.#path} is damaged in bytes ${start} to ${end - 1}`);
  }

  #endOf(chunk: number): number {
    return Math.min((chunk + 1) * SPOOL_SUM_BYTES, this.#size);
  }
}

/** Reads up to `bytes` bytes at `at`, into `room` where given; fewer only at the end of the file. */
export async function pread(handle: FileHandle, at: number, bytes: number, room?: Buffer): Promise<Buffer> {
  const buffer = room ?? Buffer.allocUnsafe(bytes);
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await handle.read(buffer, filled, bytes - filled, at + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
