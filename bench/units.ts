/** Units to benchmark with: records of exactly UNIT_BYTES each, numbered, streamed as NDJSON or CSV. */
import { unreachable } from '../shared/core/errors.ts';

export const UNIT_BYTES = 150;
const CHUNK_CHARS = 64 * 1024;

/** The unit's text. The peers make the same (`peers/units.mjs`). */
export function unitText(n: number): string {
  const digits = String(n);
  return `{"n":${digits},"text":"${'x'.repeat(UNIT_BYTES - 16 - digits.length)}"}`;
}

/** How units are uploaded: CSV whose text is in quotes, and has one in it, is what costs most to take apart. */
export type Layout = 'ndjson' | 'csv' | 'quoted csv';

/** A unit as a line of that layout: UNIT_BYTES, like all of them. */
function lineOf(layout: Layout, n: number): string {
  const digits = String(n);
  switch (layout) {
    case 'ndjson':
      return unitText(n);
    case 'csv':
      return `${digits},${'x'.repeat(UNIT_BYTES - 1 - digits.length)}`;
    case 'quoted csv':
      return `${digits},"${'x'.repeat(UNIT_BYTES - 6 - digits.length)}""x"`;
    default:
      return unreachable(layout);
  }
}

/** Streams `count` units as NDJSON, one on each line. */
export function ndjsonUnits(count: number): AsyncGenerator<Uint8Array> {
  return unitLines('ndjson', count);
}

/** Streams `count` units, one on each line, after the header that CSV has. */
export async function* unitLines(layout: Layout, count: number): AsyncGenerator<Uint8Array> {
  let text = layout === 'ndjson' ? '' : 'n,text\n';
  for (let n = 0; n < count; n++) {
    text += `${lineOf(layout, n)}\n`;
    if (text.length < CHUNK_CHARS) continue;
    yield Buffer.from(text, 'latin1');
    text = '';
  }
  if (text !== '') yield Buffer.from(text, 'latin1');
}
