/** What a master writes of what it found in its journal: who may have held it, and who did not come back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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
