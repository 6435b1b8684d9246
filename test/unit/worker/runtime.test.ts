/** The worker's shell with a master by hand: what a unit is kept with, and that it goes on elsewhere from there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineWork, RetryableError, type WorkDefinition } from '../../../shared/core/work.ts';
import { HandMaster, reports, says, text } from './handMaster.ts';

test('after a checkpoint a crash runs no step before it again, however often its answer was lost', async () => {
  const ran: unknown[] = [];
  const work = defineWork<number>('job', { key: (unit) => `number ${unit}` })
    .step('first', { checkpoint: true }, async (unit) => {
      ran.push('first');
      return { doubled: unit * 2 };
    })
    .step('second', async (input) => void ran.push(input)) as unknown as WorkDefinition;
  const master = new HandMaster(work);
  master.worker('w1');
  await master.until(says('w1', 'hello'));
  master.grant('w1', {}, [Buffer.from('21')]);
  const lost = await master.until(says('w1', 'begin'));
  const again = await master.until(says('w1', 'begin'));
  assert.deepEqual(lost.message.t === 'begin' && lost.message.saved, [
    { unit: 0, step: 1, key: 'number 21', brings: 2 },
  ]);
  assert.equal(text(again.payload), text(lost.payload));
  assert.deepEqual(ran, ['first'], 'it waits for the answer');
  master.network.cut('w1');
  master.worker('w2');
  await master.until(says('w2', 'hello'));
  const more = { again: [{ unit: 0, attempt: 1, step: 1, state: true as const }] };
  master.grant('w2', more, [again.units.at(0), again.units.at(1)]);
  await master.until(reports('w2', 'ok'));
  assert.deepEqual(ran, ['first', { doubled: 42 }]);
});

test('a long retry, and one that waits when its worker drains, go on elsewhere at their step', async () => {
  const ran: unknown[] = [];
  const work = defineWork<number>('job')
    .step('first', (unit) => {
      ran.push('first');
      return [unit];
    })
    .step('second', { retry: { attempts: 9 } }, ([unit = 0], ctx) => {
      ran.push([unit, ctx.attempt]);
      if (ctx.attempt === 1) throw new RetryableError('later', { afterMs: unit });
    }) as unknown as WorkDefinition;
  const master = new HandMaster(work);
  const first = master.worker('w1');
  await master.until(says('w1', 'hello'));
  master.grant('w1', { units: [0, 2] }, [Buffer.from('60000'), Buffer.from('9000')]);
  const long = await master.until(reports('w1', 'later'));
  assert.deepEqual(
    [long.units.count, text(long.units.at(0)), text(long.units.at(1))],
    [2, '60000', '{"step":1,"input":[60000],"attempts":[1,2]}'],
  );
  const ended = first.drain('a test', 1_000);
  const waited = await master.until(reports('w1', 'later'));
  assert.equal(text(waited.units.at(1)), '{"step":1,"input":[9000],"attempts":[1,2]}');
  master.say('w1', { t: 'settled', term: 1, grants: [{ n: 1, units: [0, 2] }] });
  await master.until(says('w1', 'bye'));
  await ended;
  master.worker('w2');
  await master.until(says('w2', 'hello'));
  const again = [0, 1].map((unit) => ({ unit, attempt: 2, step: 1, state: true as const }));
  const items = [long, waited].map(({ units }) => units);
  master.grant(
    'w2',
    { units: [0, 2], again },
    [0, 1].flatMap((at) => items.map((units) => units.at(at))),
  );
  await master.until(reports('w2', 'ok'));
  assert.deepEqual(ran, ['first', [60_000, 1], 'first', [9_000, 1], [60_000, 2], [9_000, 2]]);
});
