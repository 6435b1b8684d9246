/**
 * The unit parser turns the bytes of a unit into the value that a work's first step gets: what JSON says,
 * or for CSV an object of column name to text, untrimmed. Whether the value fits is the work's schema's
 * business. It keeps no state between calls.
 *
 * U1: what cannot be parsed is a value too: `invalid_unit`, with a message that names the record and,
 *     where known, the field. A bad unit never changes what another one becomes.
 * U2: no text becomes U+FFFD unasked: bytes that are not UTF-8 are refused.
 */
import { isUtf8 } from 'node:buffer';
import { parse } from 'csv-parse/sync';
import { unreachable } from '../../shared/core/errors.ts';
import { FAULT_MESSAGE_CHARS_MAX } from '../../shared/core/limits.ts';
import type { UnitFormat } from '../../shared/protocol/api.ts';

export type ParsedUnit = { ok: true; value: unknown } | { ok: false; code: 'invalid_unit'; message: string };

export type UnitParser = {
  /** Parses one unit; `unit` is its number. */
  parse(bytes: Uint8Array, unit: number): ParsedUnit;
  /**
   * Parses many units, `numbers[i]` being that of `units[i]`: the same results, a third of the time where
   * CSV has quotes.
   */
  parseAll(units: readonly Uint8Array[], numbers: readonly number[]): ParsedUnit[];
};

export function createUnitParser(format: UnitFormat): UnitParser {
  switch (format.type) {
    case 'json':
      return {
        parse: parseJson,
        parseAll: (units, numbers) => units.map((bytes, i) => parseJson(bytes, numbers[i] as number)),
      };
    case 'csv': {
      const csv = new CsvUnits(format.columns, format.delimiter);
      return {
        parse: (bytes, unit) => csv.parse(bytes, unit),
        parseAll: (units, numbers) => csv.parseAll(units, numbers),
      };
    }
    default:
      return unreachable(format);
  }
}

function parseJson(bytes: Uint8Array, unit: number): ParsedUnit {
  if (!isUtf8(bytes)) return invalid(unit, 'is not valid UTF-8; save the file as UTF-8');
  try {
    return { ok: true, value: JSON.parse(textOf(bytes)) };
  } catch (error) {
    return invalid(unit, `is not valid JSON: ${(error as Error).message}`);
  }
}

const LF = 10;
const QUOTE = 34;
const LINE_END = Buffer.from('\n');

type Fields = { ok: true; fields: string[] } | { ok: false; says: string };

class CsvUnits {
  readonly #columns: readonly string[];
  readonly #delimiter: string;

  constructor(columns: readonly string[], delimiter: string) {
    this.#columns = columns;
    this.#delimiter = delimiter;
  }

  parse(bytes: Uint8Array, unit: number): ParsedUnit {
    if (!isUtf8(bytes)) return invalid(unit, this.#notUtf8(bytes));
    return this.#valueOf(this.#fields(bytes), unit);
  }

  parseAll(units: readonly Uint8Array[], numbers: readonly number[]): ParsedUnit[] {
    // csv-parse costs more per call than per record, so the records that need it go in one call.
    const joined: number[] = [];
    const parts: Uint8Array[] = [];
    for (let i = 0; i < units.length; i++) {
      const bytes = units[i] as Uint8Array;
      if (!canJoin(bytes)) continue;
      joined.push(i);
      parts.push(bytes, LINE_END);
    }
    const rows = joined.length > 1 ? this.#rows(Buffer.concat(parts)) : undefined;
    // Otherwise one of them is bad: each is parsed alone, so that it spoils no other (U1).
    const fields = new Map<number, string[]>();
    if (rows?.length === joined.length)
      for (const [n, i] of joined.entries()) fields.set(i, rows[n] as string[]);
    return units.map((bytes, i) => {
      const unit = numbers[i] as number;
      const row = fields.get(i);
      return row === undefined ? this.parse(bytes, unit) : this.#valueOf({ ok: true, fields: row }, unit);
    });
  }

  /** Without quotes, a record is its text split at the delimiters: no parser is faster than that. */
  #fields(bytes: Uint8Array): Fields {
    const text = textOf(bytes);
    if (text.includes('"')) return this.#quoted(bytes);
    if (text === '') return { ok: false, says: 'is empty' };
    if (text.includes('\n')) return { ok: false, says: 'has a line end outside quotes' };
    return { ok: true, fields: text.split(this.#delimiter) };
  }

  #quoted(bytes: Uint8Array): Fields {
    try {
      const rows = this.#parse(bytes);
      const [fields] = rows;
      if (rows.length === 1 && fields && bytes.at(-1) !== LF) return { ok: true, fields };
      return { ok: false, says: 'has a line end outside quotes' };
    } catch (error) {
      return {
        ok: false,
        says: this.#quoteFault(error as { code?: unknown; column?: unknown; message: string }),
      };
    }
  }

  #rows(bytes: Uint8Array): string[][] | undefined {
    try {
      return this.#parse(bytes);
    } catch {
      return undefined;
    }
  }

  #parse(bytes: Uint8Array): string[][] {
    return parse(bytes, { delimiter: this.#delimiter, record_delimiter: '\n', relax_column_count: true });
  }

  #valueOf(parsed: Fields, unit: number): ParsedUnit {
    if (!parsed.ok) return invalid(unit, parsed.says);
    const { fields } = parsed;
    const columns = this.#columns;
    if (fields.length !== columns.length) {
      const names = columns.length > 5 ? `${columns.slice(0, 5).join(', ')}, …` : columns.join(', ');
      return invalid(unit, `has ${counted(fields.length)}, the header has ${columns.length} (${names})`);
    }
    const value: Record<string, string> = {};
    for (let i = 0; i < columns.length; i++) {
      const name = columns[i] as string;
      const field = fields[i] as string;
      // Assigned, this name would be lost or change the object; defined, it is a field like any other.
      if (name === '__proto__') define(value, name, field);
      else value[name] = field;
    }
    return { ok: true, value };
  }

  #quoteFault(error: { code?: unknown; column?: unknown; message: string }): string {
    const where = `in ${this.#field(Number(error.column))}`;
    switch (error.code) {
      case 'CSV_INVALID_CLOSING_QUOTE':
        return `has text after the closing quote ${where}; double the quotes inside a quoted field`;
      case 'INVALID_OPENING_QUOTE':
        return `has a quote ${where} that does not begin it; put the field in quotes and double the quote`;
      case 'CSV_QUOTE_NOT_CLOSED':
        return `opens a quote ${where} that is not closed`;
      default:
        return `is not valid CSV: ${error.message}`;
    }
  }

  /** Delimiter and quotes are ASCII, so the fields are the same when bytes are taken for characters. */
  #notUtf8(bytes: Uint8Array): string {
    const cure = 'save the file as UTF-8';
    const parsed = this.#fields(Buffer.from(Buffer.from(bytes).toString('latin1')));
    const at = parsed.ok ? parsed.fields.findIndex((field) => !isUtf8(Buffer.from(field, 'latin1'))) : -1;
    return at === -1 ? `is not valid UTF-8; ${cure}` : `is not valid UTF-8 in ${this.#field(at)}; ${cure}`;
  }

  #field(at: number): string {
    const name = this.#columns[at];
    return name === undefined ? `field ${at + 1}` : `field ${at + 1} (${name})`;
  }
}

/**
 * Has quotes, and an even number of them. In CSV that csv-parse accepts, every quote opens, closes or
 * doubles, so after an even number the next record begins outside quotes: none can swallow its neighbour.
 */
function canJoin(bytes: Uint8Array): boolean {
  let quotes = 0;
  for (let at = bytes.indexOf(QUOTE); at !== -1; at = bytes.indexOf(QUOTE, at + 1)) quotes++;
  return quotes > 0 && quotes % 2 === 0 && isUtf8(bytes);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

function define(value: Record<string, string>, name: string, field: string): void {
  Object.defineProperty(value, name, { value: field, enumerable: true, writable: true, configurable: true });
}

function counted(fields: number): string {
  return fields === 1 ? '1 field' : `${fields} fields`;
}

function invalid(unit: number, says: string): ParsedUnit {
  const message = `record ${unit + 1} ${says}`;
  return { ok: false, code: 'invalid_unit', message: message.slice(0, FAULT_MESSAGE_CHARS_MAX) };
}
