/**
 * Idempotency keys (draft-ietf-httpapi-idempotency-key-header): the id of an epic is made of the key, so the same key
 * can never make two; whether the payload is the same is told by what the record of the epic has of it. A key is known
 * as long as its epic is.
 */
import { createHash } from 'node:crypto';
import { GimmeError } from '../../shared/core/errors.ts';
import { idFrom } from '../../shared/core/ids.ts';
import type { EndsAsked, GatherAsked } from '../core/records.ts';
import type { SourceSpec } from '../core/source.ts';

/** What of a submit decides whether another one is the same. `brief` is its hash, with how its units are parsed. */
export type Payload = {
  name: string;
  work: string;
  source: SourceSpec;
  brief: string;
  gather?: GatherAsked;
  ends?: EndsAsked;
};

/** The id of the epic that this key makes. */
export function keyedId(key: string): string {
  return idFrom(createHash('sha256').update(`gimmework:idempotency-key:${key}`).digest());
}

/** Throws idempotency_conflict where what is submitted now is not what made this epic. */
export function checkSame(epic: Payload & { id: string }, now: Payload): void {
  const differs = [
    ...(epic.work === now.work ? [] : ['work']),
    ...(epic.name === now.name ? [] : ['name']),
    ...(epic.brief === now.brief ? [] : [now.gather ? 'input' : 'brief']),
    ...(epic.gather || isSameSource(epic.source, now.source) ? [] : ['source']),
    ...(asText(epic) === asText(now) ? [] : ['settings']),
  ];
  if (differs.length === 0) return;
  const what = differs.join(', ');
  throw new GimmeError(
    'idempotency_conflict',
    `this idempotency key made epic ${epic.id} with another ${what}; send the same again, or use a new key`,
  );
}

/** The source of a gather is not compared: it has none until its scatter gives one. */
function isSameSource(a: SourceSpec, b: SourceSpec): boolean {
  if (a.type === 'spool' && b.type === 'spool') return a.hash === b.hash && a.format === b.format;
  if (a.type === 'range' && b.type === 'range') return a.from === b.from && a.to === b.to;
  if (a.type === 'named' && b.type === 'named') return a.name === b.name && a.args === b.args;
  return a.type === b.type;
}

function asText({ gather, ends }: Pick<Payload, 'gather' | 'ends'>): string {
  const { deadlineMs, enough, quorum, replyTo }: GatherAsked = gather ?? ends ?? {};
  return JSON.stringify([
    gather !== undefined,
    deadlineMs ?? null,
    enough ?? null,
    quorum ?? null,
    replyTo ?? null,
  ]);
}
