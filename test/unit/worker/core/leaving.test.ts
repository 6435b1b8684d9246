/** Units that leave a worker unfinished, or for good, and what they bring: bytes, state, key, attempts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { frameNumbers } from '../../../../master/core/framer.ts';
import {
  GRANT_BYTES_MAX,
  KEY_CHARS_MAX,
  LOCAL_DELAY_MAX_MS,
  REPORT_AFTER_MS,
  RESEND_MS,
  UNIT_BYTES_MAX,
} from '../../../../shared/core/limits.ts';
import { prefixed, unitsOf } from '../../../../shared/protocol/codec.ts';
import type { StepManifest } from '../../../../shared/protocol/messages.ts';
import { BEAT_MS, Rig, retry } from './rig.ts';

const LONG_MS = LOCAL_DELAY_MAX_MS + 1;
const RENDER: StepManifest = { name: 'render', effect: 'none' };
const SEND: StepManifest = { name: 'send', effect: 'at-most-once' };
const POST: StepManifest = { name: 'post', effect: 'at-least-once' };
const LOG: StepManifest = { name: 'log', effect: 'none' };

/** The only report since the last `clear`, and what came with it. */
function told(rig: Rig) {
  rig.pass(REPORT_AFTER_MS);
  const [message, ...more] = rig.all('gimme').filter(({ reports }) => reports.length > 0);
  assert.deepEqual(more, []);
  const brought = rig.brought(message);
  rig.clear();
  return { report: message?.reports[0], brought };
}

describe('a unit for later', () => {
  test('brings its bytes, and the state that its step begins with', () => {
    const rig = Rig.known(2, { steps: [RENDER, LOG], keyOf: (run) => `key ${run.unit}` });
    rig.work(1, [7, 9]);
    const [first, second] = [rig.start(), rig.start()];
    rig.clear();
    rig.core.finish(first, retry(LONG_MS));
    second.state = { index: 1, input: { mail: 'm' } };
    rig.finish(second, retry(LONG_MS, 3, 1));
    const { report, brought } = told(rig);
    assert.deepEqual(report?.later, [
      { unit: 7, attempt: 2, step: 0, delayMs: LONG_MS, code: 'x', key: 'key 7', brings: 1 },
      { unit: 8, attempt: 3, step: 1, delayMs: LONG_MS, code: 'x', key: 'key 8', brings: 2 },
    ]);
    assert.deepEqual(brought, ['7', '8', '{"step":1,"input":{"mail":"m"},"attempts":[1,3]}']);
  });

  test('brings the same when it is reported again', () => {
    const rig = Rig.known(1, { steps: [RENDER, LOG] });
    rig.work(1, [3, 4]);
    const run = rig.start();
    run.state = { index: 1, input: 'i' };
    rig.finish(run, retry(LONG_MS, 2, 1));
    const first = told(rig);
    rig.pass(RESEND_MS + BEAT_MS);
    assert.deepEqual(told(rig), first);
    rig.step({ type: 'down' });
    rig.step({ type: 'up' });
    assert.deepEqual(told(rig), first);
    rig.settled(1, [3, 4]);
    assert.equal(rig.core.held, 0);
  });

  test('goes on with what it was granted with, and tells of all its attempts', () => {
    const rig = Rig.known(1, { steps: [RENDER, LOG, POST] });
    const again = [{ unit: 5, attempt: 4, step: 2, state: true as const }];
    rig.work(1, [5, 6], { again }, ['{"step":1,"input":{"a":[1]},"attempts":[1,1,3]}']);
    const run = rig.start();
    assert.deepEqual(run.state, { index: 1, input: { a: [1] } });
    assert.deepEqual(run.attempts, [1, 1, 4]);
    rig.clear();
    run.state = { index: 1, input: { a: 'changed by the step' } };
    rig.finish(run, retry(LONG_MS, 2, 1));
    const { report, brought } = told(rig);
    assert.deepEqual([report?.later?.[0]?.step, report?.later?.[0]?.attempt], [1, 2]);
    assert.equal(brought[1], '{"step":1,"input":{"a":[1]},"attempts":[1,2,4]}', 'its input as it was given');
  });

  test('whose state cannot be kept brings the last that could, else its bytes alone', () => {
    const rig = Rig.known(2, { steps: [RENDER, LOG, POST] });
    const again = [{ unit: 6, attempt: 1, step: 1, state: true as const }];
    rig.work(1, [5, 7], { again }, ['{"step":1,"input":"i"}']);
    for (const run of [rig.start(), rig.start()]) {
      run.state = { index: 2, input: new Map() };
      rig.core.finish(run, retry(LONG_MS, 3, 2));
    }
    rig.clear();
    rig.step({ type: 'ran' });
    const { report, brought } = told(rig);
    assert.deepEqual(
      report?.later?.map(({ unit, step, attempt, brings }) => [unit, step, attempt, brings]),
      [
        [5, 2, 3, 1],
        [6, 2, 3, 2],
      ],
    );
    assert.deepEqual(brought, ['5', '6', '{"step":1,"input":"i","attempts":[1,1,3]}']);
  });

  test('of which two steps have attempts tells of both, also where nothing else is kept', () => {
    const rig = Rig.known(1, { steps: [RENDER, LOG] });
    rig.work(1, [5, 6], { again: [{ unit: 5, attempt: 4, step: 1 }] });
    rig.clear();
    const run = rig.start();
    assert.equal(run.state, undefined, 'its steps are run from the first');
    rig.finish(run, retry(LONG_MS, 2, 0));
    assert.deepEqual(told(rig).brought, ['5', '{"step":0,"attempts":[2,4]}']);
    rig.settled(1, [5, 6]);
    const again = [{ unit: 5, attempt: 2, step: 0, state: true as const }];
    rig.work(2, [5, 6], { again }, ['{"step":0,"attempts":[2,4]}']);
    const resumed = rig.start();
    assert.deepEqual([resumed.state, resumed.attempts], [undefined, [2, 4]]);
  });

  test('that was granted with what is no state says so to whoever runs it', () => {
    const rig = Rig.known(1);
    rig.work(1, [5, 6], { again: [{ unit: 5, attempt: 2, step: 1, state: true }] }, ['{']);
    const run = rig.start();
    assert.deepEqual([run.isUnreadable, run.kept], [true, undefined]);
  });
});

describe('after an at-most-once step', () => {
  /** A unit whose effect has happened, with a next step that was given `input`. */
  function sent(rig: Rig, input: unknown) {
    rig.work(1, [0, 1]);
    const run = rig.start();
    rig.core.ask(run);
    rig.step({ type: 'ran' });
    rig.proceed(1, rig.all('begin').at(-1)?.at ?? 0, [0, 1]);
    assert.equal(run.begun, true);
    run.state = { index: 2, input };
    rig.clear();
    return run;
  }
  const steps = [RENDER, SEND, LOG];

  test('a short retry of a later step does not say that the effect did not happen', () => {
    // Broke: it was cleared, and a crash while the unit waited had its effect happen again.
    const rig = Rig.known(1, { steps });
    const run = sent(rig, 'receipt');
    rig.finish(run, retry(50, 2, 2));
    rig.pass(20);
    assert.deepEqual([rig.reports(), run.begun], [[], true]);
    rig.take({ t: 'abort', term: 1, epic: 'e' });
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(rig.reports(), [], 'nor does an abort: it goes on to its end');
    rig.pass(50);
    assert.equal(rig.start(), run);
  });

  test('one of the step itself does', () => {
    const rig = Rig.known(1, { steps });
    const run = sent(rig, undefined);
    run.state = { index: 1, input: 'mail' };
    rig.finish(run, retry(50, 2, 1));
    assert.deepEqual([told(rig).report?.cleared, run.begun], [[0, 1], false]);
  });

  test('a long one of a later step brings its state, also where that is nothing', () => {
    for (const [input, state] of [
      ['receipt', '{"step":2,"input":"receipt","attempts":[1,1,2]}'],
      [undefined, '{"step":2,"attempts":[1,1,2]}'],
    ] as const) {
      const rig = Rig.known(1, { steps });
      rig.finish(sent(rig, input), retry(LONG_MS, 2, 2));
      assert.deepEqual(told(rig).brought, ['0', state]);
    }
  });

  test('a unit whose state cannot be kept waits here, however long; a drain ends it as failed', () => {
    const rig = Rig.known(1, { steps });
    const run = sent(rig, new Date(0));
    rig.finish(run, retry(LONG_MS, 2, 2));
    rig.take({ t: 'recall', term: 1, count: 9, epic: 'e' });
    rig.pass(LONG_MS - 1);
    assert.deepEqual([rig.reports(), rig.core.next()], [[], undefined]);
    rig.pass(1);
    assert.equal(rig.start(), run);
    rig.finish(run, retry(LONG_MS, 3, 2));
    rig.clear();
    rig.step({ type: 'drain' });
    const { report, brought } = told(rig);
    const { message = '', ...fault } = report?.failed?.[0] ?? {};
    assert.deepEqual(fault, { unit: 0, code: 'state_not_kept', step: 'log', attempt: 3, brings: 1 });
    assert.match(message, /send returned is not plain JSON.*return plain JSON from send/);
    assert.deepEqual(brought, ['0']);
  });

  test('a unit that may not go on is told as unknown: it is done in part, and nobody must do it again', () => {
    // Broke: it was dropped, and a master that misses it in a heartbeat grants it anew from the first step.
    const rig = Rig.known(1, { steps: [RENDER, SEND, SEND] });
    const run = sent(rig, 'receipt');
    rig.core.ask(run);
    rig.step({ type: 'ran' });
    rig.proceed(1, rig.all('begin')[0]?.at ?? 0, [], [0, 1]);
    rig.clear();
    rig.core.dropped(run);
    rig.step({ type: 'ran' });
    const { report } = told(rig);
    assert.deepEqual(
      report?.unknown?.map(({ code, step, message }) => [code, step, /stopped before send/.test(message)]),
      [['effect_unknown', 'send', true]],
    );
    assert.deepEqual([rig.core.held, rig.core.running], [1, 0]);
  });

  test('a state kept behind it lets the unit leave', () => {
    const rig = Rig.known(1, { steps: [RENDER, SEND, LOG, POST] });
    const again = [{ unit: 0, attempt: 1, step: 2, state: true as const }];
    rig.work(1, [0, 1], { again }, ['{"step":2,"input":"receipt"}']);
    const run = rig.start();
    run.state = { index: 3, input: () => 1 };
    rig.clear();
    rig.finish(run, retry(LONG_MS, 2, 3));
    assert.deepEqual(told(rig).brought, ['0', '{"step":2,"input":"receipt","attempts":[1,1,1,2]}']);
  });
});

describe('waiting runs', () => {
  function waiting(rig: Rig, n: number, epic: string): void {
    rig.work(n, [n, n + 1], { epic });
    const run = rig.start();
    run.state = { index: 1, input: `of ${epic}` };
    rig.finish(run, retry(5_000, 2, 1));
  }

  test('leave with their state when the worker drains, and say why they wait and how long', () => {
    const rig = Rig.known(2, { steps: [RENDER, LOG] });
    waiting(rig, 1, 'e');
    rig.pass(1_000);
    rig.clear();
    rig.step({ type: 'drain' });
    const { report, brought } = told(rig);
    assert.deepEqual(report?.later, [{ unit: 1, attempt: 2, step: 1, delayMs: 4_000, code: 'x', brings: 2 }]);
    assert.deepEqual(brought, ['1', '{"step":1,"input":"of e","attempts":[1,2]}']);
  });

  test('leave when their epic is recalled, with what has not started; those of others stay', () => {
    const rig = Rig.known(4, { steps: [RENDER, LOG] });
    waiting(rig, 1, 'e');
    waiting(rig, 2, 'f');
    rig.work(3, [30, 32], { epic: 'e' });
    rig.work(4, [40, 42], { epic: 'f' });
    rig.clear();
    rig.take({ t: 'recall', term: 1, count: 99, epic: 'e' });
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(
      rig.reports().map(({ n, back, later }) => [n, back, later?.map(({ unit }) => unit)]),
      [
        [3, [30, 32], undefined],
        [1, undefined, [1]],
      ],
    );
    assert.equal(rig.core.pending, 2);
    rig.clear();
    rig.take({ t: 'recall', term: 1, count: 1, epic: 'f' });
    assert.deepEqual(
      [rig.core.pending, told(rig).report?.back],
      [1, [41, 42]],
      'no more than it is asked for',
    );
  });

  test('keep the attempts of a later step when an earlier one is run again', () => {
    // Broke: a retry of the first step set back what was counted of the second.
    const rig = Rig.known(1, { steps: [RENDER, LOG] });
    rig.work(1, [0, 1], { again: [{ unit: 0, attempt: 4, step: 1 }] });
    const run = rig.start();
    rig.finish(run, retry(10, 2, 0));
    rig.pass(10);
    assert.equal(rig.start(), run);
    assert.deepEqual(run.attempts, [2, 4]);
  });
});

describe('faults', () => {
  const fault = { kind: 'failed', code: 'x', message: '"é'.repeat(400), step: 's0', attempt: 1 } as const;

  test('bring the bytes of their units and a key of bounded length, on one line', () => {
    const rig = Rig.known(2, { keyOf: () => `a\n${'b'.repeat(9_999)}` });
    rig.work(1, [0, 2]);
    rig.clear();
    rig.core.finish(rig.start(), fault);
    rig.finish(rig.start(), { ...fault, kind: 'unknown' });
    const { report, brought } = told(rig);
    const [failed, unknown] = [report?.failed?.[0], report?.unknown?.[0]];
    assert.deepEqual([failed?.brings, unknown?.brings, brought], [1, 1, ['0', '1']]);
    assert.equal(failed?.key?.length, KEY_CHARS_MAX);
    assert.match(failed?.key ?? '', /^a b+$/);
  });

  test('of an empty unit bring nothing, and a key may be none', () => {
    const rig = Rig.known(1, { keyOf: () => '' });
    const message = {
      t: 'work',
      term: 1,
      n: 1,
      epic: 'e',
      work: 'job',
      brief: 'b',
      units: [0, 1],
      seal: 's',
    } as const;
    rig.step({ type: 'message', message, units: unitsOf(prefixed(new Uint8Array(0))) });
    rig.clear();
    rig.finish(rig.start(), fault);
    const { report, brought } = told(rig);
    assert.deepEqual([report?.failed?.[0]?.brings, report?.failed?.[0]?.key, brought], [0, undefined, []]);
  });

  test('and states of the largest kind go in messages that a link carries, each once', () => {
    const rig = Rig.known(300, { steps: [RENDER, LOG] });
    let n = 0;
    const sizes = [UNIT_BYTES_MAX, UNIT_BYTES_MAX / 2, 40_000, 10];
    for (let i = 0; i < 40; i++) {
      n += 1;
      const bytes = new Uint8Array(sizes[i % sizes.length] as number);
      const message = {
        t: 'work',
        term: 1,
        n,
        epic: 'e',
        work: 'job',
        brief: 'b',
        units: [i, i + 1],
        seal: 's',
      } as const;
      rig.step({ type: 'message', message, units: unitsOf(prefixed(bytes)) });
    }
    n += 1;
    const many = {
      t: 'work',
      term: 1,
      n,
      epic: 'e',
      work: 'job',
      brief: 'b',
      units: [1_000, 1_250],
      seal: 's',
    } as const;
    rig.step({ type: 'message', message: many, units: unitsOf(frameNumbers(1_000, 250).framed) });
    rig.clear();
    rig.step({ type: 'down' });
    for (let run = rig.core.next(); run; run = rig.core.next()) {
      run.state = {
        index: 1,
        input: 'y'.repeat(GRANT_BYTES_MAX - run.bytes.length > 200_000 ? 200_000 : 100_000),
      };
      if (run.unit % 5 === 4) rig.core.finish(run, fault);
      else if (run.unit < 1_000) rig.core.finish(run, retry(LONG_MS, 2, 1));
      else rig.core.finish(run, run.unit % 2 === 0 ? { kind: 'ok' } : fault);
    }
    rig.step({ type: 'up' });
    rig.pass(REPORT_AFTER_MS);
    const units = rig
      .reports()
      .flatMap(({ ok = [], failed = [], later = [] }) => [
        ...ok.filter((_, i) => i % 2 === 0),
        ...failed.map(({ unit }) => unit),
        ...later.map(({ unit }) => unit),
      ]);
    assert.equal(units.length, 290);
    assert.equal(new Set(units).size, 290);
    const all = [...rig.all('gimme')].flatMap((message) => rig.brought(message));
    const brings = rig.reports().flatMap(({ failed = [], later = [] }) => [...failed, ...later]);
    assert.equal(
      all.length,
      brings.reduce((sum, item) => sum + (item.brings ?? 0), 0),
    );
  });
});
