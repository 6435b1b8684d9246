/** Options of a step: what is misspelt or cannot be is refused where it is written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineWork, type StepOptions } from '../../../../shared/core/work.ts';

const step = (options: unknown) => defineWork('job').step('act', options as StepOptions, () => {}).steps[0];

const REFUSED: [unknown, RegExp][] = [
  [{ timeuot: '1s' }, /^step act has no option timeuot; there are effect, timeout, retry, thread/],
  [{ effect: 'once' }, /^step act: effect must be one of none, at-least-once, at-most-once, not "once"$/],
  [{ timeout: 'soon' }, /^step act: timeout must be a duration such as 250ms.*, not "soon"$/],
  [{ thread: 'yes' }, /^step act: thread must be true or false, not "yes"$/],
  [{ retry: { attempt: 3 } }, /^step act has no option retry\.attempt; there are attempts, backoff$/],
  [{ retry: { attempts: 0 } }, /^step act: retry\.attempts must be a whole number of at least 1, not 0$/],
  [{ retry: 3 }, /^step act: retry must be an object$/],
  [
    { retry: { backoff: { base: '1s' } } },
    /has no option retry\.backoff\.base; there are first, factor, max$/,
  ],
  [
    { retry: { backoff: { factor: 0.5 } } },
    /retry\.backoff\.factor must be a number of at least 1, not 0\.5$/,
  ],
  [{ constructor: 1 }, /has no option constructor/],
  ['at-most-once', /^step act: its options must be an object$/],
];

for (const [options, message] of REFUSED)
  test(`${JSON.stringify(options)} is refused`, () => {
    assert.throws(() => step(options), { name: 'TypeError', message });
  });

test('what is given is taken, and the rest has its default', () => {
  const backoff = { first: '2s', factor: 4, max: 60_000 };
  const full = step({
    effect: 'at-least-once',
    timeout: '5s',
    retry: { attempts: 2, backoff },
    thread: true,
    checkpoint: true,
  });
  assert.deepEqual(
    { ...full, run: 0 },
    {
      name: 'act',
      effect: 'at-least-once',
      thread: true,
      timeoutMs: 5_000,
      retry: { attempts: 2, backoff: { firstMs: 2_000, factor: 4, maxMs: 60_000 } },
      checkpoint: true,
      run: 0,
    },
  );
  const { effect, thread, timeoutMs, checkpoint } = { ...step({ timeout: undefined }) };
  assert.deepEqual([effect, thread, timeoutMs, checkpoint], ['none', false, 60_000, false]);
});
