/**
 * What a program can submit as an epic's units. Files and streams are uploaded as they are, chunk by
 * chunk; nothing is held in memory and nothing is parsed here.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { GimmeError } from '../shared/core/errors.ts';

export type Format = 'csv' | 'ndjson';
/** `open` is called once, when the epic is submitted. */
export type StreamSource = { type: 'stream'; format: Format; open(): Promise<AsyncIterable<Uint8Array>> };
export type Source =
  | StreamSource
  | { type: 'range'; from: number; to: number }
  | { type: 'units'; units: unknown[] }
  | { type: 'named'; name: string; args?: unknown };

/** A CSV file with a header line. */
export function csv(path: string): StreamSource {
  return file('csv', path);
}

/** A file with one JSON value on each line. */
export function ndjson(path: string): StreamSource {
  return file('ndjson', path);
}

/** What the process reads on its standard input, or any other stream of bytes. */
export function stdin(format: Format, input: AsyncIterable<Uint8Array> = process.stdin): StreamSource {
  return { type: 'stream', format, open: async () => input };
}

/** The whole numbers from `from` up to, not including, `to`. */
export function range(from: number, to: number): Source {
  return { type: 'range', from, to };
}

/** A few units at hand; they travel in one JSON body. */
export function units(list: unknown[]): Source {
  return { type: 'units', units: list };
}

/** What a source gives that workers offer (`defineSource`), by its definition or its name; it is given `args`, JSON. */
export function fromSource(
  source: string | { readonly name: string },
  args?: unknown,
): Extract<Source, { type: 'named' }> {
  const name = typeof source === 'string' ? source : source.name;
  return { type: 'named', name, ...(args !== undefined && { args }) };
}

function file(format: Format, path: string): StreamSource {
  return { type: 'stream', format, open: async () => chunksOf(await openFile(path), path) };
}

async function openFile(path: string): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  if (!(await handle.stat()).isDirectory()) return handle;
  await handle.close();
  throw new GimmeError('bad_source', `cannot read ${path}: it is a folder`);
}

async function* chunksOf(handle: FileHandle, path: string): AsyncGenerator<Uint8Array> {
  const stream = handle.createReadStream({ highWaterMark: 256 * 1024 });
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    stream.destroy();
  }
}

/** Says in a few words why a file cannot be read. */
export function unreadable(path: string, cause: unknown): GimmeError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const words: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission is denied',
    EISDIR: 'it is a folder',
  };
  return new GimmeError('bad_source', `cannot read ${path}: ${words[code ?? ''] ?? message}`, { cause });
}

/** A stream as it is, and what went wrong with it: who sends it is told of that otherwise. */
export function watchFaults(source: AsyncIterable<Uint8Array>): {
  body: AsyncIterable<Uint8Array>;
  fault(): unknown;
} {
  let fault: unknown;
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      fault = error;
      throw error;
    }
  }
  return { body: body(), fault: () => fault };
}

/** The lines of a text in UTF-8, without their ends. */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const parts: string[] = [];
  for await (const chunk of bytes) {
    const pieces = decoder.decode(chunk, { stream: true }).split('\n');
    for (const piece of pieces.slice(0, -1)) {
      yield parts.splice(0).join('') + piece;
    }
    parts.push(pieces.at(-1) ?? '');
  }
  const rest = parts.join('');
  if (rest !== '') yield rest;
}
