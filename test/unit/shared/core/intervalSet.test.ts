/** The interval set against a plain Set of numbers: every method, after any sequence of operations. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countOf, eachOf, IntervalSet, isRanges } from '../../../../shared/core/intervalSet.ts';

const TOP = 60;

const number = fc.integer({ min: 0, max: TOP });
const pair = fc.tuple(number, number).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
/** Ascending ranges, made by cutting the line at distinct points; neighbours may touch. */
const ranges = fc.uniqueArray(number, { maxLength: 12 }).chain((points) => {
  const cuts = points.sort((a, b) => a - b);
  if (cuts.length % 2 === 1) cuts.pop();
  const touching = cuts.flatMap((cut, i) => (i === 0 || i === cuts.length - 1 ? [cut] : [cut, cut]));
  return fc.constantFrom(cuts, touching);
});

type Op = { name: 'add' | 'remove' | 'takeWithin'; pair: [number, number]; count: number };
type BulkOp =
  | { name: 'addAll' | 'removeAll'; ranges: number[] }
  | { name: 'take'; count: number }
  | { name: 'clear' };

const count = fc.integer({ min: 0, max: 20 });
const op: fc.Arbitrary<Op | BulkOp> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ name: fc.constantFrom('add' as const, 'remove' as const), pair, count }),
  },
  { weight: 2, arbitrary: fc.record({ name: fc.constant('takeWithin' as const), pair, count }) },
  {
    weight: 2,
    arbitrary: fc.record({ name: fc.constantFrom('addAll' as const, 'removeAll' as const), ranges }),
  },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('take' as const), count }) },
  { weight: 1, arbitrary: fc.constant({ name: 'clear' as const }) },
);

function membersOf(list: readonly number[]): number[] {
  const members: number[] = [];
  eachOf(list, (n) => members.push(n));
  return members;
}

const sorted = (model: Set<number>): number[] => [...model].sort((a, b) => a - b);

/** Applies one operation to both, checking that both answer the same. */
function apply(set: IntervalSet, model: Set<number>, step: Op | BulkOp): void {
  const put = (members: number[]): number => members.filter((n) => !model.has(n) && model.add(n)).length;
  const drop = (members: number[]): number => members.filter((n) => model.delete(n)).length;
  switch (step.name) {
    case 'add':
      return assert.equal(set.add(...step.pair), put(membersOf(step.pair)));
    case 'remove':
      return assert.equal(set.remove(...step.pair), drop(membersOf(step.pair)));
    case 'addAll':
      return assert.equal(set.addAll(step.ranges), put(membersOf(step.ranges)));
    case 'removeAll':
      return assert.equal(set.removeAll(step.ranges), drop(membersOf(step.ranges)));
    case 'take':
    case 'takeWithin': {
      const [from, to] = step.name === 'take' ? [0, TOP + 1] : step.pair;
      const expected = sorted(model)
        .filter((n) => n >= from && n < to)
        .slice(0, step.count);
      const taken = step.name === 'take' ? set.take(step.count) : set.takeWithin(from, to, step.count);
      drop(expected);
      assert.ok(isRanges(taken));
      return assert.deepEqual(membersOf(taken), expected);
    }
    case 'clear':
      set.clear();
      return model.clear();
  }
}

/** Checks that every read of the set answers as the model does. */
function compare(set: IntervalSet, model: Set<number>): void {
  const members = sorted(model);
  const edges = set.ranges();
  assert.deepEqual(membersOf(edges), members);
  for (let i = 1; i < edges.length; i++) assert.ok((edges[i - 1] as number) < (edges[i] as number), 'I1');
  assert.equal(set.count, model.size);
  assert.equal(set.isEmpty, model.size === 0);
  assert.equal(set.first, members[0]);
  assert.equal(set.last, members.at(-1));
  assert.equal(set.intervalCount, members.filter((n) => !model.has(n - 1)).length);
  for (let n = 0; n <= TOP + 1; n++) {
    assert.equal(set.has(n), model.has(n), `has(${n})`);
    let gap = n;
    while (model.has(gap)) gap++;
    assert.equal(set.firstGap(n), gap, `firstGap(${n})`);
  }
}

test('any sequence of operations leaves the set equal to its model', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 40 }), (steps) => {
      const set = new IntervalSet();
      const model = new Set<number>();
      for (const step of steps) {
        apply(set, model, step);
        compare(set, model);
      }
    }),
    { numRuns: 400 },
  );
});

test('common gives the lowest members of both, as many as asked for, and firstFrom the next one', () => {
  fc.assert(
    fc.property(
      ranges,
      ranges,
      fc.nat(40),
      fc.nat(12),
      fc.integer({ min: 1, max: 5 }),
      (a, b, from, count, most) => {
        const set = IntervalSet.of(a);
        const other = IntervalSet.of(b);
        const found = set.common(other, from, { count, ranges: most });
        const all = membersOf(set.ranges()).filter((n) => n >= from && other.has(n));
        const kept = membersOf(found);
        assert.deepEqual(kept, all.slice(0, kept.length));
        if (kept.length < Math.min(count, all.length))
          assert.ok(found.length >= 2 * most, 'no room for more');
        assert.ok(kept.length <= count && found.length <= 2 * most && isRanges(found));
        assert.equal(
          set.firstFrom(from),
          membersOf(set.ranges()).find((n) => n >= from),
        );
      },
    ),
  );
});

test('intersect and missingFrom split ranges by membership', () => {
  fc.assert(
    fc.property(ranges, ranges, (held, asked) => {
      const set = IntervalSet.of(held);
      const members = membersOf(asked);
      const found = set.intersect(asked);
      const missing = set.missingFrom(asked);
      assert.deepEqual(
        membersOf(found),
        members.filter((n) => set.has(n)),
      );
      assert.deepEqual(
        membersOf(missing),
        members.filter((n) => !set.has(n)),
      );
      assert.ok(isRanges(found) && isRanges(missing));
      assert.deepEqual(IntervalSet.of(found).ranges(), found, 'found is canonical');
      assert.deepEqual(IntervalSet.of(missing).ranges(), missing, 'missing is canonical');
      assert.deepEqual(membersOf(set.ranges()), membersOf(held), 'the set is unchanged');
    }),
  );
});

test('countOf, eachOf and of agree', () => {
  fc.assert(
    fc.property(ranges, (list) => {
      assert.ok(isRanges(list));
      assert.equal(countOf(list), membersOf(list).length);
      assert.equal(IntervalSet.of(list).count, countOf(list));
    }),
  );
});

test('ranges() is a copy', () => {
  const set = IntervalSet.of([1, 3]);
  set.ranges().push(9, 10);
  assert.deepEqual(set.ranges(), [1, 3]);
});

test('isRanges refuses what is not ascending pairs of safe integers', () => {
  const bad: unknown[] = [
    null,
    'ab',
    {},
    [1],
    [1, 1],
    [2, 1],
    [0, 3, 2, 5],
    [-1, 2],
    [0, 1.5],
    [0, '2'],
    [0, Number.NaN],
    [0, 2 ** 53],
    [0, 1, null, 3],
  ];
  for (const value of bad) assert.equal(isRanges(value), false, JSON.stringify(value));
  for (const value of [[], [0, 1], [0, 2, 2, 5], [0, Number.MAX_SAFE_INTEGER]])
    assert.equal(isRanges(value), true);
});

test("edges that are not non-negative safe integers are a programmer's error", () => {
  const set = new IntervalSet();
  for (const [from, to] of [
    [-1, 2],
    [0, 0.5],
    [Number.NaN, 1],
    [0, Infinity],
  ] as const) {
    assert.throws(() => set.add(from, to), RangeError);
    assert.throws(() => set.remove(from, to), RangeError);
  }
  assert.equal(set.add(5, 3), 0);
  assert.equal(set.isEmpty, true);
});

test('numbers near the largest safe integer are kept exactly', () => {
  const top = Number.MAX_SAFE_INTEGER;
  const set = IntervalSet.of([0, 1, top - 2, top]);
  assert.equal(set.count, 3);
  assert.equal(set.last, top - 1);
  assert.equal(set.firstGap(top - 2), top);
  assert.deepEqual(set.take(2), [0, 1, top - 2, top - 1]);
});
