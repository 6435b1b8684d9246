/** What every `Store` keeps of units one by one (J4 of master/io/store.ts, W1 and W2 of master/core/rows.ts). */
import assert from 'node:assert/strict';
import type { EpicRecord, ParkedUnit, RecordedFault, UnitData } from '../../master/core/records.ts';
import type { UnitRow } from '../../master/core/rows.ts';
import type { Store } from '../../master/io/store.ts';
import { STORE_DROP_ROWS } from '../../shared/core/limits.ts';
import type { WithRig } from './store.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const ALL = { limit: 1_000 };

function dataOf(unit: number, state?: string): UnitData {
  return { bytes: bytesOf(`unit ${unit}`), ...(state !== undefined && { state: bytesOf(state) }) };
}

function parkedUnit(unit: number, dueWallMs: number, rest: Partial<ParkedUnit> = {}): ParkedUnit {
  return { unit, attempt: 2, step: 1, dueWallMs, code: 'later', key: `k${unit}`, ...rest };
}

function parked(epic: string, ...units: ParkedUnit[]): EpicRecord {
  return { k: 'parked', epic, units };
}

function fault(unit: number, rest: Partial<RecordedFault> = {}): RecordedFault {
  return { unit, code: 'bad', message: 'it is bad', step: 'send', attempt: 3, stepIndex: 1, ...rest };
}

const unitsOf = (rows: readonly UnitRow[]): number[] => rows.map(({ unit }) => unit);
const states = async (store: Store, epic: string): Promise<[number, string][]> =>
  (await store.units({ epic, ...ALL })).map(({ unit, state }) => [unit, state]);
const dueOf = async (store: Store, epic: string, dueWallMs = 1e9): Promise<UnitRow[]> =>
  (await store.due({ epic, dueWallMs, limit: 100, bytes: 1e6 })).rows;

export function rowsConformance(withRig: WithRig): void {
  paging(withRig);
  changing(withRig);

  withRig('rows outlive a reopening and checkpoints, and are in no record that comes back', async (rig) => {
    let store = await rig.reopen();
    await store.open();
    const unit = parkedUnit(7, 500, { data: dataOf(7, '{"a":1}') });
    await store.append([
      parked('a', unit),
      { k: 'settled', epic: 'a', failed: [fault(3, { data: dataOf(3) })] },
    ]);
    const before = await dueOf(store, 'a');
    store = await rig.reopen();
    const { data: _, ...kept } = unit;
    const journal = [parked('a', kept), { k: 'settled', epic: 'a', failed: [fault(3)] }];
    assert.deepEqual((await store.open()).records, journal);
    assert.deepEqual(
      (await store.history({ after: 0, limit: 9 })).map(({ records }) => records),
      [journal],
    );
    await store.checkpoint([]);
    assert.deepEqual(await dueOf(store, 'a'), before);
    assert.deepEqual(before, [
      {
        ...{ epic: 'a', unit: 7, state: 'parked', code: 'later', message: '', step: 1, attempt: 2 },
        ...{ dueWallMs: 500, key: 'k7', data: dataOf(7, '{"a":1}') },
      },
    ]);
    assert.deepEqual(await store.units({ epic: 'a', states: ['failed'], ...ALL }), [
      {
        ...{ epic: 'a', unit: 3, state: 'failed', code: 'bad', message: 'it is bad', step: 1, attempt: 3 },
        ...{ dueWallMs: 0, key: '', data: { bytes: bytesOf('unit 3') } },
      },
    ]);
  });

  withRig('no bytes, bytes of length 0 and bytes of every kind are three things', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const every = new Uint8Array(256).map((_, i) => i);
    const key = 'schlüssel "\u0000" 😀';
    await store.append([
      parked(
        'a',
        parkedUnit(1, 1),
        parkedUnit(2, 2, { data: { bytes: new Uint8Array(0), state: new Uint8Array(0) } }),
        parkedUnit(3, 3.5, { data: { bytes: every.subarray(1), state: every.subarray(7, 9) }, key }),
      ),
    ]);
    every.fill(0); // Who gave them may use them again.
    const [first, second, third] = await dueOf(store, 'a');
    assert.equal(first?.data, undefined);
    assert.deepEqual(second?.data, { bytes: new Uint8Array(0), state: new Uint8Array(0) });
    const expected = new Uint8Array(255).map((_, i) => i + 1);
    assert.deepEqual(third?.data, { bytes: expected, state: new Uint8Array([7, 8]) });
    assert.equal(third?.key, key);
    assert.equal(third?.dueWallMs, 3.5);
    assert.deepEqual(
      (await store.units({ epic: 'a', ...ALL })).map(({ data }) => data?.state),
      [undefined, undefined, undefined],
    );
    assert.deepEqual(unitsOf(await store.units({ epic: 'a', key, ...ALL })), [3]);
  });
}

function paging(withRig: WithRig): void {
  withRig('due gives the longest due first, and says exactly when the next is', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const times = [500, 100, 300, 100, 200, 900];
    const data = { bytes: new Uint8Array(10), state: new Uint8Array(20) };
    await store.append([
      parked('a', ...times.map((dueWallMs, unit) => parkedUnit(unit, dueWallMs, { data }))),
      parked('b', parkedUnit(0, 1)),
      { k: 'settled', epic: 'a', failed: [fault(9, { data })] },
      { k: 'saved', epic: 'a', units: [{ unit: 8, step: 1, data }] },
    ]);
    const due = async (
      dueWallMs: number,
      limit = 100,
      bytes = 1_000,
    ): Promise<[number[], number | undefined]> => {
      const page = await store.due({ epic: 'a', dueWallMs, limit, bytes });
      return [unitsOf(page.rows), page.nextDueWallMs];
    };
    assert.deepEqual(await due(99), [[], 100]);
    assert.deepEqual(await due(100), [[1, 3], 200]);
    assert.deepEqual(await due(500), [[1, 3, 4, 2, 0], 900]);
    assert.deepEqual(await due(900), [[1, 3, 4, 2, 0, 5], undefined]);
    assert.deepEqual(await due(900, 1), [[1], 100]);
    assert.deepEqual(await due(900, 4), [[1, 3, 4, 2], 500]);
    assert.deepEqual(await due(900, 100, 90), [[1, 3, 4], 300]);
    assert.deepEqual(await due(900, 100, 89), [[1, 3], 200]);
    assert.deepEqual(await due(900, 100, 1), [[1], 100], 'one row fits always');
    assert.deepEqual(await store.due({ epic: 'c', dueWallMs: 900, limit: 9, bytes: 9 }), { rows: [] });
    await store.append([
      { k: 'unparked', epic: 'a', units: [1, 2, 3, 5], resume: [1, 2, 1, 3, 2, 1, 4, 2, 1] },
    ]);
    assert.deepEqual(await due(900), [[2, 0, 5], undefined]);
  });

  withRig('units come by pages in their order, by state, code and key', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const codes = ['later', 'bad', 'worse'];
    for (let unit = 11; unit >= 0; unit--) {
      const code = codes[unit % 3] as string;
      const common = { code, key: `k${unit % 2}`, data: dataOf(unit) };
      const record: EpicRecord =
        unit % 4 === 3
          ? parked('a', parkedUnit(unit, 1_000 - unit, common))
          : { k: 'settled', epic: 'a', [unit % 4 === 1 ? 'unknown' : 'failed']: [fault(unit, common)] };
      await store.append([record]);
    }
    await store.append([{ k: 'settled', epic: 'b', failed: [fault(0)] }]);
    type Asked = Omit<Parameters<Store['units']>[0], 'epic' | 'limit'>;
    const units = async (query: Asked, limit = 100): Promise<number[]> =>
      unitsOf(await store.units({ epic: 'a', limit, ...query }));
    assert.deepEqual(await units({}), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.deepEqual(await units({}, 5), [0, 1, 2, 3, 4]);
    assert.deepEqual(await units({ after: 4 }, 5), [5, 6, 7, 8, 9]);
    assert.deepEqual(await units({ after: 11 }), []);
    assert.deepEqual(await units({ states: ['parked'] }), [3, 7, 11]);
    assert.deepEqual(await units({ states: ['unknown', 'parked'] }), [1, 3, 5, 7, 9, 11]);
    assert.deepEqual(await units({ states: ['unknown', 'parked'], after: 3 }, 2), [5, 7]);
    assert.deepEqual(await units({ states: ['running'] }), []);
    assert.deepEqual(await units({ states: [] }), []);
    assert.deepEqual(await units({ code: 'bad' }), [1, 4, 7, 10]);
    assert.deepEqual(await units({ code: 'bad', after: 1 }, 2), [4, 7]);
    assert.deepEqual(await units({ code: 'bad', states: ['failed'] }), [4, 10]);
    assert.deepEqual(await units({ key: 'k1', code: 'worse' }), [5, 11]);
    assert.deepEqual(await units({ key: 'k0', states: ['failed'], after: 2 }), [4, 6, 8, 10]);
    assert.deepEqual(await store.units({ epic: 'c', ...ALL }), []);
  });

  withRig('the answers of a gather come by pages, also among units that have none', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const units = Array.from({ length: 12 }, (_, unit) => unit);
    const saved = units
      .slice(0, 6)
      .map((unit) => ({ unit, step: 1, key: `k${unit}`, data: dataOf(unit, '1') }));
    const ok = units.filter((unit) => unit % 3 > 0);
    const answered = ok.map((unit) => ({ unit, data: { bytes: bytesOf(`"answer ${unit}"`) } }));
    const failed = units.filter((unit) => unit % 3 === 0).map((unit) => fault(unit));
    await store.append([
      { k: 'saved', epic: 'a', units: saved },
      { k: 'settled', epic: 'a', succeeded: ok.flatMap((unit) => [unit, unit + 1]), answered, failed },
    ]);
    const query = { epic: 'a', states: ['answered'], limit: 5 } as const;
    const first = await store.units(query);
    assert.deepEqual(unitsOf(first), [1, 2, 4, 5, 7]);
    assert.deepEqual(unitsOf(await store.units({ ...query, after: 7 })), [8, 10, 11]);
    assert.deepEqual(first[2]?.data, { bytes: bytesOf('"answer 4"') });
    const both = await store.units({ ...query, states: ['answered', 'failed'], after: 4 });
    assert.deepEqual(unitsOf(both), [5, 6, 7, 8, 9]);
    assert.deepEqual(unitsOf(await store.units({ epic: 'a', states: ['failed'], limit: 2 })), [0, 3]);
  });

  withRig('a page of large units is whole, and appends made meanwhile do not wait for it', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const large = Array.from({ length: 20 }, (_, unit) => {
      return parkedUnit(unit, 1, { data: { bytes: new Uint8Array(250_000).fill(unit) } });
    });
    await store.append([parked('a', ...large)]);
    const order: string[] = [];
    const page = store.units({ epic: 'a', limit: 19 }).then((rows) => {
      order.push('page');
      return rows;
    });
    await Promise.all([page, store.append([parked('b', parkedUnit(1, 1))]).then(() => order.push('append'))]);
    if (store.kind !== 'memory') assert.deepEqual(order, ['append', 'page']);
    const rows = await page;
    assert.deepEqual(
      rows.map(({ unit, data }) => [unit, data?.bytes.length, data?.bytes[9]]),
      large.slice(0, 19).map(({ unit }) => [unit, 250_000, unit]),
    );
  });
}

function changing(withRig: WithRig): void {
  withRig('bare rows are all there but for their bytes, and pages follow what came and went', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const units = [2, 0, 6].map((unit) => parkedUnit(unit, 1, { data: dataOf(unit) }));
    await store.append([parked('a', ...units)]);
    const whole = await store.units({ epic: 'a', ...ALL });
    assert.deepEqual(
      await store.units({ epic: 'a', bare: true, ...ALL }),
      whole.map(({ data: _, ...rest }) => rest),
    );
    assert.deepEqual(unitsOf(whole), [0, 2, 6]);
    await store.append([parked('a', parkedUnit(4, 1)), { k: 'settled', epic: 'a', rows: [2, 3] }]);
    assert.deepEqual(unitsOf(await store.units({ epic: 'a', after: 0, limit: 1 })), [4]);
    assert.deepEqual(unitsOf(await store.units({ epic: 'a', after: 4, ...ALL })), [6]);
    assert.deepEqual(unitsOf(await store.units({ epic: 'a', after: 6, ...ALL })), []);
  });

  withRig('thousands of rows are out of sight at once, also after a reopening', async (rig) => {
    const count = 2 * STORE_DROP_ROWS + 1;
    let store = await rig.reopen();
    await store.open();
    for (const epic of ['a', 'b', 'c']) {
      const units = Array.from({ length: count }, (_, unit) => parkedUnit(unit, 1, { data: dataOf(unit) }));
      await store.append([parked(epic, ...units), { k: 'settled', epic, failed: [fault(count)] }]);
    }
    await store.append([
      { k: 'parked-cancelled', epic: 'a' },
      { k: 'purged', epic: 'b' },
    ]);
    const look = async (): Promise<void> => {
      assert.deepEqual(await states(store, 'a'), [[count, 'failed']]);
      assert.deepEqual(await dueOf(store, 'a'), []);
      assert.deepEqual(await states(store, 'b'), []);
      assert.deepEqual(await dueOf(store, 'b'), []);
      assert.equal((await store.units({ epic: 'c', limit: 2 * count })).length, count + 1);
    };
    await look();
    store = await rig.reopen();
    await store.open();
    await look();
  });

  withRig('answers of a gather are found by their state, beside units that failed', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const answered = [4, 1].map((unit) => ({ unit, data: { bytes: bytesOf(`{"n":${unit}}`) } }));
    await store.append([{ k: 'settled', epic: 'a', succeeded: [1, 2, 4, 5], answered, failed: [fault(2)] }]);
    const rows = await store.units({ epic: 'a', states: ['answered'], ...ALL });
    assert.deepEqual(
      rows.map(({ unit, data }) => [unit, String(Buffer.from(data?.bytes ?? []))]),
      [
        [1, '{"n":1}'],
        [4, '{"n":4}'],
      ],
    );
    assert.deepEqual(
      unitsOf(await store.units({ epic: 'a', states: ['answered', 'failed'], ...ALL })),
      [1, 2, 4],
    );
    assert.deepEqual(
      unitsOf(await store.units({ epic: 'a', states: ['answered'], after: 1, limit: 5 })),
      [4],
    );
    assert.deepEqual(unitsOf(await store.units({ epic: 'a', states: ['failed'], ...ALL })), [2]);
  });

  withRig('a row goes the way of its unit, and keeps its bytes and key unless others come', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const only = async (): Promise<UnitRow> => {
      const rows = await store.units({ epic: 'a', ...ALL });
      assert.equal(rows.length, 1);
      return rows[0] as UnitRow;
    };
    const saved: EpicRecord = {
      ...{ k: 'saved', epic: 'a' },
      units: [{ unit: 5, step: 1, key: 'name', data: dataOf(5, '"one"') }],
    };
    await store.append([saved]);
    assert.deepEqual(await only(), {
      ...{ epic: 'a', unit: 5, state: 'running', code: '', message: '', step: 1, attempt: 1, dueWallMs: 0 },
      ...{ key: 'name', data: { bytes: bytesOf('unit 5') } },
    });
    assert.deepEqual(await dueOf(store, 'a'), []);
    const waits: ParkedUnit = { unit: 5, attempt: 4, step: 2, dueWallMs: 70, code: 'later' };
    await store.append([parked('a', waits)]);
    const [first] = await dueOf(store, 'a');
    assert.deepEqual(first, {
      ...{ epic: 'a', unit: 5, state: 'parked', code: 'later', message: '', step: 2, attempt: 4 },
      ...{ dueWallMs: 70, key: 'name', data: dataOf(5, '"one"') },
    });
    await store.append([{ k: 'unparked', epic: 'a', units: [5, 6], resume: [5, 4, 2] }]);
    assert.equal((await only()).state, 'running');
    await store.append([parked('a', { ...waits, dueWallMs: 90, key: 'other', data: dataOf(5) })]);
    const [second] = await dueOf(store, 'a');
    assert.deepEqual([second?.key, second?.dueWallMs, second?.data], ['other', 90, dataOf(5)]);
    // Two parkings with one time must not show the unit twice.
    await store.append([{ k: 'unparked', epic: 'a', units: [5, 6], resume: [5, 4, 2] }]);
    await store.append([parked('a', { ...waits, dueWallMs: 90 })]);
    assert.deepEqual(unitsOf(await dueOf(store, 'a')), [5]);
    await store.append([{ k: 'unparked', epic: 'a', units: [5, 6], resume: [5, 4, 2] }]);
    await store.append([{ k: 'settled', epic: 'a', unknown: [fault(5, { stepIndex: 0 })] }]);
    const ended = await only();
    assert.deepEqual([ended.state, ended.step, ended.key], ['unknown', 0, 'other']);
    assert.deepEqual(ended.data, { bytes: bytesOf('unit 5') });
    await store.append([
      { k: 'resolved', epic: 'a', by: { session: 's', term: 1, n: 1 }, succeeded: [5, 6] },
    ]);
    assert.deepEqual(await states(store, 'a'), []);
  });

  withRig('rows that are needed no more are dropped, and only those', async (rig) => {
    const store = await rig.reopen();
    await store.open();
    const fill = (epic: string): EpicRecord[] => [
      parked(epic, ...[0, 1, 2, 3].map((unit) => parkedUnit(unit, unit))),
      { k: 'unparked', epic, units: [1, 3], resume: [] },
      { k: 'settled', epic, failed: [fault(8)], unknown: [fault(9)] },
    ];
    await store.append([...fill('a'), ...fill('b')]);
    const whole: [number, string][] = [
      [0, 'parked'],
      [1, 'running'],
      [2, 'running'],
      [3, 'parked'],
      [8, 'failed'],
      [9, 'unknown'],
    ];
    assert.deepEqual(await states(store, 'a'), whole);
    await store.append([{ k: 'settled', epic: 'a', succeeded: [1, 2, 5, 8], rows: [1, 2, 5, 8] }]);
    assert.deepEqual(
      await states(store, 'a'),
      whole.filter(([unit]) => unit !== 1),
    );
    await store.append([
      { k: 'lease-expired', epic: 'a', session: 's', again: [], unknown: [2, 3, 6, 7], wallMs: 1 },
    ]);
    assert.deepEqual((await states(store, 'a')).slice(1, 4), [
      [2, 'unknown'],
      [3, 'parked'],
      [6, 'unknown'],
    ]);
    await store.append([{ k: 'parked-cancelled', epic: 'a' }]);
    assert.deepEqual(unitsOf(await store.units({ epic: 'a', ...ALL })), [2, 6, 8, 9]);
    assert.deepEqual(await store.due({ epic: 'a', dueWallMs: 1e9, limit: 9, bytes: 99 }), { rows: [] });
    await store.append([{ k: 'purged', epic: 'a' }]);
    assert.deepEqual(await states(store, 'a'), []);
    assert.deepEqual(await states(store, 'b'), whole);
  });

  withRig(
    'an epic that is submitted under the id of a forgotten one has the rows of its own, and all of them',
    async (rig) => {
      // An id is made of an idempotency key: it comes again, also while the rows of the epic before are still deleted.
      const store = await rig.reopen();
      await store.open();
      const many = Array.from({ length: 2 * STORE_DROP_ROWS }, (_, unit) => parkedUnit(unit, unit));
      await store.append([parked('a', ...many)]);
      const again: EpicRecord[] = [
        { k: 'purged', epic: 'a' },
        parked('a', parkedUnit(1, 5), parkedUnit(3 * STORE_DROP_ROWS, 6)),
      ];
      await store.append(again);
      const own: [number, string][] = [
        [1, 'parked'],
        [3 * STORE_DROP_ROWS, 'parked'],
      ];
      assert.deepEqual(await states(store, 'a'), own);
      // A store that deletes little by little has time for it between calls.
      for (let i = 0; i < 8; i++) assert.deepEqual(await states(store, 'a'), own);
      const { rows } = await store.due({ epic: 'a', dueWallMs: 1e9, limit: 9, bytes: 1_000 });
      assert.deepEqual(unitsOf(rows), [1, 3 * STORE_DROP_ROWS]);
    },
  );
}
