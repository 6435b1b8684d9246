/** What every `Store` keeps (J1–J3 of master/io/store.ts), as one suite. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicRecord } from '../../master/core/records.ts';
import type { Store } from '../../master/io/store.ts';

export type StoreRig = {
  /** A store over the same place each time; the one before is closed first. */
  reopen(): Promise<Store>;
  remove(): Promise<void>;
};

const horizon = (epic: string, to: number): EpicRecord => ({
  k: 'horizon',
  epic,
  to,
  offset: to * 10,
  end: false,
});

export function storeConformance(kind: string, setup: () => Promise<StoreRig>): void {
  const withRig = (name: string, run: (rig: StoreRig) => Promise<void>): void => {
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
}
