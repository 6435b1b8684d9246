/** A step by itself, as `gimmework/testing` runs it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineWork, skip } from '../../../shared/core/work.ts';
import { runStep } from '../../../testing/index.ts';

const work = defineWork<number, { factor: number }>('job')
  .step('multiply', (unit, ctx) => unit * ctx.brief.factor)
  .step('tell', async (product, ctx) => {
    if (product === 0) return skip('nothing');
    if (ctx.signal.aborted) throw new Error('stopped');
    return [product, ctx.effectKey, ctx.epic, ctx.unit, ctx.attempt];
  });

test('a step is run with its input and a context as on a first attempt', async () => {
  assert.equal(await runStep(work, 'multiply', 3, { brief: { factor: 2 } }), 6);
  assert.deepEqual(await runStep(work, 'tell', 6), [6, 'test.0', 'test', 0, 1]);
  const given = { epic: 'e', unit: 7, attempt: 2 };
  assert.deepEqual(await runStep(work, 'tell', 6, given), [6, 'e.7', 'e', 7, 2]);
  assert.deepEqual(await runStep(work, 'tell', 0), skip('nothing'));
});

test('what it throws is thrown, and a step that is not there is named', async () => {
  const signal = AbortSignal.abort();
  await assert.rejects(runStep(work, 'tell', 1, { signal }), /stopped/);
  await assert.rejects(runStep(work, 'sum', 1), /job has no step sum; there are multiply, tell/);
});
