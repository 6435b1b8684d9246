/**
 * Recipients with much to say of each: a read of the list brings only some hundred, so that after a crash most
 * of them have never been read.
 */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

const NOTE_BYTES = 1_500;
const CHUNK_ROWS = 100;

/** Writes a CSV; the recipient of unit n is `reader.<n>@example.com`. */
export async function writeRecipients(path: string, rows: number): Promise<string> {
  await pipeline(csvOf(rows), createWriteStream(path));
  return path;
}

function* csvOf(rows: number): Iterable<string> {
  const note = 'x'.repeat(NOTE_BYTES);
  yield 'email,name,city,note\n';
  for (let n = 0; n < rows; n += CHUNK_ROWS) {
    let text = '';
    for (let i = n; i < Math.min(rows, n + CHUNK_ROWS); i++)
      text += `reader.${i}@example.com,Reader ${i},Galway,${note}\n`;
    yield text;
  }
}
