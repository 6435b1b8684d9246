/**
 * Block files: what workers read from a named source, batch after batch. A block is a batch as it goes on the wire, with a
 * checksum, so a file needs no other and is read again block by block.
 *
 *   uint32 CRC-32 of the offset and all that follows · uint32 bytes of all that follows
 *   uint32 units · uint32 bytes of them · units, each { uint32 length · bytes } · bad ones as JSON
 *
 * B1: a block is durable, and so is its file's name, before its offset is told to anybody.
 * B2: what lies behind the offset that is recorded was never read: the next block is written over it.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { assert } from '../../shared/core/errors.ts';
import { GRANT_UNITS_MAX, MESSAGE_BYTES_MAX } from '../../shared/core/limits.ts';
import { unitsOf } from '../../shared/protocol/codec.ts';
import type { BadUnit, Batch } from '../core/source.ts';
import { syncDir } from './durableDir.ts';
import { pread } from './spoolFile.ts';
import { sourceDamaged } from './spoolSums.ts';

/** What a block keeps of a batch. */
export type BlockUnits = Pick<Batch, 'first' | 'count' | 'framed' | 'bad'>;

const HEAD_BYTES = 8;
const COUNTS_BYTES = 8;
/** Units, and their bad ones, came in one message. */
const BLOCK_BYTES_MAX = 2 * MESSAGE_BYTES_MAX;

/** Writes a block at `offset` of the file at `path`, which is made if need be; returns where the next one begins (B1). */
export async function appendBlock(path: string, offset: number, block: BlockUnits): Promise<number> {
  const bytes = encode(offset, block);
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT);
  try {
    await write(handle, bytes, offset);
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (offset === 0) await syncDir(dirname(path));
  return offset + bytes.length;
}

/** Reads the block at `offset`, whose first unit is `first`; nothing follows it at `size`. Throws source_damaged. */
export async function readBlock(
  path: string,
  { offset, first, size }: { offset: number; first: number; size: number },
): Promise<Batch> {
  const handle = await open(path, 'r');
  try {
    const head = await pread(handle, offset, HEAD_BYTES);
    const length = head.length === HEAD_BYTES ? head.readUInt32BE(4) : 0;
    const isPossible = length >= COUNTS_BYTES && length <= BLOCK_BYTES_MAX;
    const rest = isPossible ? await pread(handle, offset + HEAD_BYTES, length) : Buffer.alloc(0);
    const next = offset + HEAD_BYTES + length;
    if (!isPossible || rest.length < length || crcOf(offset, rest) !== head.readUInt32BE(0))
      throw sourceDamaged(`the block file ${path} is damaged from byte ${offset} on`);
    return { ...decode(rest, first), offset, next, end: next >= size };
  } finally {
    await handle.close();
  }
}

function encode(offset: number, { first, count, framed, bad }: BlockUnits): Buffer {
  assert(count > 0 && count <= GRANT_UNITS_MAX, `a block of ${count} units`);
  const counts = Buffer.alloc(COUNTS_BYTES);
  counts.writeUInt32BE(count, 0);
  counts.writeUInt32BE(framed.length, 4);
  // Numbered from the block on: what is in it does not depend on what was read before.
  const told = bad.map(({ unit, code, message }) => ({ unit: unit - first, code, message }));
  const rest = Buffer.concat([counts, framed, Buffer.from(JSON.stringify(told))]);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(crcOf(offset, rest), 0);
  head.writeUInt32BE(rest.length, 4);
  return Buffer.concat([head, rest]);
}

function decode(rest: Buffer, first: number): Omit<Batch, 'offset' | 'next' | 'end'> {
  const count = rest.readUInt32BE(0);
  const framed = rest.subarray(COUNTS_BYTES, COUNTS_BYTES + rest.readUInt32BE(4));
  const told = JSON.parse(rest.subarray(COUNTS_BYTES + framed.length).toString()) as BadUnit[];
  const bad = told.map(({ unit, code, message }) => ({ unit: first + unit, code, message }));
  return { first, count, framed, starts: startsOf(framed), bad };
}

/** Where each unit of these begins with its length, and where one after the last would. */
export function startsOf(framed: Uint8Array): Uint32Array {
  const units = unitsOf(framed);
  const starts = new Uint32Array(units.count + 1);
  for (let i = 0; i < units.count; i++) starts[i + 1] = (starts[i] as number) + 4 + units.at(i).length;
  return starts;
}

/** A block that is found at another place than it was written at is damage, too. */
function crcOf(offset: number, rest: Uint8Array): number {
  const place = Buffer.alloc(8);
  place.writeBigUInt64BE(BigInt(offset));
  return crc32(rest, crc32(place));
}

async function write(handle: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
