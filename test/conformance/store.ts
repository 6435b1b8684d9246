/** What every `Store` keeps (J1–J5 of master/io/store.ts), as one suite; J4 is in `storeRows.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicRecord } from '../../master/core/records.ts';
import type { HistoryEntry, Store } from '../../master/io/store.ts';
import { rowsConformance } from './storeRows.ts';

export type StoreRig = {
  /** A store over the same place each time; the one before is closed first. */
  reopen(): Promise<Store>;
  remove(): Promise<void>;
};

export const horizon = (epic: string, to: number): EpicRecord => ({
  k: 'horizon',
  epic,
  to,
  offset: to * 10,
  end: false,
});

export const submission = (epic: string): EpicRecord => ({
  k: 'epic-submitted',
  epic,
  name: epic,
  work: 'w',
  source: { type: 'range', from: 0, to: 9 },
  brief: 'b',
  wallMs: 1,
});

export type WithRig = (name: string, run: (rig: StoreRig) => Promise<void>) => void;

export function storeConformance(kind: string, setup: () => Promise<StoreRig>): void {
  const withRig: WithRig = (name, run) => {
    test(`${kind} store: ${name}`, async () => {
      const rig = await setup();
      try {
        await run(rig);
      } finally {
        await rig.remove();
      }
    });
  };

  withRig('a new one is empty and has a term', async (rig) => {
    const { term, records } = await (await rig.reopen()).open();
    assert.deepEqual(records, []);
    assert.ok(term >= 1);
  });

  withRig('records come back in order, also of appends made at once', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const batches = Array.from({ length: 50 }, (_, i) => [horizon('a', 2 * i), horizon('b', 2 * i + 1)]);
    await Promise.all(batches.map((batch) => store.append(batch)));
    const { records } = await (await rig.reopen()).open();
    assert.deepEqual(records, batches.flat());
  });

  withRig('each opening has a higher term than the one before', async (rig) => {
    const terms: number[] = [];
    for (let i = 0; i < 4; i++) terms.push((await (await rig.reopen()).open()).term);
    assert.deepEqual(
      terms,
      terms.map((_, i) => (terms[0] as number) + i),
    );
  });

  withRig('a checkpoint stands for everything before it and nothing after', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const before = store.append([horizon('a', 1), horizon('b', 1)]);
    const checkpoint = store.checkpoint([horizon('b', 7), horizon('a', 8)]);
    const after = store.append([horizon('a', 9)]);
    await Promise.all([before, checkpoint, after]);
    const { records } = await (await rig.reopen()).open();
    assert.deepEqual(
      records,
      [horizon('b', 7), horizon('a', 8), horizon('a', 9)],
      'in the order it was given',
    );
  });

  withRig('texts of every kind survive', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const name = 'näme "quoted" \u0000 \u2028 😀 \\';
    const record: EpicRecord = { k: 'closing', epic: 'a', reason: name, wallMs: 1 };
    await store.append([record]);
    const { records } = await (await rig.reopen()).open();
    assert.deepEqual(records, [record]);
  });

  withRig('history comes by pages, also from before a checkpoint and a reopening', async (rig) => {
    let store = await rig.reopen();
    await store.open();
    const appends = Array.from({ length: 7 }, (_, i) => (i === 0 ? [submission('a')] : [horizon('a', i)]));
    for (const records of appends.slice(0, 5)) await store.append(records);
    await store.checkpoint([horizon('a', 4)]);
    store = await rig.reopen();
    await store.open();
    for (const records of appends.slice(5)) await store.append(records);
    const entries: HistoryEntry[] = [];
    for (let page = await store.history({ after: 0, limit: 3 }); page.length > 0; ) {
      assert.ok(page.length <= 3);
      entries.push(...page);
      page = await store.history({ after: entries.at(-1)?.seq as number, limit: 3 });
    }
    assert.deepEqual(
      entries.map(({ records }) => records),
      appends,
    );
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      [1, 2, 3, 4, 5, 6, 7],
    );
    const walls = entries.map(({ wallMs }) => wallMs);
    assert.deepEqual(walls, walls.toSorted(), 'the clock of this test went back');
    assert.ok((walls[0] as number) > 1_600_000_000_000, String(walls[0]));
  });

  withRig('a checkpoint forgets the history from before the oldest epic in it', async (rig) => {
    let store = await rig.reopen();
    await store.open();
    const seqs = async (): Promise<number[]> =>
      (await store.history({ after: 0, limit: 100 })).map(({ seq }) => seq);
    for (const epic of ['a', 'b', 'c']) {
      await store.append([submission(epic)]);
      await store.append([horizon(epic, 1)]);
    }
    await store.checkpoint([horizon('c', 1), horizon('b', 1), horizon('a', 1)]);
    assert.deepEqual(await seqs(), [1, 2, 3, 4, 5, 6]);
    await store.checkpoint([horizon('c', 1), horizon('b', 1)]);
    assert.deepEqual(await seqs(), [3, 4, 5, 6]);
    store = await rig.reopen();
    await store.open();
    await store.checkpoint([horizon('c', 1)]);
    assert.deepEqual(await seqs(), [5, 6]);
    await store.checkpoint([]);
    assert.deepEqual(await seqs(), []);
    store = await rig.reopen();
    assert.deepEqual((await store.open()).records, []);
    await store.append([submission('d')]);
    assert.deepEqual(await seqs(), [7], 'a number came twice');
  });

  rowsConformance(withRig);
}
