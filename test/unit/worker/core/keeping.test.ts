/** States that are made durable while their unit runs on: how they are asked for, and when a run goes on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LOCAL_DELAY_MAX_MS, REPORT_AFTER_MS, RESEND_MS } from '../../../../shared/core/limits.ts';
import type { StepManifest } from '../../../../shared/protocol/messages.ts';
import { BEAT_MS, Rig, retry } from './rig.ts';

const steps: StepManifest[] = [
  { name: 'render', effect: 'none' },
  { name: 'send', effect: 'at-most-once' },
  { name: 'log', effect: 'none' },
];
const STATE = Buffer.from('{"step":1,"input":"mail"}');

describe('a state to be kept', () => {
  function asked(want: { effect: boolean }) {
    const rig = Rig.known(2, { steps, keyOf: () => 'k' });
    rig.work(1, [0, 2]);
    const [run, other] = [rig.start(), rig.start()];
    run.state = { index: 1, input: 'mail' };
    rig.clear();
    rig.core.ask(run, { ...want, state: STATE });
    rig.core.ask(other);
    rig.step({ type: 'ran' });
    return { rig, run, other };
  }

  test('is told by Begin with its unit, and the run goes on by the answer', () => {
    const { rig, run } = asked({ effect: false });
    const [begin] = rig.all('begin');
    assert.deepEqual(begin?.units, [1, 2], 'the other asks for its effect');
    assert.deepEqual(begin?.saved, [{ unit: 0, step: 1, key: 'k', brings: 2 }]);
    assert.deepEqual(rig.brought(begin), ['0', String(STATE)]);
    rig.proceed(1, begin?.at ?? 0, [0, 2]);
    assert.deepEqual(
      rig.out.proceeds.map((answer) => [answer.run.unit, answer.go, answer.run.begun]),
      [
        [0, true, false],
        [1, true, true],
      ],
    );
    assert.equal(run.kept?.step, 1);
    rig.clear();
    rig.finish(run, retry(LOCAL_DELAY_MAX_MS + 1, 2, 1));
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(rig.brought(rig.all('gimme')[0]), ['0', '{"step":1,"input":"mail","attempts":[1,2]}']);
  });

  test('goes with the asking for an effect where both are needed', () => {
    const { rig, run } = asked({ effect: true });
    const [begin] = rig.all('begin');
    assert.deepEqual([begin?.units, begin?.saved?.length], [[0, 2], 1]);
    rig.proceed(1, begin?.at ?? 0, [0, 1], [1, 2]);
    assert.deepEqual([run.begun, run.kept?.step], [true, 1]);
  });

  test('is told again with the same bytes when the answer is lost; an old answer counts for nothing', () => {
    const { rig, run, other } = asked({ effect: false });
    rig.pass(RESEND_MS + BEAT_MS);
    const [first, again] = rig.all('begin');
    assert.deepEqual([again?.units, again?.saved], [first?.units, first?.saved]);
    assert.deepEqual(rig.brought(again), rig.brought(first));
    rig.proceed(1, first?.at ?? 0, [0, 2]);
    assert.equal(rig.out.proceeds.length, 2);
    run.state = { index: 2, input: 'receipt' };
    rig.core.ask(run, { effect: false, state: STATE });
    rig.step({ type: 'ran' });
    rig.proceed(1, again?.at ?? 0, [0, 2]);
    assert.deepEqual(rig.out.proceeds, [], 'it is for the asking before');
    rig.step({ type: 'down' });
    rig.clear();
    rig.step({ type: 'up' });
    assert.deepEqual(rig.all('begin')[0]?.saved?.[0]?.step, 2);
    rig.finish(other);
  });

  test('is not kept where the unit is decided elsewhere: the run is dropped', () => {
    const { rig, run } = asked({ effect: false });
    rig.proceed(1, rig.all('begin')[0]?.at ?? 0, [], [0, 1]);
    assert.deepEqual(
      rig.out.proceeds.map(({ go }) => go),
      [false],
    );
    assert.equal(run.kept, undefined);
    rig.core.dropped(run);
    assert.equal(rig.core.held, 1);
  });

  test('a hundred large ones are told in messages that a link carries', () => {
    const rig = Rig.known(100, { steps });
    rig.work(1, [0, 100]);
    const state = Buffer.from(`{"step":1,"input":"${'x'.repeat(60_000)}"}`);
    for (let i = 0; i < 100; i++) {
      const run = rig.start();
      run.state = { index: 1 };
      rig.core.ask(run, i % 2 === 0 ? { effect: true } : { effect: i % 3 === 0, state });
    }
    rig.clear();
    rig.step({ type: 'ran' });
    const begins = rig.all('begin');
    assert.ok(begins.length >= 6 && begins.length < 10, `${begins.length} messages`);
    assert.deepEqual(new Set(begins.map(({ at }) => at)).size, begins.length);
    const saved = begins.flatMap((begin) => begin.saved ?? []).map(({ unit }) => unit);
    assert.deepEqual(
      saved,
      Array.from({ length: 50 }, (_, i) => 2 * i + 1),
    );
    for (const { at, units } of begins) rig.proceed(1, at, units);
    assert.equal(rig.core.running, 100);
  });
});
