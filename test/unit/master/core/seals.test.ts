/** What a session may claim and report: only what was granted to it, whatever it says. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HeldGrant, Hello, Ranges } from '../../../../shared/protocol/messages.ts';
import { LEASE_MS, Rig, sealed, work } from './rig.ts';

const JOB = [work('job')];
const refused = (rig: Rig): number => rig.core.state.counters.refused;

/** An epic of 6 units granted to `w`, and a thief that is known, too. */
function rigged() {
  const rig = new Rig();
  const n = rig.granted(6);
  rig.hello('thief', JOB, 0);
  return { rig, n };
}

/** `w` lost its 6 units, `v` has these of them, and `w` is back with what it claims. */
function outlived(units: Ranges, claimed: Ranges) {
  const rig = new Rig();
  const n = rig.granted(6);
  rig.pass(LEASE_MS);
  rig.read();
  rig.hello('v', JOB, (units[1] ?? 0) - (units[0] ?? 0));
  assert.deepEqual(rig.sent('work', 'v')[0]?.units, units);
  const back = (claims: Ranges, more = {}) =>
    rig.hello('w', JOB, 0, { lastGrant: n, held: [rig.held('w', n, claims, [0, 6])], ...more });
  back(claimed);
  return { rig, n, back };
}

describe('a report', () => {
  // Broke: whoever had a worker's credential could settle any unit by inventing a token.
  test('of units never granted to its sender settles nothing, is counted, and the owner goes on', () => {
    const { rig, n } = rigged();
    const fault = { unit: 1, code: 'x', message: 'm', step: '', attempt: 1 };
    for (const forged of [n, n + 1, 99]) {
      const before = refused(rig);
      rig.report('thief', 'e', forged, { ok: [0, 1], failed: [fault], skipped: [2, 4] });
      assert.deepEqual(rig.out.records, []);
      assert.equal(refused(rig), before + 1);
      assert.equal(rig.sent('refused', 'thief')[0]?.code, 'unknown_session', 'an honest one says hello');
      assert.deepEqual(rig.sent('settled', 'thief')[0]?.grants, [{ n: forged, units: [] }], 'not answered');
      assert.deepEqual(rig.sent('abort'), []);
    }
    assert.deepEqual(rig.totals('e'), { read: 6, outstanding: 6 });
    rig.report('w', 'e', n, { ok: [0, 6] });
    assert.deepEqual(rig.totals('e'), { read: 6, succeeded: 6 });
  });

  test('of units that are settled is answered, whoever says it', () => {
    const { rig, n } = rigged();
    rig.report('w', 'e', n, { ok: [0, 3] });
    const before = refused(rig);
    rig.report('thief', 'e', 5, { ok: [0, 3] });
    assert.deepEqual([rig.out.records, refused(rig)], [[], before]);
    assert.deepEqual(rig.sent('settled', 'thief')[0]?.grants, [{ n: 5, units: [0, 3] }]);
  });

  test('of units held, lost and never held settles the first two; only the last are not answered', () => {
    const { rig, n } = outlived([0, 2], [0, 3]);
    rig.report('w', 'e', n, { ok: [0, 5] });
    assert.deepEqual(rig.wrote('settled')[0]?.succeeded, [0, 3]);
    assert.deepEqual(rig.sent('settled', 'w')[0]?.grants, [{ n, units: [0, 3] }]);
    assert.deepEqual(rig.sent('abort', 'v')[0]?.units, [0, 2]);
    assert.equal(refused(rig), 1);
  });
});

describe('a claim', () => {
  test('with a seal that is not its own is refused, counted, and its sender told to stop', () => {
    const { rig, n } = rigged();
    rig.pass(LEASE_MS);
    const right = rig.held('thief', n, [0, 6]);
    const stolen = rig.held('w', n, [0, 6]);
    const others: HeldGrant[] = [
      { ...right, seal: '' },
      { ...right, seal: sealed('') },
      stolen,
      { ...right, n: n + 1 },
      { ...right, term: 6 },
      { ...right, granted: [0, 7] },
      { ...right, units: [0, 3] },
      { ...right, epic: 'f' },
    ];
    for (const [i, claim] of others.entries()) {
      const before = refused(rig);
      rig.hello('thief', JOB, 0, { held: [claim] });
      assert.equal(refused(rig), before + 1, `claim ${i}`);
      assert.deepEqual(rig.sent('abort', 'thief')[0]?.units, claim.units);
      assert.equal(rig.core.state.live.get('e')?.leased, 0);
      rig.report('thief', 'e', claim.n, { ok: [0, 3] });
      assert.deepEqual(rig.out.records, []);
    }
    assert.deepEqual(rig.totals('e'), { read: 6, outstanding: 6 });
  });

  test('goes no further than what was granted', () => {
    const { rig } = rigged();
    rig.pass(LEASE_MS);
    rig.hello('thief', JOB, 0, { held: [rig.held('thief', 3, [0, 6], [2, 4])] });
    assert.equal(rig.core.state.live.get('e')?.leased, 2);
    rig.report('thief', 'e', 3, { ok: [0, 6] });
    assert.deepEqual(rig.wrote('settled')[0]?.succeeded, [2, 4]);
  });

  test('holds also with the next master of the store, and with no other', () => {
    const { rig: before, n } = rigged();
    for (const [prefix, leased] of [
      ['', 4],
      ['another secret ', 0],
    ] as const) {
      const rig = new Rig({}, (text) => prefix + sealed(text));
      rig.core.recover(structuredClone(before.records));
      rig.hello('w', JOB, 0, { held: [rig.held('w', n, [1, 5], [0, 6])] });
      assert.equal(rig.core.state.live.get('e')?.leased, leased);
    }
  });

  // Broke: the next grant got the number of one that was claimed, and the first that ended of them ended the master.
  test('of a number that a forgotten session was given keeps it from being given again', () => {
    const { rig, n } = rigged();
    const { reads } = rig.say('w', { t: 'bye', reason: 'gone' });
    rig.hello('w', JOB, 3, { lastGrant: 0, held: [rig.held('w', n, [0, 3], [0, 6])] });
    rig.read([], reads);
    const [grant] = rig.sent('work', 'w');
    assert.deepEqual([grant?.units, grant?.n], [[3, 6], n + 1]);
    rig.report('w', 'e', n, { ok: [0, 3] });
    rig.report('w', 'e', n + 1, { ok: [3, 6] });
    assert.deepEqual(rig.totals('e'), { read: 6, succeeded: 6 });
  });
});

describe('what was granted and may not be kept', () => {
  test('counts once it is reported, also where the rest was kept', () => {
    const { rig, n } = outlived([0, 2], [0, 6]);
    assert.deepEqual(rig.sent('abort', 'w')[0]?.units, [0, 2]);
    assert.equal(rig.core.state.sessions.get('w')?.grants.size, 1);
    rig.report('w', 'e', n, { ok: [0, 1], back: [1, 2] });
    assert.deepEqual(rig.totals('e'), { read: 6, succeeded: 1, outstanding: 5 });
    rig.report('w', 'e', n, { ok: [1, 2] });
    assert.deepEqual([rig.out.records, refused(rig)], [[], 1], 'it was given back');
  });

  test('is what the newest Hello says, of which each claims all', () => {
    const { rig, n, back } = outlived([0, 3], [0, 6]);
    back([2, 6]);
    back([0, 6], { at: 1 });
    rig.report('w', 'e', n, { ok: [0, 1] });
    assert.deepEqual([rig.out.records, refused(rig)], [[], 1], 'a late one tells nothing new');
    rig.report('w', 'e', n, { ok: [2, 6] });
    assert.deepEqual(rig.totals('e'), { read: 6, succeeded: 4, outstanding: 2 });
  });

  test('is forgotten with the lease, until it is claimed again', () => {
    const { rig, n, back } = outlived([0, 6], [0, 6]);
    assert.equal(rig.core.state.sessions.get('w')?.outlived.size, 1);
    rig.pass(LEASE_MS);
    assert.equal(rig.core.state.sessions.get('w')?.outlived.size, 0);
    back([0, 6]);
    rig.report('w', 'e', n, { ok: [0, 6] });
    assert.deepEqual(rig.totals('e'), { read: 6, succeeded: 6 });
  });

  test('settles no unit of another epic', () => {
    const { rig, n } = outlived([0, 6], [0, 6]);
    rig.submit('f', 'job', 6);
    rig.read();
    rig.report('w', 'f', n, { ok: [0, 6] });
    assert.deepEqual([rig.totals('f'), refused(rig)], [{ read: 6, outstanding: 6 }, 1]);
  });
});

describe('claims that one Hello has no room for', () => {
  /** Two grants to `w`, 0 to 2 and 2 to 4; their numbers. */
  function twoGrants(rig: Rig): [number, number] {
    rig.submit('e', 'job', 4);
    rig.hello('w', JOB, 2);
    rig.read();
    const first = rig.sent('work', 'w')[0]?.n ?? 0;
    rig.gimme('w', first, 2);
    return [first, rig.sent('work', 'w')[0]?.n ?? 0];
  }

  function claim(rig: Rig, n: number, units: Ranges, more: Partial<Hello> = {}): void {
    rig.hello('w', JOB, 0, { held: [rig.held('w', n, units)], ...more });
  }

  test('are attached from the next ones', () => {
    const before = new Rig();
    const [first, second] = twoGrants(before);
    const rig = new Rig();
    rig.core.recover(structuredClone(before.records));
    claim(rig, first, [0, 2]);
    claim(rig, second, [2, 4], { part: 1 });
    assert.equal(rig.core.state.sessions.get('w')?.held, 4);
    assert.deepEqual(rig.sent('abort'), []);
  });

  test('are believed together, until a Hello begins anew', () => {
    const rig = new Rig();
    const [first, second] = twoGrants(rig);
    rig.read([], rig.pass(LEASE_MS).reads);
    rig.hello('v', JOB, 4);
    assert.deepEqual(rig.sent('work', 'v')[0]?.units, [0, 4]);
    claim(rig, first, [0, 2]);
    claim(rig, second, [2, 4], { part: 1 });
    rig.report('w', 'e', first, { ok: [0, 1] });
    rig.report('w', 'e', second, { ok: [2, 3] });
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 2, outstanding: 2 });
    claim(rig, second, [3, 4]);
    rig.report('w', 'e', first, { ok: [1, 2] });
    assert.equal(rig.sent('refused', 'w').length, 1);
    assert.deepEqual(rig.totals('e'), { read: 4, succeeded: 2, outstanding: 2 });
  });
});
