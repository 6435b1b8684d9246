/** The backoff: full jitter under an exponential cap, for any attempt and any sensible settings. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoffMs } from '../../../../shared/core/retry.ts';

const SECOND = { firstMs: 1_000, factor: 2, maxMs: 60_000 };

test('the cap doubles from the first delay up to the maximum', () => {
  const caps = [1, 2, 3, 6, 7, 8, 1_000_000].map((attempt) => backoffMs(SECOND, attempt, 0.5) * 2);
  assert.deepEqual(caps, [1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000]);
});

test('the jitter is full: it starts at zero and stays below the cap', () => {
  assert.equal(backoffMs(SECOND, 5, 0), 0);
  const highest = backoffMs(SECOND, 1, 1 - 2 ** -32);
  assert.ok(highest > 999 && highest < 1_000);
});

test('is never negative, over the maximum, infinite or NaN', () => {
  const settings = fc.record({
    firstMs: fc.double({ min: 0, max: 1e12, noNaN: true }),
    factor: fc.double({ min: 0, max: 1e6, noNaN: true }),
    maxMs: fc.oneof(fc.double({ min: 0, max: 1e12, noNaN: true }), fc.constant(Infinity)),
  });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(settings, fc.integer({ min: 0, max: 1_000_000 }), random, (backoff, attempt, dice) => {
      const delay = backoffMs(backoff, attempt, dice);
      assert.ok(Number.isFinite(delay) && delay >= 0 && delay <= backoff.maxMs, String(delay));
    }),
  );
});
