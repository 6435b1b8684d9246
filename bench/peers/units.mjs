/** The units of every peer: the same 150 bytes as `bench/units.ts` makes, once they are JSON. */
const UNIT_BYTES = 150;

export function unit(n) {
  return { n, text: 'x'.repeat(UNIT_BYTES - 16 - String(n).length) };
}

/** For peers that carry bytes. */
export function unitBytes(n) {
  return Buffer.from(JSON.stringify(unit(n)), 'latin1');
}

/** What a consumer is given: read, as a unit of ours is, and then nothing is done with it. */
export function readUnit(bytes) {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).latin1Slice());
}

/** Adds `units` in bulks of `bulk`, at most `ahead` of them on their way: the next is made while the last is taken. */
export async function inBulks({ units, bulk, ahead }, addBulk) {
  const adding = [];
  for (let from = 0; from < units; from += bulk) {
    const count = Math.min(bulk, units - from);
    adding.push(addBulk(Array.from({ length: count }, (_, i) => from + i)));
    if (adding.length >= ahead) await adding.shift();
  }
  await Promise.all(adding);
}
