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
  const of = () => statusOf(seen, rig.core.state, new StepTotals(), 0, undefined);
  assert.deepEqual([of().totals.read, of().leased, of().delayed], [0, 0, 0]);
  seen.apply({ k: 'horizon', epic: 'e', to: 4, offset: 4, end: true });
  assert.deepEqual([of().totals.read, of().leased, of().delayed], [4, 4, 0]);
});
