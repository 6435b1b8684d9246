/**
 * A page of what a fold is told: answers, and the units between them that nobody answered. Owns where a page ends, so that
 * neither makes a message too large, however many of them there are.
 */
import { appendRange, type IntervalSet } from '../../shared/core/intervalSet.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';

export type FoldPage = {
  /** How many of the answers are on it. */
  answers: number;
  missing: Ranges;
  /** There is no other after it. */
  last: boolean;
};

/**
 * Makes the page of all that is above unit `after`, up to the last of these `answered` units, or to the end where there are
 * no more of them (`isLast`). With more than `rangesMax` ranges missing it ends before, at the last of those.
 */
export function foldPage(
  missing: IntervalSet,
  answered: readonly number[],
  { after, isLast, rangesMax }: { after: number; isLast: boolean; rangesMax: number },
): FoldPage {
  const end = isLast ? Number.MAX_SAFE_INTEGER : (answered.at(-1) ?? after) + 1;
  const found: number[] = [];
  let from = missing.firstFrom(after + 1);
  while (from !== undefined && from < end && found.length < 2 * rangesMax) {
    const to = Math.min(missing.firstGap(from), end);
    appendRange(found, from, to);
    from = missing.firstFrom(to);
  }
  if (from === undefined || from >= end) return { answers: answered.length, missing: found, last: isLast };
  const cut = found.at(-1) as number;
  const above = answered.findIndex((unit) => unit >= cut);
  return { answers: above < 0 ? answered.length : above, missing: found, last: false };
}
