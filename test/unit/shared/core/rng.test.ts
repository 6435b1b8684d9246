/** The seeded generator: the same seed gives the same numbers for ever, or no failure could be replayed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seededRng } from '../../../../shared/core/rng.ts';

const draw = (seed: number, count: number): number[] => Array.from({ length: count }, seededRng(seed));

test('the same seed gives the same numbers, in [0, 1)', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (seed) => {
      const numbers = draw(seed, 20);
      assert.deepEqual(draw(seed, 20), numbers);
      for (const n of numbers) assert.ok(n >= 0 && n < 1);
    }),
  );
});

test('the sequence of a seed never changes between versions', () => {
  const words = draw(42, 4).map((n) => n * 2 ** 32);
  assert.deepEqual(words, [1_264_412_219, 1_947_509_147, 3_919_439_299, 1_251_167_922]);
});

test('seeds that differ in one bit, low or high, give other numbers', () => {
  const first = draw(7, 4);
  for (const other of [6, -7, 7 + 2 ** 32, 7 + 2 ** 52]) assert.notDeepEqual(draw(other, 4), first);
});

test('numbers spread evenly over sixteen buckets', () => {
  const buckets = new Array<number>(16).fill(0);
  for (const n of draw(1, 16_000)) buckets[Math.floor(n * 16)]!++;
  // Mean 1,000, standard deviation about 31: six of them either way.
  for (const count of buckets) assert.ok(count > 800 && count < 1_200, `bucket of ${count}`);
});

test('a seed that is not a safe integer is refused', () => {
  for (const seed of [0.5, Number.NaN, Infinity]) assert.throws(() => seededRng(seed), RangeError);
});
