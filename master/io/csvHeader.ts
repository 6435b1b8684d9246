/**
 * The header of a CSV file: its column names, the delimiter found in it, and where the records begin.
 * A header that does not fit is refused as `bad_source`; the message names the column and the cure.
 */
import { isUtf8 } from 'node:buffer';
import { parse } from 'csv-parse/sync';
import { GimmeError } from '../../shared/core/errors.ts';
import { CSV_COLUMNS_MAX, UNIT_BYTES_MAX } from '../../shared/core/limits.ts';
import { endOfRecord } from '../core/framer.ts';

export type CsvHeader = {
  columns: string[];
  delimiter: string;
  /** Bytes of `head` up to the first byte after the header's line. */
  bytes: number;
};

/** The delimiters that are looked for; where two are equally frequent the first one counts. */
const DELIMITERS = [',', ';', '\t', '|'];
const LF = 10;
const CR = 13;
const QUOTE = 34;

/** Reads the header at the start of `head`: the file's first bytes after a byte order mark. */
export function readCsvHeader(head: Buffer): CsvHeader {
  let start = 0;
  while (head[start] === LF || (head[start] === CR && (head[start + 1] ?? LF) === LF)) start++;
  const rest = head.subarray(start);
  if (rest.length === 0) throw bad('the file is empty: a CSV needs a header line with the column names');

  const delimiter = delimiterOf(rest);
  const found = endOfRecord(rest, delimiter);
  if (found === 'unclosed') {
    throw bad('the CSV header opens a quote that is not closed; close it, or remove the quote');
  }
  const end = found === 'none' ? rest.length : found.end;
  const line = rest.subarray(0, rest[end - 1] === CR ? end - 1 : end);
  if (line.length > UNIT_BYTES_MAX) throw bad(`the CSV header is over the limit of ${UNIT_BYTES_MAX} bytes`);
  if (line.includes(0)) throw bad('the CSV header has NUL bytes; save the file as UTF-8 text');
  if (!isUtf8(line)) throw bad('the CSV header is not valid UTF-8; save the file as UTF-8');

  const columns = fieldsOf(line, delimiter).map((name) => name.trim());
  checkColumns(columns);
  return { columns, delimiter, bytes: Math.min(head.length, start + end + 1) };
}

/** The most frequent delimiter in the first line, outside quotes; a comma if there is none. */
function delimiterOf(head: Buffer): string {
  const counts = DELIMITERS.map(() => 0);
  let quoted = false;
  let fieldStart = true;
  for (let at = 0; at < head.length; at++) {
    const byte = head[at] as number;
    if (quoted) {
      quoted = byte !== QUOTE;
      continue;
    }
    if (byte === LF) break;
    const which = DELIMITERS.indexOf(String.fromCharCode(byte));
    if (which !== -1) counts[which] = (counts[which] as number) + 1;
    // The second quote of a doubled one opens the field again.
    quoted = byte === QUOTE && (fieldStart || head[at - 1] === QUOTE);
    fieldStart = which !== -1;
  }
  return DELIMITERS[counts.indexOf(Math.max(...counts))] as string;
}

function fieldsOf(line: Buffer, delimiter: string): string[] {
  let rows: string[][];
  try {
    rows = parse(line, { delimiter, record_delimiter: '\n' });
  } catch (cause) {
    const column = Number((cause as { column?: unknown }).column) + 1;
    const where = Number.isNaN(column) ? 'the CSV header' : `column ${column} of the CSV header`;
    throw new GimmeError(
      'bad_source',
      `${where} has a misplaced quote; quote whole names, without spaces around`,
      {
        cause,
      },
    );
  }
  return rows[0] as string[];
}

function checkColumns(columns: readonly string[]): void {
  if (columns.length > CSV_COLUMNS_MAX) {
    throw bad(
      `the CSV header has ${columns.length} columns, the limit is ${CSV_COLUMNS_MAX}; check the delimiter`,
    );
  }
  const seen = new Map<string, number>();
  for (const [at, name] of columns.entries()) {
    if (name === '')
      throw bad(`column ${at + 1} of the CSV header has no name; give it one, or remove the column`);
    const before = seen.get(name);
    if (before !== undefined) {
      const both = `columns ${before + 1} and ${at + 1} of the CSV header are both named ${JSON.stringify(name)}`;
      throw bad(`${both}; rename one of them`);
    }
    seen.set(name, at);
  }
}

function bad(message: string): GimmeError {
  return new GimmeError('bad_source', message);
}
