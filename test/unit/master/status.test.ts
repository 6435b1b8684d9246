/** What readers are told of an epic agrees with itself, also while the core is ahead of the disk. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Epic } from '../../../master/core/epic.ts';
import { StepTotals, statusOf } from '../../../master/io/status.ts';
import { Rig } from './core/rig.ts';

test('no more units are at work than have been read and are outstanding', () => {
  const rig = new Rig();
  const source = { type: 'range', from: 0, to: 4 } as const;
  const about = { k: 'epic-submitted', epic: 'e', name: 'e', work: 'job', source, brief: 'b' } as const;
  rig.granted(4);
  // The submit is synced, what was read and granted since is not.
  const seen = new Epic({ ...about, wallMs: 0 });
  const of = () => statusOf(seen, rig.core.state, new StepTotals(() => true), 0, undefined);
  assert.deepEqual([of().totals.read, of().leased, of().delayed], [0, 0, 0]);
  seen.apply({ k: 'horizon', epic: 'e', to: 4, offset: 4, end: true });
  assert.deepEqual([of().totals.read, of().leased, of().delayed], [4, 4, 0]);
});

// Broke: the counters of every session that ever was were kept, for each epic.
test('what sessions told of their steps outlives them, as one sum', () => {
  const here = new Set<string>();
  let looks = 0;
  const totals = new StepTotals((session) => {
    looks += 1;
    return here.has(session);
  });
  const known = (epic: string): boolean => epic !== 'purged';
  const runs = (done: number) => ({ send: { done, failed: 1, retried: 0 } });
  for (let i = 0; i < 1_000; i++) {
    here.clear();
    here.add('stays').add(`w${i}`);
    totals.take(`w${i}`, { e: runs(1), purged: runs(1) }, known);
    totals.take(`w${i}`, { e: runs(2) }, known);
    totals.take('stays', { e: runs(i) }, known);
    totals.take('never-came', { e: runs(1) }, known);
  }
  assert.deepEqual(totals.of('e'), { send: { done: 2_000 + 999, failed: 1_001, retried: 0 } });
  assert.deepEqual(totals.of('purged'), {});
  const before = looks;
  here.clear();
  totals.take('w', { e: runs(1) }, known);
  assert.equal(looks - before, 1, 'a session that is not known costs no look at all');
});
