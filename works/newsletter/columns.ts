/**
 * The columns that a list of recipients must have, told from the first bytes of a CSV. It refuses only what is
 * certain; a header that cannot be read here is left to the master, which says what is wrong with it.
 */
import { parse } from 'csv-parse/sync';
import { GimmeError } from '../../shared/core/errors.ts';

const NEEDED = 'email';
const DELIMITERS = [',', ';', '\t', '|'];
const COLUMNS_SHOWN = 10;

/** Throws bad_source where the header has no column `email`; `name` is what the file is called. */
export function checkColumns(head: Uint8Array, name: string): void {
  const columns = columnsOf(head);
  if (columns.length === 0 || columns.includes(NEEDED)) return;
  const shown = columns.slice(0, COLUMNS_SHOWN).join(', ');
  const more = columns.length > COLUMNS_SHOWN ? ` and ${columns.length - COLUMNS_SHOWN} more` : '';
  const found = `its columns are ${shown}${more}`;
  throw new GimmeError('bad_source', `${name} has no column ${NEEDED}, which the newsletter needs; ${found}`);
}

function columnsOf(head: Uint8Array): string[] {
  try {
    const options = { bom: true, to: 1, delimiter: DELIMITERS, trim: true, skip_empty_lines: true };
    const [columns = []] = parse(Buffer.from(head), options);
    return columns.some((column) => column.includes('\ufffd')) ? [] : columns;
  } catch {
    return [];
  }
}
