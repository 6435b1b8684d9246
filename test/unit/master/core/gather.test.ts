/** Gathers: scatter, answers, the ends of intake, the fold, and what is addressed to one responder alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Addresses } from '../../../../master/core/records.ts';
import type { SourceSpec } from '../../../../master/core/source.ts';
import { CONTROL_UNIT, type Ranges } from '../../../../shared/protocol/messages.ts';
import { answer, controlOf, DEADLINE_MS, done, gather, scattered } from './gatherRig.ts';
import { LEASE_MS, Rig, work } from './rig.ts';

describe('a gather', () => {
  test('is scattered, answered, folded and finished; each unit counts once', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const token = scattered(rig, 3);
    const [grant] = rig.sent('work', 'w');
    assert.deepEqual(grant?.units, [0, 3]);
    done(rig, token);
    const n = grant?.n ?? 0;
    answer(rig, 'w', [0, 2], n);
    answer(rig, 'w', [0], n);
    assert.deepEqual(rig.totals('g'), { read: 3, succeeded: 2, outstanding: 1 });
    answer(rig, 'w', [1], n);
    assert.equal(rig.epic('g').gather?.phase, 'fold');
    assert.deepEqual(
      rig.rows.units({ epic: 'g', states: ['answered'], limit: 9 }).map(({ unit }) => unit),
      [0, 1, 2],
    );
    const fold = controlOf(rig, 'w');
    rig.step({ type: 'folded', token: fold, bytes: 7, hash: 'h' });
    assert.equal(rig.epic('g').state, 'finished');
    assert.deepEqual(rig.epic('g').gather?.result, { bytes: 7, hash: 'h' });
  });

  test('without items finishes at once, without a fold', () => {
    const rig = new Rig();
    scattered(rig, 0);
    assert.equal(rig.epic('g').state, 'finished');
    assert.deepEqual(rig.totals('g'), {});
  });

  test('nothing of it is granted before its scatter has ended; one whose worker is lost is run again', () => {
    const rig = new Rig();
    const source: SourceSpec = { type: 'scatter' };
    rig.step({ type: 'submit', epic: { epic: 'g', name: 'g', work: 'ask', source, brief: 'b', gather: {} } });
    rig.hello('w', [gather()], 100);
    const first = controlOf(rig, 'w');
    rig.pass(LEASE_MS + 1_000);
    rig.hello('x', [gather()], 100);
    const second = controlOf(rig, 'x');
    rig.step({ type: 'scattered', token: first, source: { type: 'range', from: 0, to: 2 }, items: 2 });
    assert.equal(rig.epic('g').gather?.phase, 'scatter', 'the first has lost it');
    rig.step({ type: 'scattered', token: second, source: { type: 'range', from: 0, to: 5 }, items: 5 });
    rig.read();
    assert.deepEqual(rig.sent('work', 'x')[0]?.units, [0, 5]);
  });

  test('whose scatter fails for good fails, and sends nothing', () => {
    const rig = new Rig();
    const source: SourceSpec = { type: 'scatter' };
    rig.step({ type: 'submit', epic: { epic: 'g', name: 'g', work: 'ask', source, brief: 'b', gather: {} } });
    rig.hello('w', [gather()], 100);
    const { n } = controlOf(rig, 'w');
    const fault = { unit: CONTROL_UNIT, code: 'bad_scatter', message: 'item 3', step: '', attempt: 1 };
    rig.report('w', 'g', n, { failed: [fault] });
    assert.equal(rig.epic('g').state, 'failed');
    assert.deepEqual(rig.epic('g').fault, { code: 'bad_scatter', message: 'item 3' });
  });

  test('whose scatter gave what cannot be taken fails, and who runs it is told to stop', () => {
    const rig = new Rig();
    const source: SourceSpec = { type: 'scatter' };
    rig.step({ type: 'submit', epic: { epic: 'g', name: 'g', work: 'ask', source, brief: 'b', gather: {} } });
    rig.hello('w', [gather()], 100);
    const token = controlOf(rig, 'w');
    rig.step({ type: 'control-refused', token: { ...token, n: token.n + 1 }, code: 'x', message: 'another' });
    assert.equal(rig.epic('g').state, 'running');
    rig.step({ type: 'control-refused', token, code: 'bad_scatter', message: 'too much' });
    assert.deepEqual([rig.epic('g').state, rig.epic('g').fault?.code], ['failed', 'bad_scatter']);
    assert.equal(rig.sent('abort', 'w').length, 1);
  });

  test('whose fold fails again and again fails with its answers kept', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const token = scattered(rig, 1);
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    done(rig, token);
    answer(rig, 'w', [0], n);
    for (let i = 0; i < 5; i++) {
      const fold = controlOf(rig, 'w');
      const later = { unit: CONTROL_UNIT, attempt: i + 2, step: 0, delayMs: 0, code: 'step_failed' };
      rig.gimme('w', fold.n, 100, [{ epic: 'g', term: 7, n: fold.n, later: [later] }]);
      if (i < 4) while (rig.sent('work', 'w').length === 0) rig.tick(500);
    }
    assert.equal(rig.epic('g').state, 'failed');
    assert.equal(rig.rows.units({ epic: 'g', states: ['answered'], limit: 9 }).length, 1);
  });
});

describe('the end of intake', () => {
  test('is the deadline, to the millisecond; late answers are counted, not folded', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const at = rig.nowMs;
    const token = scattered(rig, 4);
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    done(rig, token);
    answer(rig, 'w', [1], n);
    while (rig.epic('g').closing === undefined) {
      rig.nowMs = Math.max(rig.nowMs + 1, rig.out.wakeAt);
      rig.step({ type: 'tick' });
    }
    assert.equal(rig.nowMs - at, DEADLINE_MS);
    assert.deepEqual(rig.totals('g'), { read: 4, succeeded: 1, missing: 3 });
    assert.deepEqual(rig.sent('abort', 'w')[0]?.units, [0, 1, 2, 4]);
    const fold = controlOf(rig, 'w');
    answer(rig, 'w', [0, 1], n);
    answer(rig, 'w', [0], n);
    assert.deepEqual(rig.epic('g').gather?.late.ranges(), [0, 1]);
    rig.step({ type: 'folded', token: fold, bytes: 2, hash: 'h' });
    answer(rig, 'w', [2], n);
    assert.deepEqual(rig.epic('g').gather?.late.ranges(), [0, 1, 2, 3]);
    assert.deepEqual(rig.totals('g'), { read: 4, succeeded: 1, missing: 3 });
    assert.equal(rig.epic('g').state, 'finished');
  });

  test('gives nothing out in the step that it comes with: what nobody had is missing, not in doubt', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const manifest = gather({}, 'at-least-once');
    const token = scattered(rig, 2, { manifest, to: [['v1', [0, 2]]] });
    done(rig, token);
    rig.nowMs += DEADLINE_MS;
    rig.hello('s1', [manifest], 100, { name: 'v1' });
    assert.deepEqual(rig.sent('work', 's1'), []);
    assert.deepEqual(rig.totals('g'), { read: 2, missing: 2 });
  });

  test('is waited for by one nobody knew of: what it answers is folded', () => {
    const rig = new Rig();
    const manifest = gather({}, 'at-most-once');
    const token = scattered(rig, 2, { manifest });
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    done(rig, token);
    rig.begin('w', 'g', n, [0, 1]);
    rig.pass(LEASE_MS + 100);
    rig.hello('w', [manifest], 0, {
      lastGrant: n,
      held: [rig.held('w', n, [0, 2], [0, 2], { epic: 'g', term: 7 })],
    });
    assert.deepEqual(rig.totals('g'), { read: 2, unknown: 1, outstanding: 1 });
    answer(rig, 'w', [0, 1], n);
    assert.deepEqual(rig.totals('g'), { read: 2, succeeded: 2 });
    const rows = rig.rows.units({ epic: 'g', states: ['answered'], limit: 9 });
    assert.deepEqual(
      rows.map(({ data }) => Buffer.from(data?.bytes ?? []).toString()),
      ['unit 0', 'unit 1'],
    );
  });

  test('comes with enough answers, and one that declined has answered', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const token = scattered(rig, 5, { asked: { enough: 2 } });
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    done(rig, token);
    rig.gimme('w', n, 100, [{ epic: 'g', term: 7, n, skipped: [3, 4] }]);
    answer(rig, 'w', [4], n);
    assert.equal(rig.epic('g').gather?.phase, 'fold');
    assert.deepEqual(rig.totals('g'), { read: 5, succeeded: 1, skipped: 1, missing: 3 });
  });

  test('with fewer answers than the quorum it fails, with those it has', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const token = scattered(rig, 3, { asked: { quorum: 2, deadlineMs: 500 } });
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    done(rig, token);
    answer(rig, 'w', [0], n);
    rig.pass(1_000);
    assert.equal(rig.epic('g').state, 'failed');
    assert.equal(rig.epic('g').fault?.code, 'quorum_missed');
  });

  test('holds while nobody offers the work, and over a restart of the master', () => {
    const rig = new Rig();
    const source: SourceSpec = { type: 'scatter' };
    const asked = { deadlineMs: 3_000 };
    rig.step({
      type: 'submit',
      epic: { epic: 'g', name: 'g', work: 'ask', source, brief: 'b', gather: asked },
    });
    const next = new Rig();
    next.nowMs = rig.nowMs + 2_000;
    next.core.recover(rig.records);
    next.tick(1);
    assert.equal(next.epic('g').state, 'running');
    next.pass(1_100);
    assert.deepEqual([next.epic('g').state, next.epic('g').fault?.code], ['failed', 'scatter_failed']);
  });

  test('waits a lease for effects that may have happened, then they are unknown', () => {
    const rig = new Rig({ leaseMs: 2_000 });
    const token = scattered(rig, 2, { manifest: gather({}, 'at-least-once'), asked: { deadlineMs: 500 } });
    done(rig, token);
    for (let i = 0; i < 30; i++) {
      rig.pass(100);
      rig.beat('w', 9, 100, rig.core.state.sessions.get('w') ? [...heldOf(rig)] : []);
    }
    assert.deepEqual(rig.totals('g'), { read: 2, unknown: 2 });
    assert.equal(rig.epic('g').gather?.phase, 'fold');
  });
});

function* heldOf(rig: Rig): Generator<number> {
  for (const grant of rig.core.state.sessions.get('w')?.grants.values() ?? []) yield grant.n;
}

describe('addressed units', () => {
  const to: Addresses = [
    ['v1', [0, 1, 2, 3]],
    ['v2', [1, 2]],
  ];

  test('go to their responder alone, whenever it comes, and never move', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const token = scattered(rig, 3, { to });
    assert.deepEqual(rig.sent('work', 'w'), [], 'w is no responder');
    done(rig, token);
    rig.hello('s2', [gather()], 100, { name: 'v2' });
    const [second] = rig.sent('work', 's2');
    assert.deepEqual(second?.units, [1, 2]);
    rig.hello('s1', [gather()], 100, { name: 'v1' });
    assert.deepEqual(rig.sent('work', 's1')[0]?.units, [0, 1, 2, 3]);
    rig.report('s2', 'g', second?.n ?? 0, { back: [1, 2] });
    rig.read(rig.out.reads.length > 0 ? [] : []);
    rig.gimme('w', token.n, 100);
    assert.deepEqual(rig.sent('work', 'w'), []);
  });

  test('that wait for a retry are not held up by those of a responder that never comes', () => {
    // As many as are looked ahead for were ready, so nobody looked for what was parked and due.
    const rig = new Rig({ leaseMs: 60_000, lookAheadUnits: 1 });
    const token = scattered(rig, 3, { to });
    done(rig, token);
    rig.hello('s2', [gather()], 100, { name: 'v2' });
    const n = rig.sent('work', 's2')[0]?.n ?? 0;
    const later = { unit: 1, attempt: 2, step: 0, delayMs: 500, code: 'later', brings: 1 as const };
    rig.gimme('s2', n, 100, [{ epic: 'g', term: 7, n, later: [later] }]);
    assert.equal(rig.epic('g').parked.count, 1);
    rig.tick(600);
    rig.due();
    assert.deepEqual(rig.sent('work', 's2')[0]?.units, [1, 2]);
  });

  test('of a responder that never comes take no part of what others could be given', () => {
    // Their epic had its turn, with nothing for the worker in it, and half of what the worker wanted was not granted.
    const rig = new Rig({ leaseMs: 60_000 });
    rig.submit('e', 'job', 60);
    rig.hello('s0', [work('job')], 0);
    rig.read();
    done(rig, scattered(rig, 3, { to: [['nobody', [0, 3]]] }));
    for (const s of ['s1', 's2', 's3']) {
      rig.hello(s, [gather(), work('job')], 10);
      const granted = rig.sent('work', s).flatMap(({ units }) => units);
      assert.equal((granted[1] ?? 0) - (granted[0] ?? 0), 10, s);
    }
  });

  test('of a responder that never comes are missing at the deadline, the others are not held up', () => {
    const rig = new Rig({ leaseMs: 60_000, lookAheadUnits: 1 });
    const token = scattered(rig, 3, { to, asked: { deadlineMs: 2_000 } });
    done(rig, token);
    rig.hello('s2', [gather()], 100, { name: 'v2' });
    answer(rig, 's2', [1], rig.sent('work', 's2')[0]?.n ?? 0);
    rig.pass(2_100);
    assert.deepEqual(rig.totals('g'), { read: 3, succeeded: 1, missing: 2 });
    assert.deepEqual(rig.epic('g').gather?.missing.ranges(), [0, 1, 2, 3]);
  });
});

test('a unit without an answer is given to another, too: the first answer counts, the other is stopped', () => {
  const rig = new Rig({ leaseMs: 60_000 });
  const manifest = gather({ reissueAfterMs: 1_000 });
  const token = scattered(rig, 1, { manifest });
  const n = rig.sent('work', 'w')[0]?.n ?? 0;
  done(rig, token);
  rig.gimme('w', n, 0);
  rig.hello('x', [manifest], 10);
  rig.pass(1_100);
  if (rig.out.reads.length > 0) rig.read(rig.out.reads.length > 0 ? [] : []);
  const [second] = rig.sent('work', 'x');
  assert.deepEqual(second?.units, [0, 1] as Ranges);
  answer(rig, 'w', [0], n);
  assert.deepEqual(rig.sent('abort', 'x')[0]?.units, [0, 1]);
  assert.deepEqual(rig.totals('g'), { read: 1, succeeded: 1 });
});
