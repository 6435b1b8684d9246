/**
 * Random numbers as an input: cores take an `Rng`, so that a seed replays a run. Not for secrets or ids.
 */

/** Returns a number from 0 up to, not including, 1. */
export type Rng = () => number;

/**
 * Makes a generator whose sequence depends on the seed alone: sfc32 (Small Fast Chaotic, 32 bits, by
 * Chris Doty-Humphrey, from PractRand), seeded as there: the seed in two words, 12 rounds thrown away.
 * Seeds are safe integers.
 */
export function seededRng(seed: number): Rng {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`a seed must be a safe integer, got ${seed}`);
  let a = 0;
  let b = seed | 0;
  let c = Math.floor(seed / 2 ** 32) | 0;
  let counter = 1;
  const next = (): number => {
    const out = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + out) | 0;
    return (out >>> 0) / 2 ** 32;
  };
  for (let round = 0; round < 12; round++) next();
  return next;
}
