/** Units that wait in the store: parked, due, granted again, lost, cancelled; states kept at checkpoints. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ledger } from '../../../../master/core/ledger.ts';
import type { EpicRecord } from '../../../../master/core/records.ts';
import type { ReadWanted } from '../../../../master/core/state.ts';
import { EPICS_FINISHED_KEPT_MAX } from '../../../../shared/core/limits.ts';
import type { UnitLater } from '../../../../shared/protocol/messages.ts';
import { BEAT_MS, LEASE_MS, Rig, work } from './rig.ts';

const later = (unit: number, delayMs: number, step = 0): UnitLater => ({
  ...{ unit, attempt: 2, step, delayMs, code: 'deferred', brings: 2 },
});

/** Ten units, granted whole, of which these are given back for later. */
function parked(units: number[], delayMs = 5_000): { rig: Rig; n: number } {
  const rig = new Rig({ leaseMs: 60_000 });
  const n = rig.granted(10);
  rig.gimme('w', n, 10, [{ epic: 'e', term: 7, n, later: units.map((unit) => later(unit, delayMs)) }]);
  return { rig, n };
}

/** A new master over the records of another, as after a crash. */
function restarted(before: Rig, leaseMs = LEASE_MS): Rig {
  const rig = new Rig({ leaseMs });
  rig.nowMs = before.nowMs + 1;
  rig.core.recover(before.records);
  for (const record of before.records) rig.rows.apply(record);
  rig.tick(1);
  return rig;
}

describe('parked units', () => {
  test('pass the cursor and are outstanding', () => {
    const { rig, n } = parked([3, 4, 7]);
    rig.report('w', 'e', n, { ok: [0, 3, 5, 7, 8, 10] });
    const epic = rig.epic('e');
    assert.deepEqual(rig.totals('e'), { read: 10, succeeded: 7, outstanding: 3 });
    assert.deepEqual([epic.passed.ranges(), epic.extents, epic.resume.size], [[0, 10], [], 0]);
    assert.equal(epic.state, 'running');
  });

  test('nobody holds them after a crash: they go out when they are due, not a lease later', () => {
    const { rig: before, n } = parked([3, 4]);
    before.report('w', 'e', n, { ok: [0, 3, 5, 10] });
    const rig = restarted(before, 60_000);
    rig.hello('w', [work('job')], 10);
    rig.due();
    assert.deepEqual(rig.wrote('unparked'), [], 'none is due yet');
    rig.pass(5_050);
    rig.due();
    assert.deepEqual(rig.sent('work')[0]?.units, [3, 5]);
    assert.deepEqual(rig.wrote('lease-expired'), []);
  });

  // Broke: workers that had missed the one word of a new master were never told again that anything was due.
  test('are told of, each heartbeat, once they are due and nobody here offers their work', () => {
    const { rig: before, n } = parked([3]);
    before.report('w', 'e', n, { ok: [0, 3, 4, 10] });
    const rig = restarted(before, 60_000);
    rig.pass(5_050 + 3 * BEAT_MS);
    const told = rig.sent('available').map(({ works }) => works.join());
    assert.ok(told.length >= 2 && told.every((works) => works === 'job'), told.join(' '));
  });

  test('one that came back is kept by the store until it is settled', () => {
    const { rig, n } = parked([3], 0);
    rig.due();
    const [grant] = rig.sent('work', 'w');
    assert.equal(rig.rows.units({ epic: 'e', limit: 9 })[0]?.state, 'running');
    rig.report('w', 'e', n, { ok: [0, 3, 4, 10] });
    rig.report('w', 'e', grant?.n ?? 0, { ok: [3, 4] });
    assert.deepEqual(rig.wrote('settled')[0]?.rows, [3, 4]);
    assert.deepEqual(rig.rows.units({ epic: 'e', limit: 9 }), []);
    assert.equal(rig.epic('e').state, 'finished');
  });

  test('one whose worker is lost goes back to the store, and is run again with what the store has', () => {
    const rig = new Rig();
    const n = rig.granted(10);
    rig.gimme('w', n, 10, [{ epic: 'e', term: 7, n, ok: [0, 3, 4, 10], later: [later(3, 0, 1)] }]);
    rig.due();
    assert.deepEqual(rig.sent('work', 'w')[0]?.units, [3, 4]);
    rig.pass(LEASE_MS + 1_000);
    assert.equal(rig.wrote('lease-expired')[0]?.again.join(), '3,4');
    rig.hello('x', [work('job')], 10);
    rig.due();
    const [grant] = rig.sent('work', 'x');
    assert.deepEqual(grant?.again, [{ unit: 3, attempt: 3, step: 1, state: true }]);
  });

  test('a token that had lost one may still say that it succeeded: it is not run again', () => {
    const rig = new Rig();
    const n = rig.granted(4);
    rig.pass(LEASE_MS + 1_000);
    rig.read();
    rig.hello('x', [work('job')], 4);
    const other = rig.sent('work', 'x')[0]?.n ?? 0;
    rig.report('x', 'e', other, { ok: [0, 3], later: [later(3, 60_000)] });
    rig.hello('w', [work('job')], 0, {
      held: [rig.held('w', n, [0, 4])],
      lastGrant: n,
    });
    rig.report('w', 'e', n, { ok: [0, 4] });
    assert.deepEqual(rig.wrote('unparked')[0]?.units, [3, 4]);
    assert.deepEqual(rig.wrote('settled')[0]?.succeeded, [3, 4]);
    assert.deepEqual(rig.rows.units({ epic: 'e', limit: 9 }), []);
    assert.equal(rig.epic('e').state, 'finished');
  });

  // Broke: whoever had lost a waiting unit could claim it, and gave it back: it was tried again before it was due.
  test('a token that had lost one does not hold it again, and cannot hurry it', () => {
    const rig = new Rig();
    const n = rig.granted(1);
    rig.pass(LEASE_MS + 1_000);
    rig.read();
    rig.hello('x', [work('job')], 1);
    const other = rig.sent('work', 'x')[0]?.n ?? 0;
    rig.gimme('x', other, 9, [{ epic: 'e', term: 7, n: other, later: [later(0, 60_000)] }]);
    rig.hello('w', [work('job')], 0, { held: [rig.held('w', n, [0, 1])], lastGrant: n });
    assert.equal(rig.core.state.live.get('e')?.leased, 0);
    rig.beat('w', n, 0, []);
    assert.deepEqual([rig.out.dues, rig.wrote('unparked'), rig.sent('work', 'x')], [[], [], []]);
    assert.deepEqual(rig.epic('e').parked.ranges(), [0, 1]);
  });

  test('a cancel ends them at once', () => {
    const { rig, n } = parked([3, 4]);
    rig.report('w', 'e', n, { ok: [0, 3, 5, 10] });
    rig.step({ type: 'cancel', epic: 'e', reason: 'enough' });
    assert.deepEqual(rig.totals('e'), { read: 10, succeeded: 8, cancelled: 2 });
    assert.equal(rig.epic('e').state, 'cancelled');
    assert.deepEqual(rig.rows.units({ epic: 'e', limit: 9 }), []);
  });

  test('a page that comes after a cancel is passed over', () => {
    const { rig, n } = parked([3], 0);
    const [wanted] = rig.out.dues;
    assert.ok(wanted);
    const due = rig.rows.due(wanted);
    assert.equal(due.rows.length, 1);
    rig.step({ type: 'cancel', epic: 'e', reason: 'enough' });
    rig.report('w', 'e', n, { ok: [0, 3, 4, 10] });
    rig.step({ type: 'due', epic: 'e', due });
    assert.equal(rig.epic('e').state, 'cancelled');
  });

  test('without its bytes one cannot be kept: it is run again at once', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const n = rig.granted(2);
    const bare = { ...later(1, 5_000), brings: 0 } as const;
    rig.gimme('w', n, 2, [{ epic: 'e', term: 7, n, later: [bare] }]);
    assert.deepEqual([rig.wrote('parked'), rig.epic('e').parked.count], [[], 0]);
    rig.read();
    assert.deepEqual(rig.sent('work', 'w')[0]?.units, [1, 2]);
  });

  test('reading pauses at the limit', () => {
    const rig = new Rig({ parkedMax: 2, lookAheadUnits: 1 });
    rig.submit('e', 'job', 100);
    rig.hello('w', [work('job')], 3);
    const [read] = rig.out.reads;
    assert.ok(read);
    rig.step({ type: 'batch', ...rig.batchFor({ ...read, units: 3 }) });
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    const units = [later(0, 9_000), later(1, 9_000)];
    rig.gimme('w', n, 3, [{ epic: 'e', term: 7, n, ok: [2, 3], later: units }]);
    const [second] = rig.out.reads;
    assert.equal(second, undefined, 'two are parked');
  });
});

describe('states', () => {
  test('one is kept before its unit goes on, and the unit is run on from there when its worker is lost', () => {
    const rig = new Rig();
    const n = rig.granted(2, ['none', 'at-least-once']);
    const saved = [{ unit: 0, step: 1, brings: 2 }] as const;
    rig.say('w', { t: 'begin', at: rig.at('w'), epic: 'e', term: 7, n, units: [], saved: [...saved] });
    assert.deepEqual(rig.sent('proceed', 'w')[0]?.go, [0, 1]);
    assert.equal(rig.outgoing('proceed')[0]?.after, rig.core.state.recorded, 'not before it is durable');
    rig.say('w', { t: 'begin', at: rig.at('w'), epic: 'e', term: 7, n, units: [], saved: [...saved] });
    assert.deepEqual(rig.wrote('saved'), [], 'said twice, kept once');
    rig.pass(LEASE_MS + 1_000);
    rig.hello('x', [work('job', ['none', 'at-least-once'])], 10);
    rig.due();
    assert.deepEqual(rig.sent('work', 'x')[0]?.again, [{ unit: 0, attempt: 2, step: 1, state: true }]);
  });

  test('an effect before a kept state has happened: a lost unit goes on after it', () => {
    const effects = ['at-most-once', 'none', 'at-most-once'] as const;
    const rig = new Rig();
    const n = rig.granted(2, [...effects]);
    rig.begin('w', 'e', n, [0, 2]);
    const saved = [0, 1].map((unit) => ({ unit, step: 1, brings: 2 }) as const);
    rig.say('w', { t: 'begin', at: rig.at('w'), epic: 'e', term: 7, n, units: [], saved });
    const both = [{ unit: 1, step: 2, brings: 2 } as const];
    rig.say('w', { t: 'begin', at: rig.at('w'), epic: 'e', term: 7, n, units: [1, 2], saved: both });
    rig.pass(LEASE_MS + 1_000);
    assert.deepEqual(
      rig.totals('e'),
      { read: 2, unknown: 1, outstanding: 1 },
      'unit 1 was in its second effect',
    );
    rig.hello('x', [work('job', [...effects])], 10);
    rig.due();
    assert.deepEqual(rig.sent('work', 'x')[0]?.again, [{ unit: 0, attempt: 2, step: 1, state: true }]);
  });

  test('a unit that its token does not hold is skipped, and nothing is kept', () => {
    const rig = new Rig();
    const n = rig.granted(1);
    const saved = [{ unit: 5, step: 1, brings: 2 }] as const;
    rig.say('w', { t: 'begin', at: rig.at('w'), epic: 'e', term: 7, n, units: [], saved: [...saved] });
    assert.deepEqual([rig.wrote('saved'), rig.sent('proceed', 'w')[0]?.skip], [[], [5, 6]]);
  });

  test('a fault is kept with the bytes of its unit and the number of its step', () => {
    const rig = new Rig();
    const n = rig.granted(2, ['none', 'none']);
    const fault = {
      unit: 1,
      code: 'no_such_user',
      message: 'gone',
      step: 's1',
      attempt: 3,
      brings: 1,
    } as const;
    rig.report('w', 'e', n, { failed: [{ ...fault, key: 'a@b' }] });
    const [row] = rig.rows.units({ epic: 'e', limit: 9 });
    assert.deepEqual(
      { ...row, data: Buffer.from(row?.data?.bytes ?? []).toString() },
      {
        ...{
          epic: 'e',
          unit: 1,
          state: 'failed',
          code: 'no_such_user',
          message: 'gone',
          step: 1,
          attempt: 3,
        },
        ...{ dueWallMs: 0, key: 'a@b', data: 'unit 1' },
      },
    );
  });
});

describe('pause', () => {
  test('takes back what has not begun, grants and reads nothing, and goes on', () => {
    const rig = new Rig();
    const n = rig.granted(4);
    rig.step({ type: 'pause', epic: 'e', reason: 'the template is wrong' });
    assert.deepEqual(rig.sent('recall', 'w'), [{ t: 'recall', term: 7, count: 4, epic: 'e' }]);
    rig.gimme('w', n, 4, [{ epic: 'e', term: 7, n, ok: [0, 1], back: [1, 4] }]);
    rig.pass(500);
    assert.deepEqual([rig.out.reads, rig.sent('work', 'w'), rig.sent('available')], [[], [], []]);
    rig.step({ type: 'resume', epic: 'e' });
    rig.read();
    assert.deepEqual(rig.sent('work', 'w')[0]?.units, [1, 4]);
  });

  test('outlives a restart; a paused epic can be cancelled', () => {
    const rig = new Rig();
    rig.granted(4);
    rig.step({ type: 'pause', epic: 'e', reason: 'wait' });
    const next = restarted(rig);
    assert.equal(next.epic('e').paused, 'wait');
    next.step({ type: 'cancel', epic: 'e', reason: 'enough' });
    next.pass(3 * LEASE_MS);
    assert.equal(next.epic('e').state, 'cancelled');
  });

  test('a damaged source pauses its epic: nothing is skipped, and it is read again when it goes on', () => {
    const rig = new Rig();
    rig.submit('e', 'job', 10);
    rig.hello('w', [work('job')], 10);
    rig.step({ type: 'read-failed', epic: 'e', first: 0, message: 'chunk 3 is damaged', damaged: true });
    assert.equal(rig.epic('e').paused, 'chunk 3 is damaged');
    rig.pass(20_000);
    assert.deepEqual(rig.out.reads, []);
    rig.step({ type: 'resume', epic: 'e' });
    assert.equal(rig.out.reads.length, 1);
  });
});

test('an epic that tries some units again counts only these, under the keys of the first', () => {
  const rig = new Rig();
  const source = { type: 'range', from: 0, to: 10 } as const;
  const retryOf = { epic: 'p', effects: 'root', only: [2, 4, 7, 8] };
  rig.step({ type: 'submit', epic: { epic: 'c', name: 'c', work: 'job', source, brief: 'b', retryOf } });
  rig.hello('w', [work('job')], 10);
  rig.read([{ unit: 5, code: 'invalid_unit', message: 'not ours' }]);
  const [grant] = rig.sent('work', 'w');
  assert.deepEqual([grant?.units, grant?.effects], [[2, 4, 7, 8], 'root']);
  assert.deepEqual(rig.totals('c'), { read: 3, outstanding: 3 });
  const next = restarted(rig);
  assert.deepEqual(next.totals('c'), { read: 3, outstanding: 3 });
  rig.report('w', 'c', grant?.n ?? 0, { ok: [2, 4, 7, 8] });
  assert.deepEqual([rig.epic('c').state, rig.totals('c')], ['finished', { read: 3, succeeded: 3 }]);
});

test('finished epics are purged when they are old, or too many, but none that runs', () => {
  const rig = new Rig({ retentionMs: 5_000 });
  for (const epic of ['a', 'b']) rig.submit(epic, 'job', 1);
  rig.hello('w', [work('job')], 1);
  rig.step({ type: 'batch', ...rig.batchFor(rig.out.reads[0] as ReadWanted) });
  const [grant] = rig.sent('work', 'w');
  assert.ok(grant);
  rig.report('w', grant.epic, grant.n, { ok: [0, 1] });
  rig.pass(4_900);
  assert.equal(rig.core.state.ledger.epics.size, 2);
  rig.pass(1_200);
  assert.deepEqual(rig.wrote('purged'), [{ k: 'purged', epic: grant.epic }]);
  assert.equal(rig.core.state.ledger.epics.size, 1);

  const records = Array.from({ length: EPICS_FINISHED_KEPT_MAX + 2 }, (_, i): EpicRecord[] => [
    { k: 'epic-submitted', epic: `e${i}`, name: 'n', work: 'job', source, brief: 'b', wallMs: 1 },
    { k: 'horizon', epic: `e${i}`, to: 0, offset: 0, end: true },
    { k: 'epic-finished', epic: `e${i}`, outcome: 'finished', wallMs: rig.nowMs + 1_700_000_000_000 },
  ]);
  const many = new Rig();
  many.core.recover(records.flat());
  many.tick(1);
  assert.deepEqual(
    many.wrote('purged').map(({ epic }) => epic),
    ['e0', 'e1'],
  );
  const ledger = new Ledger();
  for (const record of [...records.flat(), ...many.wrote('purged')]) ledger.apply(record);
  assert.equal(ledger.epics.size, EPICS_FINISHED_KEPT_MAX);
});

const source = { type: 'range', from: 0, to: 0 } as const;
