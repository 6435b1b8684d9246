/** What control runs exchange with the master: parts and pages, one at a time, said again until answered. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONTROL_TIMEOUT_MS, RESEND_MS } from '../../../../shared/core/limits.ts';
import { prefixed, unitsOf } from '../../../../shared/protocol/codec.ts';
import { CONTROL_UNIT, type Control } from '../../../../shared/protocol/messages.ts';
import type { Run } from '../../../../worker/core/held.ts';
import type { WorkerOutput } from '../../../../worker/core/output.ts';
import { BEAT_MS, Rig, retry } from './rig.ts';

const UNITS = [CONTROL_UNIT, CONTROL_UNIT + 1];
const item = (text: string): Uint8Array => Buffer.from(text);

/** Grants a control unit under number 1, and starts it. */
function control(kind: Control, rig = Rig.known(1)): { rig: Rig; run: Run } {
  const message = {
    t: 'work',
    term: 1,
    n: 1,
    epic: 'e',
    work: 'job',
    brief: 'b',
    units: UNITS,
    seal: 's',
  } as const;
  const units = unitsOf(prefixed(Buffer.from('null')));
  rig.step({ type: 'message', message: { ...message, control: kind }, units });
  const run = rig.start();
  rig.clear();
  return { rig, run };
}

function give(rig: Rig, run: Run, text: string, last = false): void {
  rig.core.exchanges.give(run, { items: [item(text)], last });
  rig.step({ type: 'ran' });
}

const took = (rig: Rig, part: number, n = 1): WorkerOutput['heard'] =>
  rig.take({ t: 'took', term: 1, n, part }).heard;

/** A master answers Hello, or says that it is there. */
const answer = (rig: Rig): void => void rig.take({ t: 'available', v: 1, master: 'm', term: 1, works: [] });

/** The parts that were sent since the last `clear`: their number and what was in them. */
const parts = (rig: Rig): unknown[] => rig.all('part').map((part) => [part.part, ...rig.brought(part)]);

describe('a part', () => {
  test('is sent once, and the next one has the next number when it is taken', () => {
    const { rig, run } = control('scatter');
    give(rig, run, '"a"');
    rig.step({ type: 'tick' });
    assert.deepEqual(rig.all('part'), [{ t: 'part', epic: 'e', term: 1, n: 1, part: 0, last: false }]);
    assert.deepEqual(took(rig, 0), [{ type: 'took', run }]);
    give(rig, run, '"b"', true);
    assert.deepEqual(parts(rig), [
      [0, '"a"'],
      [1, '"b"'],
    ]);
    assert.equal(rig.all('part')[1]?.last, true);
  });

  test('names whom its items are for, or the labels of those who are asked', () => {
    const { rig, run } = control('scatter');
    rig.core.exchanges.give(run, { items: [item('1'), item('2')], to: ['w7', ''], last: false });
    rig.step({ type: 'ran' });
    took(rig, 0);
    rig.core.exchanges.give(run, { items: [], labels: { area: 'north' }, last: true });
    rig.step({ type: 'ran' });
    const told = rig.all('part').map(({ to, labels }) => ({ to, labels }));
    assert.deepEqual(told, [
      { to: ['w7', ''], labels: undefined },
      { to: undefined, labels: { area: 'north' } },
    ]);
  });

  test('that nobody answers is sent again, the same', () => {
    const { rig, run } = control('scatter');
    give(rig, run, '"a"');
    rig.pass(RESEND_MS + BEAT_MS);
    assert.deepEqual(parts(rig), [
      [0, '"a"'],
      [0, '"a"'],
    ]);
    assert.deepEqual(took(rig, 0), [{ type: 'took', run }]);
    rig.clear();
    rig.pass(2 * RESEND_MS);
    assert.deepEqual(parts(rig), [], 'what is taken is not sent again');
  });

  test('is sent again at once when the link was made again, and not while it is down', () => {
    const { rig, run } = control('scatter');
    rig.step({ type: 'down' });
    give(rig, run, '"a"');
    rig.pass(2 * RESEND_MS);
    assert.deepEqual(parts(rig), []);
    rig.step({ type: 'up' });
    assert.deepEqual(parts(rig), [], 'a master must be there first');
    answer(rig);
    assert.deepEqual(parts(rig), [[0, '"a"']]);
    rig.step({ type: 'down' });
    rig.step({ type: 'up' });
    answer(rig);
    assert.deepEqual(parts(rig).length, 2);
  });

  test('is not taken by a word about another part, another grant, or heard twice', () => {
    const { rig, run } = control('scatter');
    give(rig, run, '"a"');
    assert.deepEqual([took(rig, 1), took(rig, 0, 2)], [[], []]);
    assert.equal(took(rig, 0).length, 1);
    assert.deepEqual(took(rig, 0), []);
    give(rig, run, '"b"');
    assert.deepEqual(took(rig, 0), [], 'late word about the part before');
    assert.equal(took(rig, 1).length, 1);
  });
});

test('a page of answers is asked for until it comes, and another one is passed over', () => {
  const { rig, run } = control('fold');
  const answers = (after: number): WorkerOutput['heard'] => {
    const message = {
      t: 'answers',
      term: 1,
      n: 1,
      after,
      units: [3, 5],
      missing: [5, 9],
      last: true,
    } as const;
    const units = unitsOf(Buffer.concat([prefixed(item('1')), prefixed(item('2'))]));
    return rig.step({ type: 'message', message, units }).heard;
  };
  rig.core.exchanges.want(run, -1);
  rig.pass(RESEND_MS + BEAT_MS);
  const wanted = { t: 'want-answers', epic: 'e', term: 1, n: 1, after: -1 };
  assert.deepEqual(rig.all('want-answers'), [wanted, wanted]);
  assert.deepEqual([answers(7), took(rig, 0)], [[], []]);
  const [heard, ...more] = answers(-1);
  assert.deepEqual(more, []);
  assert.ok(heard?.type === 'answers' && heard.run === run && heard.last);
  assert.deepEqual([heard.units, Buffer.from(heard.bytes.at(1)).toString()], [[3, 5], '2']);
  assert.deepEqual(answers(-1), [], 'doubled');
});

describe('a control run', () => {
  test('has a slot, and counts as one unit held', () => {
    const { rig } = control('scatter');
    rig.work(2, [0, 4]);
    assert.deepEqual([rig.core.running, rig.core.held, rig.core.next()], [1, 5, undefined]);
  });

  test('is reported like a unit, and forgotten when settled', () => {
    const { rig, run } = control('scatter');
    rig.finish(run);
    rig.pass(BEAT_MS);
    assert.deepEqual(rig.reports(), [{ epic: 'e', term: 1, n: 1, ok: UNITS }]);
    rig.settled(1, UNITS);
    assert.equal(rig.core.held, 0);
  });

  test('that is to be tried again does not wait here, however short the delay', () => {
    const { rig, run } = control('fold');
    rig.finish(run, retry(1_000));
    rig.pass(BEAT_MS);
    const later = { unit: CONTROL_UNIT, attempt: 2, step: 0, delayMs: 1_000, code: 'x', brings: 1 };
    assert.deepEqual(rig.reports()[0]?.later, [later]);
    assert.equal(rig.core.next(), undefined);
  });

  test('is given back unstarted when it is recalled, or when the worker drains', () => {
    for (const input of [
      { type: 'drain' },
      { type: 'message', message: { t: 'recall', term: 1, count: 9 }, units: unitsOf(new Uint8Array(0)) },
    ] as const) {
      const rig = Rig.known(1);
      rig.work(1, UNITS, { control: 'scatter' });
      rig.step(input);
      rig.pass(BEAT_MS);
      assert.deepEqual(rig.reports()[0]?.back, UNITS);
    }
  });

  test('is stopped by an abort, and what it gave is sent no more', () => {
    const { rig, run } = control('scatter');
    give(rig, run, '"a"');
    assert.deepEqual(rig.take({ t: 'abort', term: 1, epic: 'e' }).aborts, [run]);
    rig.finish(run, retry(0, 1));
    rig.clear();
    rig.pass(2 * RESEND_MS);
    assert.deepEqual(parts(rig), []);
    assert.ok(rig.reports().every(({ later }) => later?.length === 1));
  });

  test('is stopped where its grant is over, as soon as it says something', () => {
    const { rig, run } = control('scatter');
    rig.settled(1, UNITS);
    rig.core.exchanges.give(run, { items: [item('1')], last: true });
    assert.deepEqual(rig.step({ type: 'ran' }).aborts, [run]);
    assert.deepEqual(parts(rig), []);
    rig.finish(run, retry(0, 1));
    assert.equal(rig.core.running, 0);
  });

  test('is stopped where nobody answers for long, the time without a master not counted', () => {
    const { rig, run } = control('scatter');
    give(rig, run, '"a"');
    rig.step({ type: 'down' });
    rig.pass(2 * CONTROL_TIMEOUT_MS);
    rig.step({ type: 'up' });
    rig.pass(2 * CONTROL_TIMEOUT_MS);
    const aborts: Run[] = [];
    let waitedMs = 0;
    for (; aborts.length === 0 && waitedMs < 2 * CONTROL_TIMEOUT_MS; waitedMs += BEAT_MS) {
      rig.nowMs += BEAT_MS;
      answer(rig);
      aborts.push(...rig.out.aborts);
    }
    assert.deepEqual(aborts, [run]);
    assert.ok(waitedMs >= CONTROL_TIMEOUT_MS - 2 * RESEND_MS, `after ${waitedMs} ms`);
  });
});

describe('an answer', () => {
  test('is told beside the success of its unit, and again until settled', () => {
    const rig = Rig.known(2);
    rig.work(1, [4, 6]);
    const [first, second] = [rig.start(), rig.start()];
    rig.clear();
    rig.core.finish(first, { kind: 'ok', answer: item('{"km":1}') });
    rig.finish(second, { kind: 'skipped' });
    for (let i = 0; i < 2; i++) {
      rig.pass(RESEND_MS + BEAT_MS);
      const message = rig.all('gimme').find(({ reports }) => reports.length > 0);
      assert.deepEqual(message?.reports, [
        { epic: 'e', term: 1, n: 1, ok: [4, 5], skipped: [5, 6], answers: [{ unit: 4, brings: 1 }] },
      ]);
      assert.deepEqual(rig.brought(message), ['{"km":1}']);
      rig.clear();
    }
    rig.settled(1, [4, 6]);
    assert.equal(rig.core.held, 0);
    rig.pass(2 * RESEND_MS);
    assert.deepEqual(rig.reports(), []);
  });

  test('of many goes in as many messages as it needs, each with the successes it is for', () => {
    const rig = Rig.known(1_000);
    rig.work(1, [0, 1_000]);
    rig.clear();
    const large = Buffer.alloc(10_000, ' ');
    for (let run = rig.core.next(); run; run = rig.core.next())
      rig.core.finish(run, { kind: 'ok', answer: large });
    rig.step({ type: 'ran' });
    rig.pass(BEAT_MS);
    const answered = rig.reports().map(({ ok, answers }) => {
      assert.deepEqual(ok, [answers?.[0]?.unit, (answers?.at(-1)?.unit ?? 0) + 1]);
      return answers?.length ?? 0;
    });
    assert.equal(
      answered.reduce((sum, count) => sum + count, 0),
      1_000,
    );
    assert.ok(answered.length > 1_000 / 128);
  });
});
