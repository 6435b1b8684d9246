/** The deadline of an epic that is no gather: what nobody began is missing at once, what may have had an effect is waited for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Effect } from '../../../../shared/protocol/messages.ts';
import { BEAT_MS, LEASE_MS, Rig, work } from './rig.ts';

const DEADLINE_MS = 5_000;

/** An epic with a deadline, of units granted to `w`; returns the number of the grant. */
function granted(rig: Rig, count: number, effects: Effect[] = ['none']): number {
  const source = { type: 'range', from: 0, to: count } as const;
  const ends = { deadlineMs: DEADLINE_MS };
  rig.step({ type: 'submit', epic: { epic: 'e', name: 'e', work: 'job', source, brief: 'b', ends } });
  rig.hello('w', [work('job', effects)], count);
  rig.read();
  return rig.sent('work', 'w')[0]?.n ?? 0;
}

/** Beats of `w` keep its lease while this much time goes by. */
function live(rig: Rig, n: number, ms: number): void {
  for (let gone = 0; gone < ms; gone += BEAT_MS) {
    rig.pass(BEAT_MS);
    rig.beat('w', n, 0, [n]);
  }
}

/** A rig that has replayed what another wrote until it was killed, so much later. */
function restarted(before: Rig, laterMs: number): Rig {
  const rig = new Rig();
  rig.nowMs = before.nowMs + laterMs;
  rig.core.recover(structuredClone(before.records));
  return rig;
}

describe('a deadline', () => {
  test('without effects: all that has no outcome is missing at once, and the epic finished', () => {
    const rig = new Rig();
    const n = granted(rig, 4);
    rig.report('w', 'e', n, { ok: [0, 1] });
    live(rig, n, DEADLINE_MS - BEAT_MS);
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 1, outstanding: 3 });
    rig.pass(BEAT_MS);
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 1, missing: 3 });
    assert.deepEqual(rig.sent('abort', 'w')[0]?.units, [1, 4]);
    assert.equal(rig.wrote('epic-finished')[0]?.outcome, 'finished');
    assert.equal(rig.epic('e').closing, 'the deadline passed');
    rig.report('w', 'e', n, { ok: [1, 4] });
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 1, missing: 3 }, 'it comes too late');
  });

  test('with at-most-once effects: what has begun may report for a lease, and is then unknown', () => {
    const rig = new Rig();
    const n = granted(rig, 4, ['at-most-once']);
    rig.begin('w', 'e', n, [0, 3]);
    live(rig, n, DEADLINE_MS);
    assert.deepEqual(rig.totals('e'), { read: 4, missing: 1, outstanding: 3 });
    rig.report('w', 'e', n, { ok: [0, 1], back: [1, 2] });
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 1, missing: 2, outstanding: 1 });
    live(rig, n, LEASE_MS);
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 1, missing: 2, unknown: 1 });
    assert.equal(rig.epic('e').state, 'finished');
  });

  test('lists what was never read, and what waits for a retry', () => {
    const rig = new Rig({ lookAheadUnits: 2 });
    const source = { type: 'range', from: 0, to: 10 } as const;
    const ends = { deadlineMs: DEADLINE_MS };
    rig.step({ type: 'submit', epic: { epic: 'e', name: 'e', work: 'job', source, brief: 'b', ends } });
    rig.hello('w', [work('job')], 1);
    const wanted = rig.out.reads[0];
    assert.ok(wanted);
    rig.step({ type: 'batch', ...rig.batchFor({ ...wanted, units: 3 }) });
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    const later = [{ unit: 0, attempt: 2, step: 0, delayMs: 60_000, code: 'x', brings: 1 as const }];
    rig.report('w', 'e', n, { later });
    live(rig, n, DEADLINE_MS);
    rig.read([], rig.records.length > 0 ? [{ ...wanted, first: 3, offset: 3 }] : []);
    assert.deepEqual(rig.totals('e'), { read: 10, missing: 10 });
    assert.equal(rig.epic('e').state, 'finished');
  });

  test('that no worker sees coming wakes the master by itself, also while the epic is paused', () => {
    const rig = new Rig();
    const source = { type: 'range', from: 0, to: 3 } as const;
    const ends = { deadlineMs: DEADLINE_MS };
    rig.step({ type: 'submit', epic: { epic: 'e', name: 'e', work: 'job', source, brief: 'b', ends } });
    rig.step({ type: 'pause', epic: 'e', reason: 'wait' });
    rig.read([], rig.pass(DEADLINE_MS).reads);
    assert.deepEqual(rig.totals('e'), { read: 3, missing: 3 });
    assert.equal(rig.core.state.timed.size, 0);
  });

  test('that passed while no master was there ends intake as soon as one is', () => {
    const before = new Rig();
    const n = granted(before, 4, ['at-most-once']);
    before.begin('w', 'e', n, [0, 1]);
    before.report('w', 'e', n, { ok: [3, 4] });
    const rig = restarted(before, DEADLINE_MS);
    rig.tick(1);
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 1, missing: 2, outstanding: 1 });
    rig.hello('w', [work('job', ['at-most-once'])], 0, { held: [rig.held('w', n, [0, 3], [0, 4])] });
    rig.report('w', 'e', n, { ok: [0, 1] });
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 2, missing: 2 });
    assert.equal(rig.epic('e').state, 'finished');
  });

  test('is kept over a restart, and by a checkpoint, with who is told of the end', () => {
    const before = new Rig();
    const ends = { deadlineMs: DEADLINE_MS, replyTo: 'http://who.example/' };
    const source = { type: 'range', from: 0, to: 3 } as const;
    before.step({ type: 'submit', epic: { epic: 'e', name: 'e', work: 'job', source, brief: 'b', ends } });
    const rig = new Rig();
    rig.core.recover(structuredClone(before.core.state.ledger.checkpoint()));
    rig.read([], rig.pass(DEADLINE_MS).reads);
    assert.deepEqual([rig.totals('e'), rig.epic('e').delivered], [{ read: 3, missing: 3 }, false]);
    rig.step({ type: 'delivered', epic: 'e' });
    rig.step({ type: 'delivered', epic: 'e' });
    assert.equal(rig.records.filter(({ k }) => k === 'delivered').length, 1);
    const last = new Rig();
    last.core.recover(structuredClone(rig.core.state.ledger.checkpoint()));
    assert.deepEqual([last.epic('e').delivered, last.epic('e').ends], [true, ends]);
  });
});
