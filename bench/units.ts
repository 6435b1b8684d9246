/** Units to benchmark with: JSON values of exactly UNIT_BYTES each, numbered, streamed as NDJSON. */

export const UNIT_BYTES = 150;
const CHUNK_CHARS = 64 * 1024;

/** The unit's text. The peers make the same (`peers/units.mjs`). */
export function unitText(n: number): string {
  const digits = String(n);
  return `{"n":${digits},"text":"${'x'.repeat(UNIT_BYTES - 16 - digits.length)}"}`;
}

/** Streams `count` units, one on each line. */
export async function* ndjsonUnits(count: number): AsyncGenerator<Uint8Array> {
  let text = '';
  for (let n = 0; n < count; n++) {
    text += `${unitText(n)}\n`;
    if (text.length < CHUNK_CHARS) continue;
    yield Buffer.from(text, 'latin1');
    text = '';
  }
  if (text !== '') yield Buffer.from(text, 'latin1');
}
