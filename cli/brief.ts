/**
 * Reads a brief: a JSON file in which a text `"@file"` stands for the content of that file, beside the
 * brief (`"@@…"` stands for a text that begins with `@`). Every fault is `bad_brief`, naming the file.
 */
import { isUtf8 } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { GimmeError } from '../shared/core/errors.ts';
import { BRIEF_BYTES_MAX, JSON_DEPTH_MAX } from '../shared/core/limits.ts';

export async function readBrief(path: string): Promise<unknown> {
  const text = await readText(path, `brief ${path}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const { message } = cause as SyntaxError;
    throw new GimmeError('bad_brief', `brief ${path}${placeOf(message, text)} is not JSON: ${message}`, {
      cause,
    });
  }
  return withFiles(value, { path, folder: dirname(resolve(path)), where: '', depth: 0 });
}

type Place = { path: string; folder: string; where: string; depth: number };

async function withFiles(value: unknown, place: Place): Promise<unknown> {
  const { path, folder, where, depth } = place;
  if (depth > JSON_DEPTH_MAX)
    throw new GimmeError('bad_brief', `brief ${path} is nested over ${JSON_DEPTH_MAX} levels deep`);
  if (typeof value === 'string') {
    if (value.startsWith('@@')) return value.slice(1);
    if (!value.startsWith('@')) return value;
    return readText(resolve(folder, value.slice(1)), `brief ${path}, field ${where}: file ${value.slice(1)}`);
  }
  if (typeof value !== 'object' || value === null) return value;
  const inner = (name: string | number): Place => ({
    ...place,
    where: where === '' ? String(name) : `${where}.${name}`,
    depth: depth + 1,
  });
  if (Array.isArray(value)) return Promise.all(value.map((item, i) => withFiles(item, inner(i))));
  const fields: [string, unknown][] = [];
  for (const [name, item] of Object.entries(value)) fields.push([name, await withFiles(item, inner(name))]);
  return Object.fromEntries(fields);
}

async function readText(path: string, what: string): Promise<string> {
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > BRIEF_BYTES_MAX) throw new GimmeError('too_large', `${what} is over ${BRIEF_BYTES_MAX} bytes`);
    bytes = await readFile(path);
  } catch (cause) {
    if (cause instanceof GimmeError) throw cause;
    const words: Record<string, string> = {
      ENOENT: 'does not exist',
      EACCES: 'may not be read',
      EISDIR: 'is a folder',
    };
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new GimmeError('bad_brief', `${what} ${words[code ?? ''] ?? message}`, { cause });
  }
  if (!isUtf8(bytes)) throw new GimmeError('bad_brief', `${what} is not UTF-8`);
  return bytes.toString().replace(/^\uFEFF/, '');
}

function placeOf(message: string, text: string): string {
  const position = /position (\d+)/.exec(message)?.[1];
  const end = /Unexpected end/.test(message) ? text.length : undefined;
  const at = position === undefined ? end : Number(position);
  if (at === undefined) return '';
  const before = text.slice(0, at).split('\n');
  return `, line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1},`;
}
