/**
 * The framer cuts a chunk of a spool into records and puts them into the form they have on the wire.
 * It owns where a record begins and ends; what is in a record is the worker's business. It keeps no
 * state: every cut begins at the start of a line and says where the next one begins.
 *
 * NDJSON: a record is a line. CSV (RFC 4180): a record ends at the first line end outside quotes; a
 * quote opens only at the start of a field, elsewhere it is data. A line end is LF or CRLF and is not
 * part of the record. Empty lines are not records.
 *
 * F1: the units of a spool depend on its bytes alone, not on the size or place of the reads.
 *     So every verdict on a long record looks at the same WINDOW bytes of it.
 * F2: a record over UNIT_BYTES_MAX, or open at the spool's end, is numbered and bad. Reading resumes on the
 *     line after the quote that somebody forgot to close; without one, on the line after the limit.
 * F3: a chunk costs O(its bytes), and a broken one at most BAD_PER_CUT_MAX windows more.
 */
import { BAD_PER_CUT_MAX, UNIT_BYTES_MAX } from '../../shared/core/limits.ts';
import type { BadUnit } from './source.ts';

const LF = 10;
const CR = 13;
const QUOTE = 34;

/** Bytes that tell whether a record is over the limit: the limit and a CRLF. */
export const WINDOW = UNIT_BYTES_MAX + 2;
/** Of the length before each record of a frame. */
const LENGTH_BYTES = 4;
/** From this mean length on it is cheaper to copy each record by itself. */
const LONG_BYTES = 400;

/** How records are told apart; `delimiter` is one byte. */
export type RecordFormat = { type: 'ndjson' } | { type: 'csv'; delimiter: string };

export type CutOptions = {
  format: RecordFormat;
  /** The number of the first unit in the chunk. */
  first: number;
  /** Units to cut at most. */
  units: number;
  /** A record that starts here or later is left for another cut, unless it is the first. */
  bytes: number;
  /** The spool ends with this chunk. */
  last: boolean;
};

/** What one cut brought; `framed` and `starts` are those of a `Batch`. */
export type Cut = {
  count: number;
  framed: Uint8Array;
  starts: Uint32Array;
  bad: BadUnit[];
  /** Bytes of the chunk that are done with. */
  used: number;
  /**
   * What stands at `used`. `record`: another record, beyond what was asked for. `partial`: one that was
   * asked for, but WINDOW bytes of it are not there. `unknown`: the chunk ends there, or has only a CR left
   * that may be an empty line. `line`: the rest of a bad record, up to and with the next LF.
   */
  tail: 'record' | 'partial' | 'unknown' | 'line';
};

/** Start and end of each record found, and how far the chunk was used. */
type Found = { bounds: Uint32Array; count: number; bad: BadUnit[]; used: number; tail: Cut['tail'] };

/** Cuts as many whole records as the chunk holds, at most `units`. The chunk begins at the start of a line. */
export function cut(chunk: Uint8Array, options: CutOptions): Cut {
  const found = find(chunk, options);
  const { framed, starts } = framedOf(chunk, found.bounds, found.count);
  return { count: found.count, framed, starts, bad: found.bad, used: found.used, tail: found.tail };
}

function find(chunk: Uint8Array, { format, first, units, bytes, last }: CutOptions): Found {
  const csv = format.type === 'csv';
  const delimiter = csv ? format.delimiter.charCodeAt(0) : 0;
  const size = chunk.length;
  // A record and its line end are two bytes at least.
  const bounds = new Uint32Array(2 * Math.min(units, (size >>> 1) + 1));
  const bad: BadUnit[] = [];
  let quote = csv ? positionOf(chunk, QUOTE, 0) : Infinity;
  let count = 0;
  let at = pastEmptyLines(chunk, 0, last);
  while (at < size && count < units && (at < bytes || count === 0) && bad.length < BAD_PER_CUT_MAX) {
    const limit = Math.min(size, at + WINDOW);
    if (quote < at) quote = positionOf(chunk, QUOTE, at);
    const line = chunk.indexOf(LF, at);
    // Nearly always there is no quote in the line, and its end is the record's.
    const plain = quote >= (line === -1 ? limit : Math.min(line, limit));
    const end = plain ? line : recordEnd(chunk, at, limit, delimiter);
    if (end < 0 && size - at < WINDOW && !last) {
      const tail = chunk[at] === CR && at + 1 === size ? 'unknown' : 'partial';
      return { bounds, count, bad, used: at, tail };
    }

    const stop = end >= 0 ? end : size;
    const trimmed = chunk[stop - 1] === CR ? stop - 1 : stop;
    if ((end >= 0 || (end === OUTSIDE && last)) && trimmed - at <= UNIT_BYTES_MAX) {
      bounds[2 * count] = at;
      bounds[2 * count + 1] = trimmed;
      count++;
      at = pastEmptyLines(chunk, Math.min(size, stop + 1), last);
      continue;
    }

    // F2: what comes next begins after a line end that does not depend on where the chunk ends (F1).
    const forgotten = csv && end < 0 ? unclosedQuote(chunk, at, limit, delimiter) : -1;
    bad.push(badRecord(first + count, forgotten !== -1));
    count++;
    const resume = end >= 0 ? end : chunk.indexOf(LF, forgotten === -1 ? limit : forgotten);
    if (resume === -1) return { bounds, count, bad, used: size, tail: last ? 'unknown' : 'line' };
    at = pastEmptyLines(chunk, resume + 1, last);
  }
  const maybeEmpty = at === size || (chunk[at] === CR && at + 1 === size);
  return { bounds, count, bad, used: at, tail: maybeEmpty ? 'unknown' : 'record' };
}

/** `recordEnd` found no end: no quote is open, or one is. */
const OUTSIDE = -1;
const INSIDE = -2;

/**
 * Finds the LF that ends the CSV record at `from`, looking no further than `to`; OUTSIDE or INSIDE if it
 * is not there. A quote in the last byte counts as closing.
 */
function recordEnd(chunk: Uint8Array, from: number, to: number, delimiter: number): number {
  let fieldStart = true;
  let at = from;
  while (at < to) {
    const byte = chunk[at];
    if (byte === QUOTE && fieldStart) {
      const close = closingQuote(chunk, at + 1, to);
      if (close === -1) return INSIDE;
      at = close;
      fieldStart = false;
    } else if (byte === LF) {
      return at;
    } else {
      fieldStart = byte === delimiter;
    }
    at++;
  }
  return OUTSIDE;
}

/**
 * Finds the quote that somebody forgot to close in the record at `from`: the first that is open at `to`,
 * or whose closing quote has text after it, as the opening quote of a later field has. -1 if none.
 */
function unclosedQuote(chunk: Uint8Array, from: number, to: number, delimiter: number): number {
  let fieldStart = true;
  for (let at = from; at < to; at++) {
    if (chunk[at] !== QUOTE || !fieldStart) {
      fieldStart = chunk[at] === delimiter;
      continue;
    }
    const close = closingQuote(chunk, at + 1, to);
    const after = chunk[close + 1];
    const proper = close + 1 === to || after === delimiter || after === LF || after === CR;
    if (close === -1 || !proper) return at;
    at = close;
    fieldStart = false;
  }
  return -1;
}

function closingQuote(chunk: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    if (chunk[at] !== QUOTE) continue;
    if (at + 1 < to && chunk[at + 1] === QUOTE) at++;
    else return at;
  }
  return -1;
}

/** The first position from `at` on that is not an empty line; a CR at the chunk's end is one only at the spool's. */
function pastEmptyLines(chunk: Uint8Array, at: number, last: boolean): number {
  let start = at;
  for (;;) {
    if (chunk[start] === LF) start++;
    else if (chunk[start] === CR && chunk[start + 1] === LF) start += 2;
    else if (chunk[start] === CR && start + 1 === chunk.length && last) start++;
    else return start;
  }
}

function positionOf(chunk: Uint8Array, byte: number, from: number): number {
  const at = chunk.indexOf(byte, from);
  return at === -1 ? Infinity : at;
}

function badRecord(unit: number, unclosed: boolean): BadUnit {
  const message = unclosed
    ? `record ${unit + 1} opens a quote that is not closed within ${UNIT_BYTES_MAX} bytes; ` +
      'reading went on after the line with that quote'
    : `record ${unit + 1} is over the limit of ${UNIT_BYTES_MAX} bytes`;
  return { unit, code: unclosed ? 'unclosed_quote' : 'unit_too_large', message };
}

function framedOf(chunk: Uint8Array, bounds: Uint32Array, count: number) {
  const starts = new Uint32Array(count + 1);
  let total = 0;
  let isClose = true;
  for (let i = 0; i < count; i++) {
    starts[i] = total;
    total += LENGTH_BYTES + bounds[2 * i + 1]! - bounds[2 * i]!;
    const gap = i === 0 ? 0 : bounds[2 * i]! - bounds[2 * i - 1]!;
    if (gap < 0 || gap > LENGTH_BYTES) isClose = false;
  }
  starts[count] = total;
  const framed = new Uint8Array(total);
  if (isClose && total < LONG_BYTES * count) moveRecords(framed, chunk, { bounds, starts, count });
  else {
    for (let i = 0; i < count; i++)
      framed.set(chunk.subarray(bounds[2 * i], bounds[2 * i + 1]), starts[i]! + LENGTH_BYTES);
  }
  for (let i = 0; i < count; i++) {
    writeLength(framed, starts[i]!, starts[i + 1]! - starts[i]! - LENGTH_BYTES);
  }
  return { framed, starts };
}

/**
 * Copies the records at one go to the end of the frame and moves each to its place: a view of each would cost as much
 * as a short record, and leave it to the garbage collector. None reaches the one after it before that has moved, since
 * what parts them is no longer than the length before each.
 */
function moveRecords(
  framed: Uint8Array,
  chunk: Uint8Array,
  { bounds, starts, count }: { bounds: Uint32Array; starts: Uint32Array; count: number },
): void {
  const from = bounds[0]!;
  const to = bounds[2 * count - 1]!;
  const moved = framed.length - to;
  framed.set(chunk.subarray(from, to), moved + from);
  for (let i = 0; i < count; i++) {
    framed.copyWithin(starts[i]! + LENGTH_BYTES, moved + bounds[2 * i]!, moved + bounds[2 * i + 1]!);
  }
}

function writeLength(framed: Uint8Array, at: number, length: number): void {
  framed[at] = length >>> 24;
  framed[at + 1] = length >>> 16;
  framed[at + 2] = length >>> 8;
  framed[at + 3] = length;
}

/** Where the CSV record at the start of `chunk` ends, for the header; it has no frame. */
export function endOfRecord(chunk: Uint8Array, delimiter: string): { end: number } | 'unclosed' | 'none' {
  const end = recordEnd(chunk, 0, Math.min(chunk.length, WINDOW), delimiter.charCodeAt(0));
  if (end >= 0) return { end };
  return end === INSIDE ? 'unclosed' : 'none';
}

/**
 * Frames the numbers from `value` on as decimal text, `count` of them: the units of a range source.
 * Numbers are safe integers.
 */
export function frameNumbers(value: number, count: number): { framed: Uint8Array; starts: Uint32Array } {
  const starts = new Uint32Array(count + 1);
  let total = 0;
  for (let i = 0; i < count; i++) {
    starts[i] = total;
    total += 4 + decimalLength(value + i);
  }
  starts[count] = total;
  const framed = new Uint8Array(total);
  for (let i = 0; i < count; i++) {
    const at = starts[i]! + 4;
    const end = starts[i + 1]!;
    writeLength(framed, at - 4, end - at);
    let rest = Math.abs(value + i);
    for (let digit = end - 1; digit >= at; digit--) {
      const tenth = Math.floor(rest / 10);
      framed[digit] = 48 + (rest - tenth * 10);
      rest = tenth;
    }
    if (value + i < 0) framed[at] = 45;
  }
  return { framed, starts };
}

function decimalLength(value: number): number {
  let length = value < 0 ? 2 : 1;
  for (let rest = Math.abs(value); rest >= 10; rest = Math.floor(rest / 10)) length++;
  return length;
}
