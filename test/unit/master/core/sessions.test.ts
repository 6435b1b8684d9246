/** Leases, returning and leaving workers, refusals, recalls, and when the core wants to be woken. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HELD_UNITS_MAX, SESSIONS_MAX, TICK_MS, WORKS_MAX } from '../../../../shared/core/limits.ts';
import { BEAT_MS, LEASE_MS, Rig, work } from './rig.ts';

describe('leases', () => {
  test('any message renews the lease of its session, and of no other', () => {
    const rig = new Rig();
    rig.granted(2);
    rig.hello('v', [work('job')], 0);
    for (let i = 0; i < 10; i++) {
      rig.pass(LEASE_MS / 4);
      rig.say('v', { t: 'want-brief', hash: 'b' });
    }
    const { sessions } = rig.core.state;
    assert.deepEqual([sessions.get('w')?.expired, sessions.get('v')?.expired], [true, false]);
    assert.equal(rig.core.state.counters.leasesExpired, 1);
  });

  test('a master that was stopped expires nobody', () => {
    const rig = new Rig({ leaseMs: 3 * TICK_MS });
    const n = rig.granted(2);
    // Ten minutes without a step, as after SIGSTOP: what the worker sent meanwhile is taken first.
    rig.nowMs += 600_000;
    rig.beat('w', n, 0, [n]);
    rig.step({ type: 'tick' });
    assert.equal(rig.core.state.counters.leasesExpired, 0);
    // Nor does one late tick after another by itself: each counts as one.
    rig.tick(600_000);
    rig.tick(600_000);
    assert.equal(rig.core.state.counters.leasesExpired, 0);
    rig.tick(600_000);
    assert.equal(rig.core.state.counters.leasesExpired, 1);
  });

  // Broke: a NATS server that was away for a lease cost every worker its own, and all they held was run again.
  test('a master whose link is down expires nobody: no heartbeat can reach it', () => {
    const rig = new Rig();
    rig.granted(2);
    rig.step({ type: 'down' });
    rig.pass(10 * LEASE_MS);
    assert.equal(rig.core.state.counters.leasesExpired, 0);
    rig.step({ type: 'up' });
    rig.pass(LEASE_MS / 2);
    assert.equal(rig.core.state.counters.leasesExpired, 0, 'it has the rest of its lease to come back');
    rig.pass(LEASE_MS / 2);
    assert.equal(rig.core.state.counters.leasesExpired, 1);
  });

  test('it wakes in time for the next tick, and never at once', () => {
    const rig = new Rig();
    for (const act of [
      () => rig.submit('e', 'job', 50),
      () => rig.hello('w', [work('job')], 2),
      () => rig.read(),
      () => rig.gimme('w', 1, 2),
      () => rig.tick(1),
    ]) {
      act();
      const waitMs = rig.out.wakeAt - rig.nowMs;
      assert.ok(waitMs >= 1 && waitMs <= TICK_MS, `waits ${waitMs} ms`);
    }
  });
});

describe('a worker that comes back', () => {
  test('keeps what nobody else has, under the same token', () => {
    const rig = new Rig();
    const n = rig.granted(3);
    rig.pass(LEASE_MS);
    assert.deepEqual(rig.wrote('lease-expired')[0]?.again, [0, 3]);
    const held = [rig.held('w', n, [0, 3])];
    rig.hello('w', [work('job')], 0, { lastGrant: n, held });
    assert.deepEqual(rig.sent('abort'), []);
    rig.hello('v', [work('job')], 9);
    assert.deepEqual(rig.sent('work', 'v'), []);
    rig.report('w', 'e', n, { ok: [0, 3] });
    assert.deepEqual(rig.totals('e'), { read: 3, succeeded: 3 });
  });

  test('is told to drop what another has, what is settled, and what nobody knows', () => {
    const rig = new Rig();
    const n = rig.granted(3);
    rig.report('w', 'e', n, { ok: [0, 1] });
    rig.pass(LEASE_MS);
    rig.read();
    rig.hello('v', [work('job')], 1);
    assert.deepEqual(rig.sent('work', 'v')[0]?.units, [1, 2]);
    const held = [rig.held('w', n, [0, 3]), rig.held('w', 90, [4, 5], [4, 5], { epic: 'gone', term: 7 })];
    rig.hello('w', [work('job')], 0, { lastGrant: n, held });
    assert.deepEqual(
      rig.sent('abort', 'w').map(({ epic, units }) => [epic, units]),
      [
        ['e', [0, 2]],
        ['gone', [4, 5]],
      ],
    );
    rig.report('w', 'e', n, { ok: [2, 3] });
    assert.deepEqual(rig.totals('e'), { read: 3, succeeded: 2, outstanding: 1 });
  });

  test('is not told to drop a unit whose outcome only it can say', () => {
    const rig = new Rig();
    const n = rig.granted(2, ['at-most-once']);
    rig.begin('w', 'e', n, [0, 1]);
    rig.pass(LEASE_MS);
    const held = [rig.held('w', n, [0, 1], [0, 2])];
    rig.hello('w', [work('job', ['at-most-once'])], 0, { lastGrant: n, held });
    assert.deepEqual(rig.sent('abort'), []);
  });

  test('is asked where it stands: a grant lost with the link is granted again', () => {
    const rig = new Rig();
    const n = rig.granted(2);
    rig.hello('w', [work('job')], 2, { lastGrant: 0 });
    assert.deepEqual(rig.sent('work')[0]?.units, []);
    rig.beat('w', n + 1, 2, []);
    rig.read();
    assert.deepEqual(rig.sent('work', 'w')[0]?.units, [0, 2]);
  });

  test('that forgets a grant of an earlier term loses it; else nobody would run its units any more', () => {
    const rig = new Rig();
    rig.submit('e', 'job', 3);
    rig.hello('w', [work('job')], 0);
    rig.read();
    const earlier = { epic: 'e', term: 6 };
    const held = [1, 2].map((unit) => rig.held('w', 40 + unit, [unit, unit + 1], [0, 3], earlier));
    rig.hello('w', [work('job')], 0, { held });
    assert.equal(rig.core.state.live.get('e')?.leased, 2);
    const beat = { t: 'heartbeat', term: 7, lastGrant: 0, level: 0, held: [], steps: {} } as const;
    rig.say('w', { ...beat, held: [], at: rig.at('w'), older: [6, 42] });
    assert.equal(rig.core.state.live.get('e')?.leased, 1);
    rig.gimme('w', 0, 9);
    assert.deepEqual(rig.sent('work', 'w')[0]?.units, [0, 2]);
  });

  // Broke: a worker may drop what it asked to begin, on the answer to an earlier asking. The begin stayed, and the
  // next worker that was lost with such a unit left it unknown although nobody had sent anything.
  test('that does not hold what it began has had no effect', () => {
    const rig = new Rig();
    const n = rig.granted(2, ['at-most-once']);
    rig.begin('w', 'e', n, [0, 1]);
    rig.beat('w', n, 0, []);
    assert.deepEqual(rig.wrote('cleared')[0]?.units, [0, 1]);
    assert.equal(rig.epic('e').begun.size, 0);
  });

  test('that holds what it began has begun it, whatever heartbeat of before comes late', () => {
    const rig = new Rig();
    rig.hello('w', [work('job', ['at-most-once'])], 2);
    const late = [rig.at('w'), rig.at('w')];
    rig.submit('e', 'job', 2);
    rig.read();
    const n = rig.sent('work', 'w')[0]?.n ?? 0;
    rig.begin('w', 'e', n, [0, 2]);
    // It was told before the grant came, or before it was begun: then the grant is beyond it, or in it.
    for (const [i, stand] of [
      { lastGrant: n - 1, held: [] },
      { lastGrant: n, held: [n] },
    ].entries()) {
      rig.say('w', { t: 'heartbeat', at: late[i] ?? 0, term: 7, level: 2, steps: {}, ...stand });
      assert.deepEqual([rig.wrote('cleared'), rig.epic('e').begun.size], [[], 2]);
    }
    const earlier = rig.held('w', 9, [0, 1], [0, 1], { epic: 'e', term: 6 });
    rig.hello('w', [work('job', ['at-most-once'])], 0, {
      lastGrant: n,
      held: [rig.held('w', n, [0, 2]), earlier],
    });
    rig.beat('w', n, 0, [n]);
    assert.deepEqual([rig.wrote('cleared'), rig.epic('e').begun.size], [[], 2]);
  });

  test('is granted no more than a worker may hold, whatever it asks for', () => {
    const rig = new Rig({ lookAheadUnits: 10 * HELD_UNITS_MAX });
    rig.submit('e', 'job', 3 * HELD_UNITS_MAX);
    rig.hello('w', [work('job')], Number.MAX_SAFE_INTEGER);
    while (rig.out.reads.length > 0) rig.read();
    assert.equal(rig.core.state.sessions.get('w')?.held, HELD_UNITS_MAX);
  });

  test('gets numbers that it has not seen, also from a master that forgot it', () => {
    const rig = new Rig();
    rig.submit('e', 'job', 9);
    rig.hello('w', [work('job')], 1, { lastGrant: 41 });
    rig.read();
    assert.equal(rig.sent('work')[0]?.n, 42);
    rig.pass(LEASE_MS);
    rig.hello('w', [work('job')], 1, { lastGrant: 42 });
    assert.ok((rig.core.state.sessions.get('w')?.number(0, 0) ?? 0) > 43);
  });

  test('that says Hello again and again leaves one probe behind', () => {
    // Each was numbered and remembered anew: a flood of Hellos filled the memory of its master.
    const rig = new Rig();
    rig.submit('e', 'job', 9);
    rig.hello('w', [work('job')], 2);
    rig.read();
    const numbers = new Set<number | undefined>();
    for (let i = 0; i < 50; i++) {
      rig.hello('w', [work('job')], 2);
      numbers.add(rig.sent('work', 'w')[0]?.n);
    }
    assert.deepEqual([...numbers], [2]);
  });

  test('is granted nothing for what it asked another master, or none', () => {
    // What that one had sent and came late made a worker hold more than it had room for.
    for (const term of [0, 6]) {
      const rig = new Rig();
      rig.submit('e', 'job', 9);
      rig.hello('w', [work('job')], 2, { term, lastGrant: 5 });
      rig.read();
      assert.deepEqual([rig.sent('work'), rig.core.state.sessions.get('w')?.credit], [[], 0]);
      rig.gimme('w', 0, 2);
      const [grant] = rig.sent('work', 'w');
      assert.deepEqual([grant?.units, grant?.n], [[0, 2], 1], 'numbers of another term are none of this one');
    }
  });

  test('grants sent before its lease lapsed still count against what it asks for', () => {
    // They may be on their way yet: a worker would end up with more than it has room for.
    const rig = new Rig();
    rig.submit('e', 'job', 9);
    rig.hello('w', [work('job')], 2);
    rig.read();
    rig.pass(LEASE_MS);
    rig.hello('w', [work('job')], 2, { lastGrant: 0 });
    const granted = rig.sent('work', 'w').filter(({ units }) => units.length > 0);
    assert.deepEqual(granted, []);
    rig.beat('w', 2, 2, []);
    assert.deepEqual(rig.sent('work', 'w')[0]?.units, [0, 2]);
  });
});

test('a worker that comes back has a whole lease to take what was sent before', () => {
  // Else what it has just claimed would be taken from it again at the next tick, for a grant lost long ago.
  const rig = new Rig();
  const n = rig.granted(3);
  rig.hello('v', [work('job')], 0);
  rig.pass(LEASE_MS);
  const held = [rig.held('w', n, [0, 3])];
  rig.hello('w', [work('job')], 0, { lastGrant: 0, held });
  rig.tick(1);
  assert.equal(rig.core.state.sessions.get('w')?.expired, false);
  rig.pass(LEASE_MS);
  assert.equal(rig.core.state.sessions.get('w')?.expired, true, 'but not for ever');
});

describe('a worker that leaves', () => {
  test('by bye: all it held is granted anew at once', () => {
    const rig = new Rig();
    rig.granted(2);
    rig.say('w', { t: 'bye', reason: 'gone' });
    assert.deepEqual(rig.wrote('lease-expired')[0]?.again, [0, 2]);
    assert.equal(rig.core.state.counters.leasesExpired, 0);
  });

  test('by draining: it keeps what it has and gets nothing more', () => {
    const rig = new Rig();
    const n = rig.granted(2);
    rig.submit('f', 'job', 5);
    rig.read();
    rig.say('w', { t: 'bye', reason: 'draining' });
    rig.gimme('w', n, 5);
    assert.deepEqual(rig.sent('work'), []);
    rig.report('w', 'e', n, { ok: [0, 2] });
    assert.equal(rig.epic('e').state, 'finished');
  });

  // Broke: where the one Recall was lost the worker was granted nothing any more, and did not end either.
  test('because an operator wants it: it is asked again until it has heard, also after a reconnection', () => {
    const rig = new Rig();
    const end = [{ t: 'recall', term: 7, count: 0, next: 'end' }];
    rig.hello('w', [work('job')], 5);
    rig.step({ type: 'drain', session: 'w' });
    assert.deepEqual(rig.sent('recall', 'w'), end);
    rig.beat('w', 0, 5, []);
    assert.deepEqual(rig.sent('recall', 'w'), end);
    rig.hello('w', [work('job')], 5);
    rig.submit('e', 'job', 5);
    rig.beat('w', 0, 5, []);
    assert.deepEqual([rig.sent('recall', 'w'), rig.sent('work', 'w')], [end, []]);
    rig.beat('w', 0, 0, []);
    assert.deepEqual(rig.sent('recall', 'w'), [], 'it asks for nothing any more: it has heard');
  });
});

describe('refusals', () => {
  test('a session that never said hello is told to', () => {
    const rig = new Rig();
    rig.gimme('w', 0, 5);
    assert.equal(rig.sent('refused', 'w')[0]?.code, 'unknown_session');
    rig.say('w', { t: 'bye', reason: 'gone' });
    assert.deepEqual(rig.sent('refused'), [], 'there is no need to, when it leaves');
  });

  test('another protocol is refused', () => {
    const rig = new Rig();
    rig.hello('w', [work('job')], 5, { v: 99 });
    assert.equal(rig.sent('refused', 'w')[0]?.code, 'protocol_version');
    assert.equal(rig.core.state.sessions.size, 0);
  });

  // Broke: sessions that had ended kept new workers out for many leases.
  test('sessions that ended make room for new ones', () => {
    const rig = new Rig();
    for (let i = 0; i < SESSIONS_MAX; i++) rig.hello(`w${i}`, [], 0);
    rig.say('w0', { t: 'bye', reason: 'gone' });
    rig.hello('after-bye', [], 0);
    assert.equal(rig.core.state.sessions.has('after-bye'), true);
    rig.pass(2 * LEASE_MS);
    rig.hello('after-leases', [], 0);
    assert.equal(rig.core.state.sessions.has('after-leases'), true);
    assert.ok(rig.core.state.sessions.size <= SESSIONS_MAX);
  });

  // Broke: a hint that named thousands of works outgrew its message and ended the master.
  test('a hint names a bounded number of works', () => {
    const rig = new Rig();
    for (let i = 0; i < 2 * WORKS_MAX; i++) rig.submit(`e${i}`, `work${i}`);
    rig.hello('w', [], 0);
    assert.equal(rig.sent('available', 'w')[0]?.works.length, WORKS_MAX);
  });

  test(`there are ${SESSIONS_MAX} sessions at most; one that is known may say hello again`, () => {
    const rig = new Rig();
    for (let i = 0; i < SESSIONS_MAX; i++) rig.hello(`w${i}`, [], 0);
    rig.hello('more', [], 0);
    assert.equal(rig.sent('refused', 'more')[0]?.code, 'too_many_sessions');
    rig.hello('w0', [], 0);
    assert.deepEqual(rig.sent('refused'), []);
  });
});

describe('hints', () => {
  test('WorkAvailable is told to all, coalesced, again each heartbeat, and not when nothing is wanted', () => {
    const rig = new Rig();
    rig.submit('e', 'job', 5);
    assert.deepEqual(
      rig.sent('available').map(({ works }) => works),
      [['job']],
    );
    rig.submit('f', 'other', 5);
    assert.deepEqual(rig.sent('available'), [], 'not twice within the gap');
    rig.pass(12);
    assert.deepEqual(
      rig.sent('available').map(({ works }) => works),
      [['job', 'other']],
    );
    rig.pass(BEAT_MS * 5 + 20);
    const again = rig.sent('available').length;
    assert.ok(again >= 1 && again <= 6, `${again} hints in five heartbeats`);
    const quiet = new Rig();
    quiet.pass(BEAT_MS * 5);
    assert.deepEqual(quiet.sent('available'), []);
  });

  test('at the tail, units not started are recalled for a worker that has nothing', () => {
    const rig = new Rig();
    const n = rig.granted(9);
    rig.hello('v', [work('job')], 3);
    assert.deepEqual(rig.sent('recall'), []);
    rig.pass(60);
    assert.deepEqual(rig.sent('recall', 'w'), [{ t: 'recall', term: 7, count: 3 }]);
    assert.deepEqual(rig.sent('recall', 'v'), []);
    rig.pass(20);
    assert.deepEqual(rig.sent('recall'), [], 'not again before the answer could be here');
    rig.gimme('w', n, 0, [{ epic: 'e', term: 7, n, back: [6, 9] }]);
    rig.read();
    assert.deepEqual(rig.sent('work', 'v')[0]?.units, [6, 9]);
  });

  test('nothing is recalled while there is more to grant, nor below what the slots run', () => {
    const rig = new Rig();
    rig.granted(1);
    rig.hello('v', [work('job')], 3);
    rig.pass(200);
    assert.deepEqual(rig.sent('recall'), [], 'one slot runs one unit');
  });
});
