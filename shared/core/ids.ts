/**
 * Ids: what may name an epic, a session, a master, a work or a step. They become parts of subjects,
 * paths and metric labels, so the alphabet is closed.
 */

export const ID_CHARS_MAX = 64;
const ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Tells whether a text is a valid id: 1 to 64 of `A-Z a-z 0-9 _ -`, and no name that every object has. */
export function isId(text: unknown): text is string {
  return typeof text === 'string' && ID.test(text) && !(text in Object.prototype);
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * Makes an id of 24 characters from 15 random bytes: Crockford's base 32 in lower case,
 * 120 bits, so two never meet.
 */
export function idFrom(random: Uint8Array): string {
  if (random.length < 15) throw new RangeError(`an id needs 15 random bytes, got ${random.length}`);
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of random.subarray(0, 15)) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >>> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return text;
}
