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

/** A unit as it came: its number and its bytes, also as text, in which U+FFFD stands for what is not UTF-8. */
export type RawUnit = { readonly unit: number; readonly bytes: Uint8Array; readonly text: string };

export type UnitParser = { parse(raw: RawUnit): ParsedUnit };

export function createUnitParser(format: UnitFormat): UnitParser {
  switch (format.type) {
    case 'json':
      return { parse: parseJson };
    case 'csv':
      return new CsvUnits(format.columns, format.delimiter);
    default:
      return unreachable(format);
  }
}

function parseJson(raw: RawUnit): ParsedUnit {
  const { text } = raw;
  if (!isWhole(raw, text)) return invalid(raw.unit, 'is not valid UTF-8; save the file as UTF-8');
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (error) {
    return invalid(raw.unit, `is not valid JSON: ${(error as Error).message}`);
  }
}

/** U2: the bytes are looked at only where U+FFFD is in the text; it may have been in them, too. */
function isWhole(raw: RawUnit, text: string): boolean {
  return !text.includes('\ufffd') || isUtf8(raw.bytes);
}

type Fields = { ok: true; fields: string[] } | { ok: false; says: string };

class CsvUnits implements UnitParser {
  readonly #columns: readonly string[];
  readonly #delimiter: string;

  constructor(columns: readonly string[], delimiter: string) {
    this.#columns = columns;
    this.#delimiter = delimiter;
  }

  parse(raw: RawUnit): ParsedUnit {
    const { unit, text } = raw;
    if (!isWhole(raw, text)) return invalid(unit, this.#notUtf8(raw.bytes));
    return this.#valueOf(this.#fields(text), unit);
  }

  /** Without quotes, a record is its text split at the delimiters: no parser is faster than that. */
  #fields(text: string): Fields {
    if (text.includes('"')) return this.#quoted(text);
    if (text === '') return { ok: false, says: 'is empty' };
    if (text.includes('\n')) return { ok: false, says: 'has a line end outside quotes' };
    return { ok: true, fields: text.split(this.#delimiter) };
  }

  /** A record with quotes: taken apart here where it is plain, else by csv-parse, which knows what is wrong with it. */
  #quoted(text: string): Fields {
    const plain = plainFields(text, this.#delimiter);
    if (plain) return { ok: true, fields: plain };
    try {
      const rows = this.#parse(text);
      const [fields] = rows;
      if (rows.length === 1 && fields && !text.endsWith('\n')) return { ok: true, fields };
      return { ok: false, says: 'has a line end outside quotes' };
    } catch (error) {
      return {
        ok: false,
        says: this.#quoteFault(error as { code?: unknown; column?: unknown; message: string }),
      };
    }
  }

  #parse(text: string): string[][] {
    return parse(text, { delimiter: this.#delimiter, record_delimiter: '\n', relax_column_count: true });
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
    const parsed = this.#fields(Buffer.from(bytes).toString('latin1'));
    const at = parsed.ok ? parsed.fields.findIndex((field) => !isUtf8(Buffer.from(field, 'latin1'))) : -1;
    return at === -1 ? `is not valid UTF-8; ${cure}` : `is not valid UTF-8 in ${this.#field(at)}; ${cure}`;
  }

  #field(at: number): string {
    const name = this.#columns[at];
    return name === undefined ? `field ${at + 1}` : `field ${at + 1} (${name})`;
  }
}

/**
 * The fields of a record in which each quote opens a field, closes it or is doubled inside one (RFC 4180, section 2), and
 * no line ends outside quotes; undefined for any other. csv-parse gives the same, but a call of it costs as much as
 * twenty records.
 */
function plainFields(text: string, delimiter: string): string[] | undefined {
  const fields: string[] = [];
  for (let at = 0; ; at++) {
    let end = at;
    if (text[at] === '"') {
      end = text.indexOf('"', at + 1);
      let isDoubled = false;
      for (; end !== -1 && text[end + 1] === '"'; end = text.indexOf('"', end + 2)) isDoubled = true;
      if (end === -1) return undefined;
      const field = text.slice(at + 1, end);
      fields.push(isDoubled ? field.replaceAll('""', '"') : field);
      end += 1;
    } else {
      const next = text.indexOf(delimiter, at);
      end = next === -1 ? text.length : next;
      const field = text.slice(at, end);
      if (field.includes('"') || field.includes('\n')) return undefined;
      fields.push(field);
    }
    if (end === text.length) return fields;
    if (text[end] !== delimiter) return undefined;
    at = end;
  }
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
