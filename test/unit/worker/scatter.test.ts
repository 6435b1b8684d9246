/** What a scatter may give, and in which parts it is sent. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { defineGather } from '../../../shared/core/gather.ts';
import {
  GATHER_ADDRESSED_MAX,
  GRANT_BYTES_MAX,
  GRANT_UNITS_MAX,
  UNIT_BYTES_MAX,
} from '../../../shared/core/limits.ts';

import { Rig, scatterOf, texts } from './controlRig.ts';

const times = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);

describe('a scatter', () => {
  test('gives the items of an array, an iterable, an async iterable, or a promise of one', async () => {
    const async = async function* () {
      yield await Promise.resolve('a');
      yield undefined;
    };
    const given = [['a', undefined], new Set(['a', undefined]), async(), Promise.resolve(['a', undefined])];
    for (const items of given) {
      const rig = new Rig(
        scatterOf((request) => {
          assert.equal(request, 'request');
          return items;
        }),
        'scatter',
      );
      assert.deepEqual(await rig.end(), { kind: 'ok' });
      assert.deepEqual(texts(rig.given), ['"a"', 'null']);
      assert.deepEqual(
        rig.given.map(({ last, to }) => [last, to]),
        [[true, undefined]],
      );
    }
  });

  test('of nothing gives one last part without items', async () => {
    const rig = new Rig(
      scatterOf(() => []),
      'scatter',
    );
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(rig.given, [{ items: [], last: true }]);
  });

  test('says whom an item is for; only an object of data and to is no item itself', async () => {
    const items = [
      { data: 1, to: 'w7' },
      { data: 2 },
      { data: 3, to: undefined },
      { data: 4, to: 'w8', more: 1 },
      5,
    ];
    const rig = new Rig(
      scatterOf(() => items),
      'scatter',
    );
    await rig.end();
    assert.deepEqual(texts(rig.given), ['1', '2', '3', '{"data":4,"to":"w8","more":1}', '5']);
    assert.deepEqual(rig.given[0]?.to, ['w7', '', '', '', '']);
  });

  test('is cut where a part is full, of bytes, names or items', async () => {
    const half = 'x'.repeat(UNIT_BYTES_MAX - 2);
    const cases: [unknown[], number[]][] = [
      [
        [half, half, half],
        [1, 1, 1],
      ],
      [new Array(2 * GRANT_UNITS_MAX + 1).fill(1), [GRANT_UNITS_MAX, GRANT_UNITS_MAX, 1]],
      [times(GRANT_UNITS_MAX, { data: 1, to: 'n'.repeat(64) }), [5_386, 5_386, 5_386, 226]],
    ];
    for (const [items, counts] of cases) {
      const rig = new Rig(
        scatterOf(() => items),
        'scatter',
      );
      assert.deepEqual(await rig.end(), { kind: 'ok' });
      assert.deepEqual(
        rig.given.map((part) => part.items.length),
        counts,
      );
      assert.deepEqual(
        rig.given.map(({ last }) => last),
        counts.map((_, i) => i === counts.length - 1),
      );
      for (const { items, to = [] } of rig.given) {
        const bytes = items.reduce((sum, item) => sum + item.length + 4, 0);
        assert.ok(bytes + JSON.stringify(to).length <= GRANT_BYTES_MAX);
      }
    }
  });

  test('makes no part before the one before is taken', async () => {
    let made = 0;
    const rig = new Rig(
      scatterOf(function* () {
        for (; made < 3; made++) yield 'x'.repeat(UNIT_BYTES_MAX - 2);
      }),
      'scatter',
    );
    rig.isTaking = false;
    void rig.run.start();
    await turn();
    assert.deepEqual([rig.given.length, made], [1, 1]);
  });

  test('of labels gives them in one last part', async () => {
    const gather = defineGather<string>('g')
      .broadcast(async (area) => ({ area }))
      .step('look', (it) => it)
      .gather({ deadline: '1m' }, () => 1);
    const rig = new Rig(gather, 'scatter');
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(rig.given, [{ items: [], last: true, labels: { area: 'request' } }]);
  });

  test('that gives what cannot be sent fails for good, and says which item it is', async () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const cases: [unknown, RegExp][] = [
      ['text', /must give an array, an iterable or an async iterable/],
      [{ a: 1 }, /must give an array/],
      [undefined, /must give an array/],
      [[1, 'x'.repeat(UNIT_BYTES_MAX)], /item 1 has 262146 bytes as JSON, over 262144/],
      [[1, 2, cycle], /item 2 cannot be written as JSON: it threw: Converting circular/],
      [[1n], /item 0 cannot be written as JSON: it threw: .*BigInt/],
      [[() => 1], /item 0 cannot be written as JSON: it is a function/],
      [[{ data: 1, to: 'no name' }], /item 0 is for "no name"; the name of a responder must match/],
      [[{ data: 1, to: 7 }], /item 0 is for a number/],
      [times(GATHER_ADDRESSED_MAX + 1, { data: 1, to: 'w' }), /more than 100000 items that are for one/],
      [
        new Array(300).fill('x'.repeat(UNIT_BYTES_MAX - 2)),
        /its first 257 items have more than 67108864 bytes/,
      ],
    ];
    for (const [given, message] of cases) {
      const outcome = await new Rig(
        scatterOf(() => given),
        'scatter',
      ).end();
      assert.ok(outcome.kind === 'failed', `${outcome.kind} for ${String(message)}`);
      assert.equal(outcome.code, 'bad_scatter');
      assert.match(outcome.message, message);
    }
  });

  test('with bad labels fails for good', async () => {
    const cases: [unknown, RegExp][] = [
      ['north', /must give an object of labels/],
      [{ 'a b': 'c' }, /label "a b" of the broadcast must match/],
      [{ area: 7 }, /label area of the broadcast must be a text/],
      [Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`l${i}`, ''])), /more than 32 labels/],
    ];
    for (const [labels, message] of cases) {
      const gather = defineGather<string>('g')
        .broadcast(() => labels as Record<string, string>)
        .step('look', (it) => it)
        .gather({ deadline: '1m' }, () => 1);
      const outcome = await new Rig(gather, 'scatter').end();
      assert.ok(outcome.kind === 'failed' && outcome.code === 'bad_scatter');
      assert.match(outcome.message, message);
    }
  });
});
