/** What a submit may say of the end of its epic: until when it may run, and who is told. Throws as `requests.ts`, or bad_deadline. */
import { durationMs } from '../../shared/core/duration.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import { DEADLINE_MS_MAX, REPLY_TO_CHARS_MAX } from '../../shared/core/limits.ts';
import type { EndsAsked } from '../core/records.ts';
import { refuse, textOf } from './fields.ts';

export const ENDS_FIELDS = ['deadline', 'replyTo'] as const;

/** Reads the fields of a body or a query. */
export function endsOf({ deadline, replyTo }: Record<string, unknown>): EndsAsked {
  return {
    ...(deadline !== undefined && { deadlineMs: deadlineOf(deadline) }),
    ...(replyTo !== undefined && { replyTo: textOf(replyTo, 'replyTo', REPLY_TO_CHARS_MAX) }),
  };
}

function deadlineOf(value: unknown): number {
  const rule = 'must be a duration from now with its unit, such as "10s" or "2m"';
  if (typeof value !== 'string' || value.length > 64) refuse(`field deadline ${rule}`);
  if (/^\s*-/.test(value)) tooEarly(`field deadline is in the past; it ${rule}`);
  if (!/[a-z]\s*$/.test(value)) refuse(`field deadline ${rule}`);
  let ms = Number.NaN;
  try {
    ms = durationMs(value);
  } catch {
    refuse(`field deadline ${rule}`);
  }
  if (ms < 1) tooEarly(`field deadline is zero; it ${rule}`);
  if (ms > DEADLINE_MS_MAX) refuse(`field deadline is too long: at most ${DEADLINE_MS_MAX / 86_400_000}d`);
  return ms;
}

function tooEarly(message: string): never {
  throw new GimmeError('bad_deadline', message);
}
