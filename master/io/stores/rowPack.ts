/**
 * Changes of rows on their way to the store's thread: texts and one block of bytes. That is much cheaper to hand
 * over than as many objects, and the block moves without being copied again. (Bytes that come from a worker are
 * parts of a frame that others use too, so they cannot move themselves.)
 */
import type { EpicRecord, UnitData } from '../../core/records.ts';
import { type RowChange, rowChanges, type UnitRow } from '../../core/rows.ts';

/** `changes` has a text for each record that changes rows. */
export type PackedRows = { changes: string[]; block: Uint8Array<ArrayBuffer> };

type Put = Extract<RowChange, { op: 'put' }>;
/** In place of a row's data, how much of the block it is. */
type PackedPut = { op: 'put'; row: Omit<UnitRow, 'data'>; bytes?: number; state?: number };
type PackedChange = Exclude<RowChange, Put> | PackedPut;

/**
 * What these records do to the rows; nothing for the most of them, which leave the rows alone. It is made record by
 * record: the rows of a whole append, alive at one time, grew V8's heap by tens of megabytes.
 */
export function packRows(records: readonly EpicRecord[]): PackedRows | undefined {
  const changes: string[] = [];
  const parts: Uint8Array[] = [];
  for (const record of records) {
    const packed = rowChanges(record).map((change) => packedChange(change, parts));
    if (packed.length > 0) changes.push(JSON.stringify(packed));
  }
  return changes.length === 0 ? undefined : { changes, block: joined(parts) };
}

function packedChange(change: RowChange, parts: Uint8Array[]): PackedChange {
  if (change.op !== 'put') return change;
  const { data, ...row } = change.row;
  if (data) parts.push(data.bytes);
  if (data?.state) parts.push(data.state);
  return { op: 'put', row, ...sizesOf(data) };
}

/** The changes, made as they are taken: those of one record live at a time. */
export function* unpackRows({ changes, block }: PackedRows): Generator<RowChange> {
  let at = 0;
  const take = (bytes: number): Uint8Array => {
    at += bytes;
    return block.subarray(at - bytes, at);
  };
  for (const text of changes) {
    for (const change of JSON.parse(text) as PackedChange[]) {
      if (change.op !== 'put') {
        yield change;
        continue;
      }
      const { row, bytes, state } = change;
      if (bytes === undefined) yield { op: 'put', row };
      else {
        const data = { bytes: take(bytes), ...(state !== undefined && { state: take(state) }) };
        yield { op: 'put', row: { ...row, data } };
      }
    }
  }
}

function sizesOf(data: UnitData | undefined): { bytes?: number; state?: number } {
  if (!data) return {};
  return data.state ? { bytes: data.bytes.length, state: data.state.length } : { bytes: data.bytes.length };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const part of parts) size += part.length;
  const block = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    block.set(part, at);
    at += part.length;
  }
  return block;
}
