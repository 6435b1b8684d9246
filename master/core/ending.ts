/**
 * Until when an epic may run, and who is told of its end: of a gather as its submit and its work say (`gatherState.ts`),
 * of any other as its submit says.
 */
import type { Epic } from './epic.ts';

/** By the wall clock; undefined where an epic runs until its last unit has ended. */
export function deadlineOf({ gather, ends, submittedWallMs }: Epic): number | undefined {
  if (gather) return gather.deadlineWallMs;
  return ends?.deadlineMs === undefined ? undefined : submittedWallMs + ends.deadlineMs;
}

/** The address that is told. */
export function replyToOf({ gather, ends }: Epic): string | undefined {
  return gather ? gather.asked.replyTo : ends?.replyTo;
}
