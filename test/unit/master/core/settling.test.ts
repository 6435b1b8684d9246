/** What reports and begins do to units: each ends once, and everything is answered. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Epic } from '../../../../master/core/epic.ts';
import { checkpointOf } from '../../../../master/core/epicCheckpoint.ts';
import { FAULT_CODES_MAX } from '../../../../shared/core/limits.ts';
import type { Ranges, UnitFault } from '../../../../shared/protocol/messages.ts';
import { LEASE_MS, Rig, work } from './rig.ts';

const MAIL = ['none', 'at-most-once'] as const;
const fault = (unit: number): UnitFault => ({ unit, code: 'x', message: 'm', step: 's0', attempt: 1 });
const later = (unit: number, delayMs: number) => ({ unit, attempt: 2, step: 0, delayMs, code: 'x' });

/** An epic of `count` units granted to `w`, whose lease has lapsed, and then granted to `v`. */
function lapsed(count: number, effects: readonly ('none' | 'at-most-once')[], begun: Ranges = []) {
  const rig = new Rig();
  const n = rig.granted(count, [...effects]);
  if (begun.length > 0) rig.begin('w', 'e', n, begun);
  rig.pass(LEASE_MS);
  const expired = rig.out.records.find((record) => record.k === 'lease-expired');
  assert.ok(expired?.k === 'lease-expired');
  if (rig.out.reads.length > 0) rig.read();
  rig.hello('v', [work('job', [...effects])], count);
  const of = rig.sent('work', 'v')[0];
  /** `w` says hello again, with all that it was granted. */
  const back = () => {
    const held = [rig.held('w', n, [0, count])];
    return rig.hello('w', [work('job', [...effects])], 0, { lastGrant: n, held });
  };
  return { rig, n, expired, of, back };
}

describe('reports', () => {
  test('every outcome is counted, and answered after its record', () => {
    const rig = new Rig();
    const n = rig.granted(4);
    rig.report('w', 'e', n, { ok: [0, 1], skipped: [1, 2], failed: [fault(2)], unknown: [fault(3)] });
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 1, skipped: 1, failed: 1, unknown: 1 });
    assert.deepEqual(rig.sent('settled', 'w')[0]?.grants, [{ n, units: [0, 4] }]);
    const last = rig.out.records.findIndex(({ k }) => k === 'epic-finished');
    const before = rig.core.state.recorded - (rig.out.records.length - last);
    assert.equal(rig.outgoing('settled')[0]?.after, before);
    assert.deepEqual([...rig.epic('e').faults], [['x', 2]]);
  });

  test('a doubled report changes nothing and is answered', () => {
    const rig = new Rig();
    const n = rig.granted(4);
    const report = { epic: 'e', term: 7, n, ok: [0, 1], failed: [fault(1)], later: [later(2, 60_000)] };
    rig.gimme('w', n, 0, [report]);
    const before = rig.totals('e');
    rig.gimme('w', n, 0, [report]);
    assert.deepEqual(rig.out.records, []);
    assert.deepEqual(rig.totals('e'), before);
    assert.deepEqual(rig.sent('settled', 'w')[0]?.grants, [{ n, units: [0, 3] }]);
  });

  test('while the store takes nothing, what is said again is neither recorded nor answered again', () => {
    const rig = new Rig();
    const n = rig.granted(3, ['at-most-once']);
    rig.begin('w', 'e', n, [0, 2]);
    rig.step({ type: 'store', stalled: true });
    rig.report('w', 'e', n, { ok: [0, 1] });
    assert.equal(rig.sent('settled', 'w').length, 1, 'what it changed is answered once it is durable');
    for (let i = 0; i < 3; i++) {
      rig.report('w', 'e', n, { ok: [0, 1] });
      assert.deepEqual([rig.out.records, rig.out.messages], [[], []]);
      rig.begin('w', 'e', n, [1, 2]);
      assert.deepEqual([rig.out.records, rig.out.messages], [[], []]);
    }
    rig.begin('w', 'e', n, [1, 3]);
    assert.deepEqual(rig.wrote('begun')[0]?.units, [2, 3], 'only what is new');
    assert.deepEqual(rig.sent('proceed', 'w')[0]?.go, [1, 3]);
    rig.step({ type: 'store', stalled: false });
    rig.report('w', 'e', n, { ok: [0, 1] });
    rig.begin('w', 'e', n, [1, 2]);
    assert.deepEqual(rig.sent('proceed', 'w')[0]?.go, [1, 2]);
  });

  test('a repeated report whose first list ends the grant breaks no invariant', () => {
    const rig = new Rig();
    const n = rig.granted(3);
    rig.report('w', 'e', n, { skipped: [0, 1], later: [later(1, 60_000)] });
    rig.report('w', 'e', n, { ok: [2, 3], skipped: [0, 1], later: [later(1, 60_000)] });
    assert.deepEqual(rig.totals('e'), { read: 3, succeeded: 1, skipped: 1, outstanding: 1 });
  });

  test('units handed back are granted again at the same attempt', () => {
    const rig = new Rig();
    const n = rig.granted(4);
    rig.gimme('w', n, 2, [{ epic: 'e', term: 7, n, back: [2, 4] }]);
    const [grant] = rig.sent('work', 'w');
    assert.deepEqual(
      rig.out.reads.map(({ first, units }) => [first, units]),
      [[0, 4]],
      'their bytes are gone',
    );
    assert.equal(grant, undefined);
    rig.read();
    assert.deepEqual(rig.sent('work', 'w')[0]?.units, [2, 4]);
    assert.equal(rig.sent('work', 'w')[0]?.again, undefined);
  });

  test('a unit for later waits until it is due and goes on at its step', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const n = rig.granted(2);
    const waits = { ...later(1, 5_000), brings: 2 } as const;
    rig.gimme('w', n, 2, [{ epic: 'e', term: 7, n, ok: [0, 1], later: [waits] }]);
    assert.equal(rig.wrote('parked')[0]?.units[0]?.unit, 1);
    assert.deepEqual(rig.totals('e'), { read: 2, succeeded: 1, outstanding: 1 });
    assert.deepEqual([rig.epic('e').parked.count, rig.epic('e').extents], [1, []], 'nothing waits for it');
    rig.pass(4_990);
    assert.equal(rig.out.dues.length + rig.sent('work').length, 0, 'not before it is due');
    rig.pass(20);
    rig.due();
    assert.deepEqual(rig.wrote('unparked')[0]?.units, [1, 2]);
    const [grant] = rig.sent('work', 'w');
    const again = [{ unit: 1, attempt: 2, step: 0, state: true }];
    assert.deepEqual([grant?.units, grant?.again], [[1, 2], again]);
    assert.equal(
      Buffer.concat(rig.outgoing('work')[0]?.payload ?? [])
        .toString('latin1')
        .replace(/\0+./g, '|'),
      '|unit 1|"state 1"',
    );
  });

  test('reports of an unknown epic or of units that were never read are answered and change nothing', () => {
    const rig = new Rig();
    const n = rig.granted(2);
    rig.gimme('w', n, 0, [
      { epic: 'gone', term: 7, n, ok: [0, 9] },
      { epic: 'e', term: 7, n, ok: [0, 9] },
    ]);
    assert.deepEqual(rig.out.records, []);
    assert.deepEqual(rig.totals('e'), { read: 2, outstanding: 2 });
    assert.equal(rig.sent('settled', 'w')[0]?.grants.length, 2);
  });
});

describe('a token that lost its units', () => {
  test('its success settles the unit and stops the other holder', () => {
    const { rig, n, of, back } = lapsed(3, ['none']);
    assert.deepEqual(of?.units, [0, 3]);
    back();
    rig.report('w', 'e', n, { ok: [1, 2] });
    assert.deepEqual(rig.wrote('settled')[0]?.succeeded, [1, 2]);
    assert.deepEqual(rig.sent('abort', 'v')[0], { t: 'abort', term: 7, epic: 'e', units: [1, 2] });
    rig.report('v', 'e', of?.n ?? 0, { ok: [0, 3] });
    assert.deepEqual(rig.wrote('settled')[0]?.succeeded, [0, 1, 2, 3]);
    assert.deepEqual(rig.totals('e'), { read: 3, succeeded: 3 });
  });

  test('its permanent failure settles the unit too', () => {
    const { rig, n, back } = lapsed(2, ['none']);
    back();
    rig.report('w', 'e', n, { failed: [fault(0)] });
    assert.deepEqual(rig.totals('e'), { read: 2, failed: 1, outstanding: 1 });
  });

  test('its retries, hand-backs and doubts are ignored', () => {
    const { rig, n, back } = lapsed(4, ['none']);
    back();
    rig.report('w', 'e', n, { back: [0, 1], later: [later(1, 9)], unknown: [fault(2)], cleared: [3, 4] });
    assert.deepEqual(rig.out.records, []);
    assert.deepEqual(rig.sent('settled', 'w')[0]?.grants, [{ n, units: [0, 3] }]);
    assert.equal(rig.core.state.counters.staleReports.get('job'), 3);
  });

  test('nothing it says settles a unit whose effect another has begun', () => {
    // The mail of unit 0 is on its way from v: a failure or skip told by w must not be its outcome.
    const { rig, n, of, back } = lapsed(2, MAIL);
    back();
    rig.begin('v', 'e', of?.n ?? 0, [0, 1]);
    rig.report('w', 'e', n, { failed: [fault(0)], skipped: [1, 2] });
    assert.deepEqual(rig.totals('e'), { read: 2, skipped: 1, outstanding: 1 });
    rig.report('v', 'e', of?.n ?? 0, { ok: [0, 1] });
    assert.deepEqual(rig.totals('e'), { read: 2, succeeded: 1, skipped: 1 });
  });
});

describe('effects', () => {
  test('go only for units this token holds, after begun is durable', () => {
    const rig = new Rig();
    const n = rig.granted(4, [...MAIL]);
    rig.report('w', 'e', n, { ok: [3, 4] });
    rig.begin('w', 'e', n, [1, 4], 50);
    assert.deepEqual(rig.sent('proceed', 'w')[0], {
      t: 'proceed',
      term: 7,
      n,
      at: 50,
      go: [1, 3],
      skip: [3, 4],
    });
    assert.deepEqual(rig.wrote('begun')[0]?.by, { session: 'w', term: 7, n });
    assert.equal(rig.outgoing('proceed')[0]?.after, rig.core.state.recorded);
  });

  test('no go for a token of another term or epic, nor for a number that was never granted', () => {
    const rig = new Rig();
    const n = rig.granted(2, [...MAIL]);
    rig.say('w', { t: 'begin', at: 50, epic: 'e', term: 6, n, units: [0, 1] });
    assert.deepEqual(rig.sent('proceed')[0]?.go, []);
    rig.begin('w', 'other', n, [0, 1]);
    assert.deepEqual(rig.sent('proceed')[0]?.go, []);
    rig.begin('w', 'e', n + 1, [0, 1]);
    assert.deepEqual([rig.sent('proceed')[0]?.go, rig.sent('proceed')[0]?.skip], [[], [0, 1]]);
    assert.equal(rig.epic('e').begun.size, 0);
  });

  test('no go for a token whose lease lapsed', () => {
    const { rig, n, back } = lapsed(2, MAIL);
    rig.begin('w', 'e', n, [0, 1]);
    assert.equal(rig.sent('refused', 'w')[0]?.code, 'unknown_session');
    back();
    rig.begin('w', 'e', n, [0, 1]);
    assert.deepEqual([rig.sent('proceed')[0]?.go, rig.sent('proceed')[0]?.skip], [[], [0, 1]]);
  });

  test('a begin that is sent again is answered again', () => {
    const rig = new Rig();
    const n = rig.granted(2, [...MAIL]);
    rig.begin('w', 'e', n, [0, 1]);
    rig.begin('w', 'e', n, [0, 1]);
    assert.deepEqual(rig.sent('proceed')[0]?.go, [0, 1]);
  });

  test('a cleared unit has had no effect; it may begin again', () => {
    const rig = new Rig();
    const n = rig.granted(2, [...MAIL]);
    rig.begin('w', 'e', n, [0, 1]);
    rig.report('w', 'e', n, { cleared: [0, 1] });
    assert.deepEqual(rig.wrote('cleared')[0]?.units, [0, 1]);
    rig.begin('w', 'e', n, [0, 1]);
    assert.deepEqual(rig.sent('proceed')[0]?.go, [0, 1]);
    rig.pass(LEASE_MS);
    assert.deepEqual(rig.wrote('lease-expired')[0]?.unknown, [0, 1]);
  });

  test('what was cleared before a begin never undoes it, however late it comes', () => {
    const rig = new Rig();
    const n = rig.granted(2, [...MAIL]);
    rig.begin('w', 'e', n, [0, 1], 50);
    rig.say('w', {
      t: 'gimme',
      at: 49,
      term: 7,
      lastGrant: n,
      level: 0,
      reports: [{ epic: 'e', term: 7, n, cleared: [0, 1] }],
    });
    assert.deepEqual(rig.wrote('cleared'), []);
    assert.ok(rig.epic('e').begun.has(0));
  });

  test('a unit handed back or put off has not begun any more', () => {
    const rig = new Rig();
    const n = rig.granted(2, [...MAIL]);
    rig.begin('w', 'e', n, [0, 2]);
    rig.report('w', 'e', n, { back: [0, 1], later: [later(1, 60_000)] });
    assert.equal(rig.epic('e').begun.size, 0);
  });
});

describe('a lost worker', () => {
  test('what it had begun becomes unknown, the rest is granted anew; both are listed', () => {
    const { rig, expired, of } = lapsed(4, MAIL, [1, 2]);
    assert.deepEqual([expired.session, expired.again, expired.unknown], ['w', [0, 1, 2, 4], [1, 2]]);
    assert.deepEqual(rig.totals('e'), { read: 4, unknown: 1, outstanding: 3 });
    assert.deepEqual(of?.units, [0, 1, 2, 4]);
    assert.deepEqual(
      of?.again?.map(({ attempt }) => attempt),
      [2, 2, 2],
      'that run counts as one',
    );
    assert.equal(rig.epic('e').faults.get('lease_expired'), 1);
  });

  test('the token that began it may still say how it ended, once', () => {
    const { rig, n, back } = lapsed(3, MAIL, [0, 2]);
    back();
    rig.report('w', 'e', n, { ok: [0, 1], failed: [fault(1)] });
    assert.deepEqual(
      rig.wrote('resolved').map(({ succeeded, failed }) => succeeded ?? failed?.map(({ unit }) => unit)),
      [[0, 1], [1]],
    );
    assert.deepEqual(rig.totals('e'), { read: 3, succeeded: 1, failed: 1, outstanding: 1 });
    rig.report('w', 'e', n, { failed: [fault(0)], ok: [1, 2] });
    assert.deepEqual(rig.out.records, []);
    assert.equal(rig.epic('e').faults.get('lease_expired'), undefined);
  });

  test('neither a report nor a Hello looks at every unknown unit of the epic', () => {
    const { rig, n, back } = lapsed(3, MAIL, [0, 2]);
    const { begun, unknownBy } = rig.epic('e');
    const each = () => assert.fail('there may be a million of them');
    unknownBy[Symbol.iterator] = each;
    begun[Symbol.iterator] = each;
    back();
    assert.deepEqual(
      rig.sent('abort', 'w')[0]?.units,
      [2, 3],
      'another has it; what it began it may still tell',
    );
    rig.report('w', 'e', n, { ok: [0, 1], failed: [fault(1)] });
    assert.equal(rig.wrote('resolved').length, 2);
  });

  test('another token may not', () => {
    const { rig, n, of, back } = lapsed(3, MAIL, [0, 1]);
    rig.report('v', 'e', of?.n ?? 0, { ok: [0, 1] });
    back();
    rig.report('w', 'e', n + 1, { ok: [0, 1] });
    assert.deepEqual(rig.totals('e'), { read: 3, unknown: 1, outstanding: 2 });
  });
});

// Broke: a work that makes up a code for each unit had its epic keep one count for each.
test('an epic counts so many codes by name, and the others as one; also after a checkpoint', () => {
  const rig = new Rig();
  const count = FAULT_CODES_MAX + 5;
  const n = rig.granted(count + 3, ['at-most-once']);
  rig.begin('w', 'e', n, [0, 2]);
  const fault = { message: 'm', step: 's0', attempt: 1 };
  const failed = Array.from({ length: count }, (_, i) => ({ unit: i + 2, code: `code_${i}`, ...fault }));
  rig.report('w', 'e', n, { failed });
  const again = restored(rig);
  rig.pass(LEASE_MS);
  const { faults } = rig.epic('e');
  assert.equal(faults.size, FAULT_CODES_MAX + 1);
  assert.equal(faults.get('other'), 5 + 2, 'with the two that the lost worker had begun');
  assert.equal(
    [...faults.values()].reduce((sum, n) => sum + n, 0),
    count + 2,
  );
  for (const record of rig.wrote('lease-expired')) again.apply(record);
  assert.deepEqual([...again.faults], [...faults]);
  rig.hello('w', [work('job', ['at-most-once'])], 0, {
    lastGrant: n,
    held: [rig.held('w', n, [0, 2], [0, count + 3])],
  });
  rig.report('w', 'e', n, { ok: [0, 2] });
  assert.equal(faults.get('other'), 5, 'they are resolved');
});

function restored(rig: Rig): Epic {
  return new Epic(checkpointOf(rig.epic('e')));
}
