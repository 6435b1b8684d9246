/** How full queues are: what looking at them costs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SETTINGS, MasterState } from '../../../master/core/state.ts';
import { Depths } from '../../../master/io/depths.ts';
import { RETURNS_MAX } from '../../../shared/core/limits.ts';
import type { Bus } from '../../../shared/io/bus.ts';

test('a step does not ask the link, which looks at every peer; a sample does', () => {
  let asked = 0;
  const bus = { kind: 'ws', buffered: () => ++asked } as unknown as Bus;
  const depths = new Depths(new MasterState('m', 1, DEFAULT_SETTINGS, (text) => text), bus);
  for (let i = 0; i < 100; i++) depths.observe({ records: 1, messages: 2 });
  assert.equal(asked, 0, 'a step is taken for every frame of every worker');
  depths.sample({ briefAsks: 3, gatherBytes: 7 });
  assert.deepEqual([asked, depths.report().link_bytes?.max], [1, 1]);
  assert.deepEqual(depths.report().journal_records?.depth, 1);
  assert.deepEqual(depths.report().brief_asks?.depth, 3);
  assert.deepEqual(depths.report().gather_bytes?.depth, 7);
});

test('the queue of returns is watched once there is one', () => {
  const bus = { kind: 'ws', buffered: () => 0 } as unknown as Bus;
  const depths = new Depths(new MasterState('m', 1, DEFAULT_SETTINGS, (text) => text), bus);
  const nothing = { briefAsks: 0, gatherBytes: 0 };
  let owed = 4;
  depths.watchReturns(() => owed);
  depths.sample(nothing);
  owed = 1;
  depths.sample(nothing);
  assert.deepEqual(depths.report().owed_returns, { depth: 1, max: 4, limit: RETURNS_MAX });
});
