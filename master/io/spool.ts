/**
 * The spool keeps the bytes of uploads, and what workers read from named sources (`blocks.ts`), one file per epic, and
 * reads units from them. It owns the files and their open handles; what an epic has read so far is the core's to know.
 *
 * S1: a spool file is there whole and durable, with its sums before it, or not at all (`durableDir.ts`).
 * S2: a write holds WRITE_BYTES at most in memory, and takes from its body only what the disk has taken.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, GimmeError } from '../../shared/core/errors.ts';
import { isId } from '../../shared/core/ids.ts';
import { SPOOLS_OPEN_MAX } from '../../shared/core/limits.ts';
import { frameNumbers, WINDOW } from '../core/framer.ts';
import type { Batch, SourceSpec } from '../core/source.ts';
import { appendBlock, type BlockUnits, readBlock } from './blocks.ts';
import { readCsvHeader } from './csvHeader.ts';
import { openDurableDir, partOf, publish, storeFault } from './durableDir.ts';
import { pread, SpoolFile } from './spoolFile.ts';
import { type ReadLimits, SpoolReader } from './spoolReader.ts';
import { removeSums, SumsWriter, spoolOf } from './spoolSums.ts';

type SpoolSource = Extract<SourceSpec, { type: 'spool' }>;
type BlockSource = Extract<SourceSpec, { type: 'named' | 'blocks' }>;
type RangeSource = Extract<SourceSpec, { type: 'range' }>;

const WRITE_BYTES = 256 * 1024;

/** An open file and the reads that are using it. */
type OpenFile = { opened: Promise<SpoolFile>; reads: number };

export class Spool {
  readonly #dir: string;
  /** Least recently used first. */
  readonly #open = new Map<string, OpenFile>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens `<dir>/spool`, made if need be; uploads that a crash cut off are removed. */
  static async open(dir: string): Promise<Spool> {
    const own = join(dir, 'spool');
    await openDurableDir(own);
    return new Spool(own);
  }

  /**
   * Streams an upload to disk and makes it durable. Throws bad_source for a file that cannot be a source,
   * store_failed when the disk refuses, and whatever the body throws; nothing is left behind then.
   */
  async write(format: 'csv' | 'ndjson', body: AsyncIterable<Uint8Array>, id: string): Promise<SourceSpec> {
    const path = this.#path(id);
    const part = partOf(path);
    const what = `cannot write the spool ${path}`;
    let handle: FileHandle;
    try {
      handle = await open(part, 'wx+');
    } catch (error) {
      throw storeFault(error, what);
    }
    try {
      try {
        const writer = new PartWriter(handle, what);
        for await (const chunk of body) await writer.write(chunk);
        const { bytes, hash, sums } = await writer.end();
        const head = await readHead(handle, format, what);
        await handle.sync().catch(rethrowAs(what));
        await sums.publish(path).catch(rethrowAs(what));
        await publish(path).catch(rethrowAs(what));
        return { type: 'spool', id, format, bytes, hash, ...head };
      } finally {
        await handle.close();
      }
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      await removeSums(path).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Reads the units from `offset` on, the first of them numbered `first` (`spoolReader.ts`). Throws source_damaged,
   * or store_failed where another try may help.
   */
  async read(source: SourceSpec, offset: number, first: number, limits: ReadLimits): Promise<Batch> {
    assert(limits.units > 0 && limits.bytes > 0, `read of ${limits.units} units, ${limits.bytes} bytes`);
    if (source.type === 'range') return readRange(source, offset, first, limits);
    assert(source.type !== 'scatter', 'a gather is read before it is scattered');
    if (source.type !== 'spool') return this.#readBlock(source, offset, first);
    const what = `cannot read the spool ${this.#path(source.id)}`;
    const file = this.#file(source);
    file.reads++;
    try {
      const reader = new SpoolReader(await file.opened, source, what);
      return await reader.batch(offset, first, limits);
    } catch (error) {
      // What a person puts right is another file, or one to be looked at anew.
      if (this.#open.get(source.id) === file) this.#open.delete(source.id);
      throw storeFault(error, what);
    } finally {
      file.reads--;
      if (file.reads === 0 && this.#open.get(source.id) !== file) await closeFile(file);
      this.#closeIdle();
    }
  }

  /**
   * Makes a batch of a named source durable at `offset` of what was read of it; returns where the next one goes. Throws
   * store_failed.
   */
  async append(source: SourceSpec, offset: number, block: BlockUnits): Promise<number> {
    assert(source.type === 'named', `a batch for a source of type ${source.type}`);
    const path = this.#path(source.id);
    return appendBlock(path, offset, block).catch(rethrowAs(`cannot write the spool ${path}`));
  }

  async #readBlock(source: BlockSource, offset: number, first: number): Promise<Batch> {
    const path = this.#path(source.id);
    const size = source.type === 'blocks' ? source.bytes : Number.POSITIVE_INFINITY;
    const none = { first, count: 0, framed: new Uint8Array(), starts: new Uint32Array(1), bad: [] };
    if (offset >= size) return { ...none, offset, next: offset, end: true };
    return readBlock(path, { offset, first, size }).catch(rethrowAs(`cannot read the spool ${path}`));
  }

  /** Removes a spool; one that is not there is no error. A read under way may fail. */
  async remove(id: string): Promise<void> {
    const path = this.#path(id);
    const file = this.#open.get(id);
    this.#open.delete(id);
    if (file) await closeFile(file);
    const what = `cannot remove the spool ${path}`;
    await rm(path, { force: true }).catch(rethrowAs(what));
    await removeSums(path).catch(rethrowAs(what));
  }

  /** Removes every spool but these: a crash leaves those whose epic was never recorded, or ended just before. */
  async keepOnly(ids: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#dir)) {
      if (!ids.has(spoolOf(name))) await rm(join(this.#dir, name), { force: true });
    }
  }

  /** Closes all files, after the reads under way. */
  async close(): Promise<void> {
    const files = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(files.map(closeFile));
  }

  #path(id: string): string {
    assert(isId(id), `spool id ${JSON.stringify(id)}`);
    return join(this.#dir, id);
  }

  #file({ id, bytes }: SpoolSource): OpenFile {
    const file = this.#open.get(id) ?? { opened: SpoolFile.open(this.#path(id), bytes), reads: 0 };
    this.#open.delete(id);
    this.#open.set(id, file);
    return file;
  }

  #closeIdle(): void {
    for (const [id, file] of this.#open) {
      if (this.#open.size <= SPOOLS_OPEN_MAX) return;
      if (file.reads > 0) continue;
      this.#open.delete(id);
      void closeFile(file);
    }
  }
}

async function closeFile(file: OpenFile): Promise<void> {
  const opened = await file.opened.catch(() => undefined);
  // Nothing was written through it, so there is nothing that a failed close could lose.
  await opened?.close().catch(() => undefined);
}

function rethrowAs(what: string): (error: unknown) => never {
  return (error) => {
    throw storeFault(error, what);
  };
}

/** Collects small chunks into large writes and hashes what it wrote (S2). */
class PartWriter {
  readonly #handle: FileHandle;
  readonly #what: string;
  readonly #hash = createHash('sha256');
  readonly #sums = new SumsWriter();
  readonly #buffer = Buffer.allocUnsafe(WRITE_BYTES);
  #filled = 0;
  #bytes = 0;

  constructor(handle: FileHandle, what: string) {
    this.#handle = handle;
    this.#what = what;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#filled + chunk.length > WRITE_BYTES) await this.#flush();
    if (chunk.length > WRITE_BYTES) return this.#append(chunk);
    this.#buffer.set(chunk, this.#filled);
    this.#filled += chunk.length;
  }

  async end(): Promise<{ bytes: number; hash: string; sums: SumsWriter }> {
    await this.#flush();
    return { bytes: this.#bytes, hash: this.#hash.digest('hex'), sums: this.#sums };
  }

  async #flush(): Promise<void> {
    const filled = this.#filled;
    this.#filled = 0;
    if (filled > 0) await this.#append(this.#buffer.subarray(0, filled));
  }

  async #append(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#sums.add(bytes);
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          done,
          bytes.length - done,
          this.#bytes + done,
        );
        done += bytesWritten;
      }
    } catch (error) {
      throw storeFault(error, this.#what);
    }
    this.#bytes += bytes.length;
  }
}

async function readHead(
  handle: FileHandle,
  format: 'csv' | 'ndjson',
  what: string,
): Promise<{ body: number; columns?: string[]; delimiter?: string }> {
  const head = await pread(handle, 0, 3 + WINDOW).catch(rethrowAs(what));
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) {
    throw new GimmeError('bad_source', 'the file is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)');
  }
  const mark = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0;
  if (format === 'ndjson') return { body: mark };
  const { columns, delimiter, bytes } = readCsvHeader(head.subarray(mark));
  return { body: mark + bytes, columns, delimiter };
}

/** Units of a range are its numbers as decimal text, `to` not included. */
function readRange({ from, to }: RangeSource, offset: number, first: number, { units }: ReadLimits): Batch {
  const count = Math.max(0, Math.min(units, to - from - offset));
  const next = offset + count;
  const { framed, starts } = frameNumbers(from + offset, count);
  return { first, count, framed, starts, bad: [], offset, next, end: from + next >= to };
}
