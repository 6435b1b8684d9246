/** What a fold is told comes in pages: all of it, once, in order, none of them too large. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { foldPage } from '../../../../master/core/foldPage.ts';
import { countOf, IntervalSet } from '../../../../shared/core/intervalSet.ts';

test('pages tell each answer and each missing unit once, whatever their sizes', () => {
  const kinds = fc.array(fc.constantFrom('answered', 'missing', 'declined'), { maxLength: 60 });
  const sizes = { rows: fc.integer({ min: 1, max: 9 }), rangesMax: fc.integer({ min: 1, max: 5 }) };
  fc.assert(
    fc.property(kinds, fc.record(sizes), (units, { rows, rangesMax }) => {
      const numbers = (kind: string): number[] => units.flatMap((it, unit) => (it === kind ? [unit] : []));
      const [answered, lost] = [numbers('answered'), numbers('missing')];
      const missing = IntervalSet.of(lost.flatMap((unit) => [unit, unit + 1]));
      const told = { answered: [] as number[], missing: new IntervalSet(), pages: 0 };
      for (let after = -1, isOver = false; !isOver; told.pages += 1) {
        const some = answered.filter((unit) => unit > after).slice(0, rows);
        const isLast = some.length < rows;
        const page = foldPage(missing, some, { after, isLast, rangesMax });
        const shown = some.slice(0, page.answers);
        assert.ok(page.missing.length <= 2 * rangesMax);
        assert.equal(told.missing.addAll(page.missing), countOf(page.missing), 'none is told twice');
        told.answered.push(...shown);
        const upTo = Math.max(shown.at(-1) ?? -1, (page.missing.at(-1) ?? 0) - 1);
        assert.ok(page.last || upTo > after, 'it goes on');
        after = upTo;
        isOver = page.last;
      }
      assert.deepEqual(told.answered, answered);
      assert.deepEqual(told.missing.ranges(), missing.ranges());
    }),
    { numRuns: 500 },
  );
});
