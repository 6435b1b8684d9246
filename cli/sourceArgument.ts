/** The `--source` of a submit: a file, `-` for standard input, `range:A-B`, or `source:NAME` of a source of workers. */
import { extname } from 'node:path';
import { csv, type Format, fromSource, ndjson, range, type Source, stdin } from '../client/index.ts';
import { GimmeError } from '../shared/core/errors.ts';
import { isId } from '../shared/core/ids.ts';

const FORMATS: Record<string, Format> = { '.csv': 'csv', '.ndjson': 'ndjson', '.jsonl': 'ndjson' };

/** Reads the argument; `format` overrides the file's ending. Opens nothing yet. */
export function sourceOf(text: string, format: string | undefined): Source {
  if (format !== undefined && format !== 'csv' && format !== 'ndjson') {
    throw new GimmeError('usage', `--format ${JSON.stringify(format)} must be csv or ndjson`);
  }
  if (text.startsWith('range:')) return rangeOf(text);
  if (text.startsWith('source:')) return namedOf(text);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(text)) {
    throw new GimmeError(
      'usage',
      `--source ${text}: addresses are not supported yet; give a file or - for stdin`,
    );
  }
  if (text === '-') {
    if (format === undefined)
      throw new GimmeError('usage', '--source - needs --format csv or --format ndjson');
    return stdin(format);
  }
  switch (format ?? FORMATS[extname(text).toLowerCase()]) {
    case 'csv':
      return csv(text);
    case 'ndjson':
      return ndjson(text);
    default:
      throw new GimmeError(
        'usage',
        `--source ${text}: its ending is not .csv, .ndjson or .jsonl; say --format csv or ndjson`,
      );
  }
}

/** What stands behind `?` is given to the source: an object of texts, by name. */
function namedOf(text: string): Source {
  const [, name = '', query] = /^source:([^?]*)(?:\?(.*))?$/s.exec(text) ?? [];
  if (!isId(name)) {
    const rule =
      'must be source:NAME or source:NAME?field=value&…, with a name of 1 to 64 of A-Z a-z 0-9 _ -';
    throw new GimmeError('usage', `--source ${text} ${rule}`);
  }
  return fromSource(name, query === undefined ? undefined : Object.fromEntries(new URLSearchParams(query)));
}

function rangeOf(text: string): Source {
  const [, from, to] = /^range:(\d{1,15})-(\d{1,15})$/.exec(text) ?? [];
  if (from === undefined || Number(to) < Number(from)) {
    throw new GimmeError(
      'usage',
      `--source ${text} must be range:A-B: the whole numbers from A up to, not including, B`,
    );
  }
  return range(Number(from), Number(to));
}
