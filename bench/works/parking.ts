/**
 * A work whose every so many-th unit asks for a second attempt, long after the first; it finds nothing to do then.
 * The units are those of `ndjsonUnits`.
 */
import { defineWork, RetryableError } from '../../shared/core/work.ts';

/** `every` 0: none of them waits. */
export type ParkingBrief = { every: number; delayMs: number };

export const parking = defineWork<{ n: number }, ParkingBrief>('parking').step('wait', ({ n }, ctx) => {
  const { every, delayMs } = ctx.brief;
  if (every === 0 || n % every !== 0 || ctx.attempt > 1) return;
  throw new RetryableError('it is not ready yet', { code: 'not_ready', afterMs: delayMs });
});
