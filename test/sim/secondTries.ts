/** What must be true of an epic that tries units of another again: it runs only these, and all of them. */
import type { EpicRecordOf, RetryOf } from '../../master/core/records.ts';
import type { Account } from './account.ts';
import { Broken, each } from './story.ts';

/** Of what is read, all that is not to be tried again is none of its own. */
export function checkAbsent(
  { epic, to, absent }: EpicRecordOf<'horizon'>,
  from: number,
  retryOf: RetryOf | undefined,
): void {
  const none = new Set<number>();
  each(absent, (unit) => none.add(unit));
  const only = new Set<number>();
  each(retryOf?.only, (unit) => only.add(unit));
  for (let unit = from; unit < to; unit++) {
    if (none.has(unit) === (retryOf !== undefined && !only.has(unit))) continue;
    throw new Broken('Y6', epic, unit, `is ${none.has(unit) ? 'left out' : 'to be run'}`);
  }
}

/** Whether all that was to be tried again has its outcome. */
export function isTried({ only }: RetryOf, { outcomes }: Account): boolean {
  const left = new Set<number>();
  each(only, (unit) => left.add(unit));
  const count = left.size;
  for (const unit of outcomes.keys()) left.delete(unit);
  return left.size === 0 && outcomes.size === count;
}
