/**
 * An append on its way to the store's thread: one block of bytes, which moves without being copied. It has the
 * records as JSON, then what each record does to the rows as JSON, then the bytes of units, which come from parts of
 * frames that others use too, and so cannot move themselves.
 *
 * As texts and objects the same would be copied into the heap of the thread and live there for the whole append: that
 * heap, and the master with it, grew by megabytes for each hundred rows of an append.
 *
 * B1: what records do to rows is made, written and read record by record: only those of one live at a time.
 */
import type { EpicRecord, UnitData } from '../../core/records.ts';
import { journaled, type RowChange, type RowState, rowChanges, type UnitRow } from '../../core/rows.ts';

/** `submitted` are the epics that records of it submit. */
export type Append = {
  wallMs: number;
  submitted: string[];
  /** Bytes at the start of the block that are the records. */
  records: number;
  /** Bytes of what each record does to the rows, after those; records that leave the rows alone are not listed. */
  changes: number[];
  block: Uint8Array<ArrayBuffer>;
};

type Put = Extract<RowChange, { op: 'put' }>;
/** In the place of a row's data, how much of the block it is: its bytes, and its state. */
type PackedRow = [
  unit: number,
  state: RowState,
  code: string,
  message: string,
  step: number,
  attempt: number,
  dueWallMs: number,
  key: string,
  bytes?: number,
  saved?: number,
];
type PackedChange = Exclude<RowChange, Put> | PackedRow;
/** Of a packed row without data. */
const ROW_FIELDS = 8;
/** What one record does to the rows. */
type PackedChanges = { epic: string; of: PackedChange[] };

export function packAppend(records: readonly EpicRecord[], wallMs: number): Append {
  const texts: string[] = [];
  const changed: string[] = [];
  const data: Uint8Array[] = [];
  const submitted: string[] = [];
  for (const record of records) {
    texts.push(`${texts.length === 0 ? '[' : ','}${JSON.stringify(journaled(record))}`);
    const changes = changesOf(record, data);
    if (changes !== undefined) changed.push(changes);
    if (record.k === 'epic-submitted') submitted.push(record.epic);
  }
  texts.push(texts.length === 0 ? '[]' : ']');
  const changes = changed.map((text) => Buffer.byteLength(text));
  const bytes = sum(texts.map((text) => Buffer.byteLength(text)));
  // A buffer of its own: a part of Node's pool cannot move.
  const block = Buffer.allocUnsafeSlow(bytes + sum(changes) + sum(data.map(({ length }) => length)));
  let at = 0;
  for (const text of texts) at += block.write(text, at);
  for (const text of changed) at += block.write(text, at);
  for (const part of data) {
    block.set(part, at);
    at += part.length;
  }
  return { wallMs, submitted, records: bytes, changes, block };
}

/** The records of an append as JSON. */
export function recordsOf({ block, records }: Append): Uint8Array {
  return block.subarray(0, records);
}

/** What an append does to the rows, made as it is taken (B1). */
export function* changesIn({ block, records, changes }: Append): Generator<RowChange> {
  const buffer = Buffer.from(block.buffer, block.byteOffset, block.length);
  let textAt = records;
  let at = records + sum(changes);
  for (const bytes of changes) {
    const { epic, of } = JSON.parse(buffer.toString('utf8', textAt, textAt + bytes)) as PackedChanges;
    textAt += bytes;
    for (const change of of) {
      if (!Array.isArray(change)) {
        yield change;
        continue;
      }
      const [unit, state, code, message, step, attempt, dueWallMs, key, size = 0, saved = 0] = change;
      const row: UnitRow = { epic, unit, state, code, message, step, attempt, dueWallMs, key };
      if (change.length > ROW_FIELDS) row.data = { bytes: block.subarray(at, at + size) };
      at += size;
      if (row.data && change.length > ROW_FIELDS + 1) row.data.state = block.subarray(at, at + saved);
      at += saved;
      yield { op: 'put', row };
    }
  }
}

/** What a record does to the rows as JSON, its units' bytes in `data`; nothing for most records. */
function changesOf(record: EpicRecord, data: Uint8Array[]): string | undefined {
  const changes = rowChanges(record);
  if (changes.length === 0) return undefined;
  const of = changes.map(
    (change): PackedChange => (change.op === 'put' ? packedRow(change.row, data) : change),
  );
  return JSON.stringify({ epic: record.epic, of } satisfies PackedChanges);
}

function packedRow(row: UnitRow, parts: Uint8Array[]): PackedRow {
  const { unit, state, code, message, step, attempt, dueWallMs, key, data } = row;
  const packed: PackedRow = [unit, state, code, message, step, attempt, dueWallMs, key];
  if (data) pack(data, packed, parts);
  return packed;
}

function pack({ bytes, state }: UnitData, packed: PackedRow, parts: Uint8Array[]): void {
  packed.push(bytes.length);
  parts.push(bytes);
  if (!state) return;
  packed.push(state.length);
  parts.push(state);
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((all, size) => all + size, 0);
}
