/**
 * Generates recipients: a CSV of any length, streamed. Owns names and numbers that look like a real list;
 * every address is distinct and lies under example.com, which belongs to nobody (RFC 2606).
 */

import type { Rng } from '../../shared/core/rng.ts';
import { seededRng } from '../../shared/core/rng.ts';

const CHUNK_CHARS = 64 * 1024;
export const GENERATED_COLUMNS = 'email,name,city,plan,since,points,reference,favourites,note';

const FIRST = [
  'Maria',
  'Jonas',
  'Aoife',
  'Chidi',
  'Yuki',
  'Olga',
  'Zoë',
  'Søren',
  'Léa',
  'Mehmet',
  '小明',
  'Анна',
];
const LAST = [
  'García',
  "O'Brien",
  'Müller',
  'van der Berg',
  'Okafor',
  'Tanaka',
  'Ivanova',
  'Smith, Jr.',
  'Lindqvist',
];
const CITY = [
  'Lisbon',
  'Galway',
  'Kyoto',
  'Lagos',
  'Zürich',
  'São Paulo',
  'Tromsø',
  'Washington, D.C.',
  'İzmir',
];
const PLAN = ['free', 'plus', 'team'];
const FAVOURITES = ['mountain trails', 'city weekends', 'coastal walks', 'night trains', 'botanical gardens'];
const NOTE = [
  'reads on the train',
  'joined at the fair',
  'says "hello"',
  'prefers short letters',
  'asked for the map',
];

/**
 * Streams a CSV of `count` recipients with a header line, about 150 bytes each. The same seed gives the
 * same bytes. Throws RangeError for a count that is not a whole number.
 */
export async function* generateRecipients(count: number, seed = 1): AsyncIterable<Uint8Array> {
  if (!Number.isSafeInteger(count) || count < 0)
    throw new RangeError(`count must be a whole number, not ${count}`);
  const rng = seededRng(seed);
  let text = `${GENERATED_COLUMNS}\n`;
  for (let i = 0; i < count; i++) {
    text += row(i, rng);
    if (text.length < CHUNK_CHARS) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

function row(i: number, rng: Rng): string {
  const points = Math.floor(rng() * 10_000);
  const month = String(1 + Math.floor(rng() * 12)).padStart(2, '0');
  const fields = [
    `reader.${String(i).padStart(9, '0')}@example.com`,
    `${pick(FIRST, rng)} ${pick(LAST, rng)}`,
    pick(CITY, rng),
    pick(PLAN, rng),
    `${2012 + Math.floor(rng() * 14)}-${month}`,
    String(points),
    `R${Math.floor(rng() * 2 ** 32)
      .toString(36)
      .padStart(7, '0')}-${i.toString(36)}`,
    `${pick(FAVOURITES, rng)}; ${pick(FAVOURITES, rng)}`,
    pick(NOTE, rng),
  ];
  return `${fields.map(csvField).join(',')}\n`;
}

function pick(list: readonly string[], rng: Rng): string {
  return list[Math.floor(rng() * list.length)] as string;
}

/** A field as RFC 4180 has it: quoted where it holds a comma, a quote or a line break. */
function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
