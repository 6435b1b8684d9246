/**
 * An epic as the HTTP interface shows it: with the words that programs poll by, and an ETag over what of it is
 * durable.
 *
 * T1: what changes without a record (speed, who holds what, what it waits for) is not in the tag: two answers with one
 *     tag differ in those only.
 */
import { createHash } from 'node:crypto';
import { GimmeError } from '../../shared/core/errors.ts';
import { type EpicStatus, isOver } from '../../shared/protocol/api.ts';

export type ShownEpic = EpicStatus & { status: string; eta?: string; 'responses-received'?: number };

/** Adds `eta`, of a gather `responses-received`, and `status`: of one that is not over it is `running`, whatever its phase. */
export function shownEpic(epic: EpicStatus, nowMs: number): ShownEpic {
  const { gather } = epic;
  const eta = etaOf(epic, nowMs);
  return {
    ...epic,
    status: isOver(epic.state) ? epic.state : 'running',
    ...(eta !== undefined && { eta }),
    ...(gather && { 'responses-received': gather.responses }),
  };
}

/** When an epic is over, as far as that is known. Nothing of it is begun beyond its deadline. */
function etaOf(
  { state, etaMs, gather, deadlineAt = gather?.deadlineAt }: EpicStatus,
  nowMs: number,
): string | undefined {
  if (isOver(state)) return undefined;
  const byDeadline = deadlineAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(deadlineAt);
  const atMs = Math.min(byDeadline, etaMs === undefined ? Number.POSITIVE_INFINITY : nowMs + etaMs);
  return Number.isFinite(atMs) ? new Date(atMs).toISOString() : undefined;
}

/** A strong tag (RFC 9110, section 8.8.3) over the durable part of what is shown (T1). */
export function etagOf(epic: EpicStatus): string {
  const { id, name, state, totals, totalExact, faults, finishedAt, reason, paused, fault, gather } = epic;
  const byCode = Object.entries(faults).sort(([a], [b]) => (a < b ? -1 : 1));
  const durable = [id, name, state, totals, totalExact, byCode, finishedAt, reason];
  const text = JSON.stringify([...durable, paused, fault, gather]);
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
}

/** Whether the tags of an `If-None-Match` hold this one, compared weakly (RFC 9110, section 13.1.2). */
export function isNoneMatch(header: string | undefined, etag: string): boolean {
  return (
    header !== undefined && tagsIn(header).some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag)
  );
}

/** Throws precondition_failed where an `If-Match` does not hold the tag of the epic, compared strongly. */
export function checkMatch(header: string | undefined, epic: EpicStatus): void {
  if (header === undefined) return;
  const etag = etagOf(epic);
  if (tagsIn(header).some((tag) => tag === '*' || tag === etag)) return;
  throw new GimmeError(
    'precondition_failed',
    `epic ${epic.name} is no longer as it was when its ETag was read; it is ${etag} now`,
  );
}

function tagsIn(header: string): string[] {
  return header.match(/\*|(?:W\/)?"[^"]*"/g) ?? [];
}
