/**
 * What requests about gathers may say: bodies, `Prefer`, `Idempotency-Key` and the form of results. As `requests.ts`,
 * it throws `bad_request` naming the field and the cure.
 */
import { IDEMPOTENCY_KEY_CHARS_MAX, WAIT_MS_MAX } from '../../shared/core/limits.ts';
import type { GatherRequest } from './api.ts';
import { endsOf } from './endsOf.ts';
import { refuse } from './fields.ts';
import { idOf, objectOf, oneOf } from './requests.ts';

const FIELDS = ['input', 'name', 'deadline', 'enough', 'quorum', 'replyTo'] as const;

/** Checks the body of a gather; `work` is its name in the path. */
export function gatherBody(work: unknown, body: unknown): Omit<GatherRequest, 'id'> {
  const fields = objectOf(body, 'the body', FIELDS);
  if (fields['input'] === undefined) refuse('field input is missing; a gather without one takes null');
  const gather: Omit<GatherRequest, 'id'> = { work: idOf(work, 'name'), input: fields['input'] };
  if (fields['name'] !== undefined) gather.name = idOf(fields['name'], 'name');
  if (fields['enough'] !== undefined) gather.enough = countOf(fields['enough'], 'enough', 1);
  if (fields['quorum'] !== undefined) gather.quorum = countOf(fields['quorum'], 'quorum', 0);
  Object.assign(gather, endsOf(fields));
  const { enough, quorum } = gather;
  if (enough !== undefined && quorum !== undefined && quorum > enough)
    refuse(`field quorum, ${quorum}, must not be above enough, ${enough}: it could never be reached`);
  return gather;
}

/** How long a request may wait for its result, in milliseconds; nothing where it does not want to (RFC 7240). */
export function waitOf(prefer: string | string[] | undefined): number | undefined {
  if (prefer === undefined) return undefined;
  const preferences = String(prefer).split(/[,;]/);
  const wait = preferences.find((one) => /^\s*wait\s*(=|$)/i.test(one));
  if (wait === undefined) return undefined; // What is not known is passed over (section 2).
  const seconds = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*$/i.exec(wait)?.[1];
  if (seconds === undefined) refuse('header prefer: wait must be whole seconds, such as wait=10');
  return Math.min(Number(seconds) * 1_000, WAIT_MS_MAX);
}

/** The key of an `Idempotency-Key`: a quoted string as the draft has it, or its bare content. */
export function idempotencyKeyOf(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const given = String(header).trim();
  const key = /^"(.*)"$/.exec(given)?.[1] ?? given;
  if (key.length > IDEMPOTENCY_KEY_CHARS_MAX)
    refuse(`header idempotency-key is over ${IDEMPOTENCY_KEY_CHARS_MAX} characters; shorten it`);
  if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(key))
    refuse('header idempotency-key must be one text of visible ASCII characters, such as "weekly-47"');
  return key;
}

/** The form of results: by the query, else by `Accept`. */
export function resultsFormat(query: unknown, accept = ''): 'ndjson' | 'csv' {
  const { format } = objectOf(query, 'the query', ['format']);
  if (format !== undefined) return oneOf(format, ['ndjson', 'csv'], 'format');
  return /\btext\/csv\b/i.test(accept) ? 'csv' : 'ndjson';
}

function countOf(value: unknown, field: string, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least)
    refuse(`field ${field} must be a whole number from ${least} on`);
  return value as number;
}
