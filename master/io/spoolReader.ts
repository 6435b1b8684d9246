/**
 * One read of one spool: from an offset to a batch of units. It owns how much is read for that; the framer
 * knows what a record is, the spool owns the file.
 *
 * S3: a read keeps no state. The same offset gives the same units, whatever the limits (F1), and a batch
 *     is read again exactly by its own `count` and `next - offset` as limits.
 * S4: a batch with units ends on the next unit or at the very end, so the last one says so.
 */
import { assert } from '../../shared/core/errors.ts';
import { READ_BYTES } from '../../shared/core/limits.ts';
import { type Cut, cut, type RecordFormat, WINDOW } from '../core/framer.ts';
import type { Batch, SourceSpec } from '../core/source.ts';
import { READ_BEYOND_BYTES, type SpoolFile } from './spoolFile.ts';

type SpoolSource = Extract<SourceSpec, { type: 'spool' }>;

/**
 * At most so many units, from records that begin within so many bytes (READ_BYTES at most); always one
 * unit if there is one. A range has no bytes to limit.
 */
export type ReadLimits = { units: number; bytes: number };

/** Read beyond the bytes asked for, so that the last record is nearly always whole at once. */
const SLACK_BYTES = 4 * 1024;
/** Chunks are cut into units at once and not kept, so their buffers serve again instead of waiting to be collected. */
const CHUNK_BYTES = READ_BYTES + SLACK_BYTES + READ_BEYOND_BYTES;
const POOL_MAX = 4;
const POOL: Buffer[] = [];
/** Bytes per read when looking for the end of a long line or of empty lines. */
const SEEK_BYTES = 256 * 1024;
const LF = 10;
const CR = 13;

export class SpoolReader {
  readonly #file: SpoolFile;
  readonly #source: SpoolSource;
  readonly #format: RecordFormat;
  readonly #what: string;

  constructor(file: SpoolFile, source: SpoolSource, what: string) {
    this.#file = file;
    this.#source = source;
    this.#what = what;
    this.#format =
      source.format === 'csv' ? { type: 'csv', delimiter: source.delimiter ?? ',' } : { type: 'ndjson' };
  }

  async batch(offset: number, first: number, limits: ReadLimits): Promise<Batch> {
    const { bytes: size } = this.#source;
    let at = offset;
    for (;;) {
      const found = await this.#cut(at, first, limits);
      let next = at + found.used;
      if (found.tail === 'line') next = await this.#pastLine(next);
      if (found.tail !== 'record') next = await this.#pastEmptyLines(next);
      if (found.count > 0 || next >= size) {
        const { count, framed, starts, bad } = found;
        return { first, count, framed, starts, bad, offset, next, end: next >= size };
      }
      assert(next > at, `${this.#what}: no progress at ${at}`);
      at = next;
    }
  }

  /** Cuts at `at`, with enough bytes that no record asked for is left in pieces. */
  async #cut(at: number, first: number, limits: ReadLimits): Promise<Cut> {
    const bytes = Math.min(limits.bytes, READ_BYTES);
    const { units } = limits;
    for (const slack of [SLACK_BYTES, WINDOW]) {
      const buffer = POOL.pop() ?? Buffer.allocUnsafe(CHUNK_BYTES);
      const chunk = await this.#file.read(at, bytes + slack, buffer);
      const last = at + chunk.length >= this.#source.bytes;
      const found = cut(chunk, { format: this.#format, first, units, bytes, last });
      if (POOL.length < POOL_MAX) POOL.push(buffer);
      if (found.tail !== 'partial') return found;
      // Empty lines before the first record may push it out of the chunk: it is read from there.
      if (found.count === 0 && found.used > 0) return found;
    }
    assert(false, `${this.#what}: the record at ${at} has no end`);
  }

  /** The first byte after the LF at or after `from`, or the end. */
  async #pastLine(from: number): Promise<number> {
    let at = from;
    while (at < this.#source.bytes) {
      const chunk = await this.#file.read(at, SEEK_BYTES);
      const lf = chunk.indexOf(LF);
      if (lf !== -1) return at + lf + 1;
      at += chunk.length;
    }
    return at;
  }

  /** The first byte from `from` on that is not of an empty line, or the end. */
  async #pastEmptyLines(from: number): Promise<number> {
    let at = from;
    let bytes = 64;
    while (at < this.#source.bytes) {
      const chunk = await this.#file.read(at, bytes);
      let used = 0;
      while (chunk[used] === LF || (chunk[used] === CR && chunk[used + 1] === LF)) used++;
      if (chunk[used] === CR && at + used + 1 === this.#source.bytes) return this.#source.bytes;
      const cutCr = chunk[used] === CR && used + 1 === chunk.length;
      at += used;
      if (used < chunk.length && !cutCr) return at;
      bytes = SEEK_BYTES;
    }
    return at;
  }
}
