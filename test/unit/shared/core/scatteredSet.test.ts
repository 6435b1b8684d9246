/** The scattered set against a plain Set of numbers, around the borders of its stretches above all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { eachOf, isRanges } from '../../../../shared/core/intervalSet.ts';
import { ScatteredSet } from '../../../../shared/core/scatteredSet.ts';

const STRETCH = 2 ** 14;

/** Numbers near the beginnings of the first four stretches. */
const number = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -8, max: 8 }))
  .map(([stretch, offset]) => Math.max(0, stretch * STRETCH + offset));
const ranges = fc.uniqueArray(number, { maxLength: 12 }).map((points) => {
  const cuts = points.sort((a, b) => a - b);
  return cuts.length % 2 === 1 ? cuts.slice(0, -1) : cuts;
});
const step = fc.record({ name: fc.constantFrom('addAll' as const, 'removeAll' as const), ranges });

function membersOf(list: readonly number[]): number[] {
  const members: number[] = [];
  eachOf(list, (n) => members.push(n));
  return members;
}

test('any sequence of changes leaves the set equal to its model', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), ranges, (steps, asked) => {
      const set = new ScatteredSet();
      const model = new Set<number>();
      for (const { name, ranges: changed } of steps) {
        const members = membersOf(changed);
        const before = model.size;
        if (name === 'addAll') for (const n of members) model.add(n);
        else for (const n of members) model.delete(n);
        assert.equal(set[name](changed), Math.abs(model.size - before));
      }
      assert.equal(set.count, model.size);
      assert.equal(set.isEmpty, model.size === 0);
      assert.ok(isRanges(set.ranges()));
      assert.deepEqual(
        membersOf(set.ranges()),
        [...model].sort((a, b) => a - b),
      );
      const touching = set.ranges().filter((edge, i, all) => i > 0 && edge === all[i - 1]);
      assert.deepEqual(touching, [], 'ranges that touch are one');
      assert.deepEqual(
        membersOf(set.intersect(asked)),
        membersOf(asked).filter((n) => model.has(n)),
      );
      for (const n of asked) assert.equal(set.has(n), model.has(n));
      set.clear();
      assert.deepEqual([set.count, set.ranges()], [0, []]);
    }),
    { numRuns: 60 },
  );
});

test('as many changes cost about the same in a set a hundred times as large', () => {
  const took = (members: number): number => {
    const set = new ScatteredSet();
    for (let i = 0; i < members; i++) set.addAll([21 * i, 21 * i + 1]);
    const from = process.hrtime.bigint();
    for (let i = 0; i < 5_000; i++) set.removeAll([21 * i, 21 * i + 1]);
    return Number(process.hrtime.bigint() - from);
  };
  const least = (members: number): number => Math.min(...[1, 2, 3, 4, 5].map(() => took(members)));
  least(5_000);
  const [small, large] = [least(5_000), least(500_000)];
  assert.ok(large < 30 * small, `${large} ns, ${small} ns in a small one`);
});
