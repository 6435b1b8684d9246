/** Briefs of forgotten epics stayed on the disk for ever: what no epic names goes with the last that did. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Epic } from '../../../master/core/epic.ts';
import type { SourceSpec } from '../../../master/core/source.ts';
import { Leftovers } from '../../../master/io/leftovers.ts';
import { BRIEF_KEPT_MS } from '../../../shared/core/limits.ts';
import { silentLog } from '../../../shared/io/log.ts';

const NOW_MS = 10 * BRIEF_KEPT_MS;

function spoolOf(id: string): SourceSpec {
  return { type: 'spool', id, format: 'ndjson', bytes: 1, hash: '', body: 0 };
}

function epicOf(epic: string, spool: string, brief: string): Epic {
  return new Epic({
    k: 'epic-submitted',
    epic,
    name: epic,
    work: 'w',
    source: spoolOf(spool),
    brief,
    wallMs: 0,
  });
}

/** Leftovers over files that only note what was asked of them; `release` ends the looks under way. */
function rig(epics: Epic[]) {
  const removed: string[] = [];
  const keptSpools: string[][] = [];
  const keptBriefs: string[][] = [];
  const looks: (() => void)[] = [];
  const leftovers = new Leftovers({
    spool: {
      remove: async (id) => void removed.push(id),
      keepOnly: async (ids) => void keptSpools.push([...ids]),
    },
    briefs: {
      keepOnly: (hashes, putSinceMs) => {
        assert.equal(putSinceMs, NOW_MS - BRIEF_KEPT_MS);
        keptBriefs.push([...hashes]);
        return new Promise((resolve) => looks.push(resolve));
      },
    },
    clock: { wallMs: () => NOW_MS },
    log: silentLog,
    epics: () => epics,
  });
  return { leftovers, removed, keptSpools, keptBriefs, looks };
}

test('at a start only the uploads and briefs of known epics are kept', async () => {
  const { leftovers, keptSpools, keptBriefs, looks } = rig([
    epicOf('a', 's1', 'b1'),
    epicOf('b', 's2', 'b1'),
  ]);
  const done = leftovers.removeAll();
  await new Promise((resolve) => setImmediate(resolve));
  looks[0]?.();
  await done;
  assert.deepEqual([keptSpools, keptBriefs], [[['s1', 's2']], [['b1']]]);
});

test('the upload of a forgotten epic goes unless another epic reads it', () => {
  const { leftovers, removed } = rig([epicOf('child', 's1', 'b1')]);
  leftovers.forgotten(spoolOf('s1'));
  leftovers.forgotten(spoolOf('s2'));
  leftovers.forgotten({ type: 'range', from: 0, to: 1 });
  assert.deepEqual(removed, ['s2']);
});

test('one look at the briefs does for many epics forgotten at once, and none is missed', async () => {
  const epics = [epicOf('a', 's', 'b1'), epicOf('b', 's', 'b2')];
  const { leftovers, keptBriefs, looks } = rig(epics);
  epics.pop();
  for (let i = 0; i < 5; i++) leftovers.forgotten(spoolOf('s'));
  assert.deepEqual(keptBriefs, [['b1']]);
  epics.pop();
  for (let i = 0; i < 5; i++) leftovers.forgotten(spoolOf('s'));
  assert.equal(keptBriefs.length, 1);
  looks[0]?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(keptBriefs, [['b1'], []]);
  looks[1]?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(keptBriefs.length, 2);
});
