import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../master/core/ledger.ts';
import { retriable, submissionOf } from '../../../master/io/retries.ts';
import { countOf, IntervalSet } from '../../../shared/core/intervalSet.ts';
import { RETRY_RANGES_MAX } from '../../../shared/core/limits.ts';

const submitted = { name: 'n', work: 'w', source: { type: 'range', from: 0, to: 9 }, brief: 'b' } as const;

test('one retry takes the first so many ranges of scattered units, and the next the rest', () => {
  const ledger = new Ledger();
  ledger.apply({ k: 'epic-submitted', epic: 'a', ...submitted, wallMs: 1 });
  const epic = ledger.epics.get('a');
  assert.ok(epic);
  const units = new IntervalSet();
  for (let i = 0; i < RETRY_RANGES_MAX + 2; i++) units.add(3 * i, 3 * i + 2);
  const first = retriable(ledger, epic, { units, undone: new Map() });
  assert.deepEqual([countOf(first.only), first.rest, first.leftOut], [2 * RETRY_RANGES_MAX, 4, 0]);
  ledger.apply({
    ...{ k: 'epic-submitted', epic: 'b', wallMs: 2 },
    ...submissionOf(ledger, epic, first.only),
  });
  const second = retriable(ledger, epic, { units, undone: new Map() });
  const from = 3 * RETRY_RANGES_MAX;
  assert.deepEqual(second.only, [from, from + 2, from + 3, from + 5]);
  assert.deepEqual([second.rest, second.leftOut], [0, 2 * RETRY_RANGES_MAX]);
});
