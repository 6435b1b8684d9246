/** What a master writes of what it found in its journal: who may have held it, and who did not come back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Effect } from '../../../../shared/protocol/messages.ts';
import { LEASE_MS, Rig, work } from './rig.ts';

/** A rig that has replayed what another wrote until it was killed. */
function restarted(before: Rig): Rig {
  const rig = new Rig();
  rig.core.recover(structuredClone(before.records));
  return rig;
}

/** An epic of 10 units granted to `w`, of which it settled 0 to 2. */
function interrupted(effects: Effect[]): { before: Rig; n: number } {
  const before = new Rig();
  const n = before.granted(10, effects);
  before.report('w', 'e', n, { ok: [0, 3] });
  return { before, n };
}

test('what nobody claims within a lease is listed as unclaimed, and granted anew as it was', () => {
  const rig = restarted(interrupted(['at-least-once']).before);
  const manifest = work('job', ['at-least-once']);
  rig.hello('x', [manifest], 10);
  assert.deepEqual(rig.pass(LEASE_MS - 200).records, []);
  rig.beat('x', 0, 10, []);
  rig.pass(400);
  const [listed] = rig.wrote('lease-expired');
  const { session, again, unknown, unclaimed } = listed ?? {};
  assert.deepEqual(
    { session, again, unknown, unclaimed },
    { session: '-', again: [], unknown: [], unclaimed: [3, 10] },
  );
  rig.read([], rig.out.reads);
  const [grant] = rig.sent('work', 'x');
  assert.deepEqual(grant?.units, [3, 10]);
  assert.equal(grant?.again, undefined, 'nobody knows that they have run, so no attempt is counted');
});

test('what its holder claims is not listed, and what it had begun without coming back is unknown', () => {
  const { before, n } = interrupted(['at-most-once']);
  before.begin('w', 'e', n, [3, 5]);
  const rig = restarted(before);
  const held = [rig.held('w', n, [4, 6], [0, 10])];
  rig.hello('w', [work('job', ['at-most-once'])], 0, { held });
  rig.pass(LEASE_MS / 2);
  rig.beat('w', 0, 0, []);
  rig.pass(LEASE_MS);
  const [listed] = rig.wrote('lease-expired').filter((record) => record.session === '-');
  assert.deepEqual(listed?.unknown, [3, 4]);
  assert.deepEqual(listed?.unclaimed, [6, 10]);
});

// Broke: a worker that held an older grant of a unit claimed it after a crash and handed it back; the unit was granted
// at once, though the worker that had run it since had not come back yet.
test('what is handed back within that lease waits for its end, as what nobody claimed', () => {
  const { before, n } = interrupted(['at-least-once']);
  const rig = restarted(before);
  const manifest = work('job', ['at-least-once']);
  rig.hello('w', [manifest], 0, { held: [rig.held('w', n, [3, 10], [0, 10])] });
  rig.hello('x', [manifest], 10);
  rig.report('w', 'e', n, { back: [5, 7] });
  assert.deepEqual([rig.out.reads, rig.sent('work')], [[], []]);
  rig.pass(LEASE_MS - 200);
  rig.beat('w', 0, 0, []);
  rig.beat('x', 0, 10, []);
  rig.pass(400);
  assert.deepEqual(rig.wrote('lease-expired')[0]?.unclaimed?.slice(0, 2), [5, 7]);
});

test('a unit that was parked had no holder: it is not listed and waits on', () => {
  const { before, n } = interrupted(['at-least-once']);
  const later = { unit: 9, attempt: 2, step: 0, delayMs: 60_000, code: 'smtp_deferred', brings: 1 } as const;
  before.report('w', 'e', n, { ok: [3, 9], later: [later] });
  const rig = restarted(before);
  rig.tick(1);
  rig.pass(2 * LEASE_MS);
  assert.deepEqual(rig.wrote('lease-expired'), []);
  assert.equal(rig.epic('e').parked.count, 1);
});

describe('an epic cancelled within a lease of a restart', () => {
  const cancel = (rig: Rig) => rig.step({ type: 'cancel', epic: 'e', reason: 'no more' });
  const claim = (rig: Rig, n: number, effects: Effect[]) =>
    rig.hello('w', [work('job', effects)], 0, { held: [rig.held('w', n, [3, 10], [0, 10])] });

  // Broke: what was held without an effect waited a lease for a holder who was never told, and ran on for nothing.
  test('ends at once where nothing has an effect, and its holder is told to stop', () => {
    const { before, n } = interrupted(['none']);
    const rig = restarted(before);
    cancel(rig);
    assert.deepEqual(rig.totals('e'), { read: 10, succeeded: 3, cancelled: 7 });
    assert.equal(rig.wrote('epic-finished')[0]?.outcome, 'cancelled');
    claim(rig, n, ['none']);
    assert.deepEqual(rig.sent('abort', 'w')[0]?.units, [3, 10]);
  });

  test('waits for what had begun, and its holder is told to stop the rest', () => {
    const { before, n } = interrupted(['at-most-once']);
    before.begin('w', 'e', n, [3, 5]);
    const rig = restarted(before);
    cancel(rig);
    assert.deepEqual(rig.totals('e'), { read: 10, succeeded: 3, cancelled: 5, outstanding: 2 });
    claim(rig, n, ['at-most-once']);
    assert.deepEqual(
      rig.sent('abort', 'w').map(({ units }) => units),
      [
        [3, 5],
        [5, 10],
      ],
    );
    rig.report('w', 'e', n, { ok: [3, 5] });
    assert.deepEqual(rig.totals('e'), { read: 10, succeeded: 5, cancelled: 5 });
  });

  test('tells holders of at-least-once effects to stop, too, and hears how they ended', () => {
    const { before, n } = interrupted(['at-least-once']);
    const rig = restarted(before);
    cancel(rig);
    claim(rig, n, ['at-least-once']);
    assert.deepEqual(rig.sent('abort', 'w')[0]?.units, [3, 10]);
    rig.report('w', 'e', n, { ok: [3, 4], back: [4, 10] });
    assert.deepEqual(rig.totals('e'), { read: 10, succeeded: 4, cancelled: 6 });
  });

  test('cancelled before the restart, its holder is told again', () => {
    const { before, n } = interrupted(['at-least-once']);
    cancel(before);
    const rig = restarted(before);
    claim(rig, n, ['at-least-once']);
    assert.deepEqual(rig.sent('abort', 'w')[0]?.units, [3, 10]);
  });
});

test('who comes back with units of a paused epic gives back what it has not begun', () => {
  const { before, n } = interrupted(['none']);
  before.step({ type: 'pause', epic: 'e', reason: 'wait' });
  const rig = restarted(before);
  rig.hello('w', [work('job', ['none'])], 0, { held: [rig.held('w', n, [3, 10], [0, 10])] });
  assert.deepEqual(rig.sent('recall', 'w'), [{ t: 'recall', term: 7, count: 7, epic: 'e' }]);
});
