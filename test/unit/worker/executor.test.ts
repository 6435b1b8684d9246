/** The executor: what a run does after its outcome was decided elsewhere. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { defineWork, type WorkDefinition } from '../../../shared/core/work.ts';
import { silentLog } from '../../../shared/io/log.ts';
import { prefixed, unitsOf } from '../../../shared/protocol/codec.ts';
import { Held, type Run } from '../../../worker/core/held.ts';
import type { Outcome } from '../../../worker/core/outcomes.ts';
import { Executor } from '../../../worker/io/executor.ts';
import { Preparations } from '../../../worker/io/preparations.ts';

/** Starts one unit of a work; `ended` resolves with how it ended. */
async function started(
  work: WorkDefinition,
): Promise<{ run: Run; executor: Executor; ended: Promise<Outcome> }> {
  const preparations = new Preparations();
  const bytes = Buffer.from(JSON.stringify({ brief: null, format: { type: 'json' } }));
  const brief = createHash('sha256').update(bytes).digest('hex');
  await preparations.prepare(work, brief, bytes);
  const grant = {
    t: 'work',
    term: 1,
    n: 1,
    epic: 'e',
    work: work.name,
    brief,
    units: [0, 1],
    seal: 's',
  } as const;
  const run = new Held(grant, unitsOf(prefixed(Buffer.from('1'))), {}).start();
  assert.ok(run);
  let end: (outcome: Outcome) => void = () => {};
  const ended = new Promise<Outcome>((resolve) => {
    end = resolve;
  });
  const executor = new Executor({
    works: new Map([[work.name, work]]),
    preparations,
    random: () => 0.5,
    monoMs: () => 0,
    log: silentLog,
    ask: () => assert.fail('no step asks'),
    finish: (_run, outcome) => end(outcome),
  });
  executor.start(run);
  return { run, executor, ended };
}

/** A work whose first step ends when told to and heeds no signal, and whose second has an effect. */
function twoSteps(first: 'none' | 'at-least-once') {
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const effects: unknown[] = [];
  const work = defineWork('job')
    .step('prepare', { effect: first }, async (unit) => {
      await gate;
      return unit;
    })
    .step('store', { effect: 'at-least-once' }, (unit) => {
      effects.push(unit);
    });
  return { work, effects, release: () => release() };
}

test('a unit that was stopped in a step without effect does not go on to the effect of the next', async () => {
  const { work, effects, release } = twoSteps('none');
  const { run, executor, ended } = await started(work);
  run.stopped = true;
  executor.abort(run, 'the epic was cancelled');
  release();
  assert.equal((await ended).kind, 'retry');
  assert.deepEqual(effects, [], 'nothing is done for a unit that is cancelled');
  executor.close();
});

test('one that may have had an effect goes on to its end, so that it is told as it is', async () => {
  const { work, effects, release } = twoSteps('at-least-once');
  const { run, executor, ended } = await started(work);
  run.stopped = true;
  executor.abort(run, 'the epic was cancelled');
  release();
  assert.equal((await ended).kind, 'ok');
  assert.deepEqual(effects, [1]);
  executor.close();
});
