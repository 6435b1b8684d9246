/**
 * What requests may say: turns query, headers and JSON bodies into typed values, or throws
 * `bad_request` naming the field and the cure. Owns no I/O. Nothing unknown is ever ignored, and what
 * belongs to later versions is refused as not supported yet.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { isId } from '../../shared/core/ids.ts';
import {
  FAULT_MESSAGE_CHARS_MAX,
  JSON_DEPTH_MAX,
  KEY_CHARS_MAX,
  PAGE_EPICS_MAX,
  PAGE_UNITS_MAX,
  REASON_CHARS_MAX,
  SOURCE_ARGS_CHARS_MAX,
} from '../../shared/core/limits.ts';
import type {
  Ends,
  EpicState,
  RetryBody,
  SteerBody,
  SubmitBody,
  SubmitQuery,
} from '../../shared/protocol/api.ts';
import type { HeaderName } from '../../shared/protocol/operations.ts';
import type { EndsAsked } from '../core/records.ts';
import { ENDS_FIELDS, endsOf } from './endsOf.ts';
import { refuse, textOf } from './fields.ts';
import type { UnitName } from './unitStory.ts';
import type { UnitsFilter } from './unitViews.ts';

const LATER_FIELDS = new Set([
  'priority',
  'rate',
  'rateKey',
  'rate-key',
  'key',
  'idempotencyKey',
  'tenant',
  'slots',
  'strict',
  'dryRun',
]);
/** Headers that would change the meaning of a call: each is taken by some calls and refused by the others. */
const MEANING = ['idempotency-key', 'if-match', 'prefer'] as const;
const STATES: readonly EpicState[] = ['running', 'finished', 'failed', 'cancelled'];
const UNIT_STATES = ['parked', 'running', 'failed', 'unknown'] as const;
const RETRY_STATES = ['failed', 'unknown'] as const;
const ID_RULE = 'must be 1 to 64 of A-Z a-z 0-9 _ -';

/** A submit with what it says of its end read. */
export type SubmitAsked = Omit<SubmitBody, keyof Ends> & EndsAsked;
export type UploadAsked = Omit<SubmitQuery, keyof Ends> & EndsAsked;
export type ListQuery = { state?: EpicState; work?: string; cursor?: string; limit: number };

/** Refuses headers that would change the meaning of a call and that it does not take. */
export function checkHeaders(headers: Record<string, unknown>, taken: readonly HeaderName[]): void {
  for (const name of MEANING) {
    if (headers[name] !== undefined && !taken.includes(name))
      refuse(`header ${name} is not taken by this call; leave it out`);
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    refuse('header content-encoding is not supported; send the body as it is');
  }
}

/** Checks the JSON body of a submit. */
export function submitBody(body: unknown): SubmitAsked {
  const fields = objectOf(body, 'the body', ['work', 'name', 'source', 'brief', ...ENDS_FIELDS]);
  const submit: SubmitAsked = {
    ...{ work: idOf(fields.work, 'work'), source: sourceOf(fields.source) },
    ...endsOf(fields),
  };
  if (fields.name !== undefined) submit.name = idOf(fields.name, 'name');
  if (fields.brief !== undefined) submit.brief = fields.brief;
  return submit;
}

/** Checks the query of a submit whose body is a stream of records. */
export function submitQuery(query: unknown): UploadAsked {
  const fields = objectOf(query, 'the query', ['work', 'name', 'brief', ...ENDS_FIELDS]);
  const submit: UploadAsked = { work: idOf(fields.work, 'work'), ...endsOf(fields) };
  if (fields.name !== undefined) submit.name = idOf(fields.name, 'name');
  if (fields.brief !== undefined) submit.brief = idOf(fields.brief, 'brief');
  return submit;
}

export function listQuery(query: unknown): ListQuery {
  const fields = objectOf(query, 'the query', ['state', 'work', 'cursor', 'limit']);
  const list: ListQuery = { limit: limitOf(fields.limit, PAGE_EPICS_MAX) };
  if (fields.state !== undefined) list.state = oneOf(fields.state, STATES, 'state');
  if (fields.work !== undefined) list.work = idOf(fields.work, 'work');
  if (fields.cursor !== undefined) list.cursor = idOf(fields.cursor, 'cursor');
  return list;
}

/** Which units of an epic are listed; `cursor` is the last unit of the page before. */
export function unitsQuery(query: unknown): UnitsFilter {
  const fields = objectOf(query, 'the query', ['state', 'code', 'key', 'cursor', 'limit']);
  const filter: UnitsFilter = { limit: limitOf(fields.limit, PAGE_UNITS_MAX) };
  if (fields.state !== undefined) filter.state = oneOf(fields.state, UNIT_STATES, 'state');
  if (fields.code !== undefined) filter.code = textOf(fields.code, 'code', FAULT_MESSAGE_CHARS_MAX);
  if (fields.key !== undefined) filter.key = textOf(fields.key, 'key', KEY_CHARS_MAX);
  if (fields.cursor !== undefined) {
    filter.after = unitNumber(fields.cursor) ?? refuse('field cursor must be the `next` of the page before');
  }
  return filter;
}

/** A unit in a path: its number, or `key:` and its key. */
export function unitParam(params: unknown): UnitName {
  const { unit } = params as { unit: string };
  if (unit.startsWith('key:')) return { key: textOf(unit.slice(4), 'key', KEY_CHARS_MAX) };
  return unitNumber(unit) ?? refuse('a unit is named by its number, from 0, or by `key:` and its key');
}

export function retryBody(body: unknown): RetryBody {
  const fields = objectOf(body ?? {}, 'the body', ['states', 'code', 'confirm', 'dryRun']);
  const retry: RetryBody = {};
  if (fields.states !== undefined) {
    if (!Array.isArray(fields.states) || fields.states.length === 0)
      refuse(`field states must be a list of ${RETRY_STATES.join(', ')}`);
    retry.states = [...new Set(fields.states.map((state) => oneOf(state, RETRY_STATES, 'states')))];
  }
  if (fields.code !== undefined) retry.code = textOf(fields.code, 'code', FAULT_MESSAGE_CHARS_MAX);
  if (fields.confirm !== undefined) retry.confirm = idOf(fields.confirm, 'confirm');
  if (fields.dryRun !== undefined) retry.dryRun = booleanOf(fields.dryRun, 'dryRun');
  return retry;
}

/** What is to change about an epic. */
export function steerBody(body: unknown): SteerBody {
  const fields = objectOf(body, 'the body', ['paused', 'reason']);
  if (fields.paused === undefined) refuse('the body says no change: send paused, true or false');
  const paused = booleanOf(fields.paused, 'paused');
  if (fields.reason === undefined) return { paused };
  if (!paused) refuse('field reason goes with "paused": true; leave it out');
  return { paused, reason: reasonOf(fields.reason) };
}

/** The reason in the body of a cancel. */
export function cancelBody(body: unknown): string {
  return reasonOf(objectOf(body, 'the body', ['reason']).reason);
}

/** Refuses any query parameter. */
export function noQuery(query: unknown): void {
  objectOf(query, 'the query', []);
}

/** The id or name of an epic in a path; one that cannot be an id is not looked up at all. */
export function epicParam(params: unknown): string {
  const { id } = params as { id: string };
  if (!isId(id)) throw new GimmeError('not_found', 'no epic has this id or name: it is not a valid one');
  return id;
}

/** The id or name of a worker in a path. */
export function workerParam(params: unknown): string {
  const { id } = params as { id: string };
  if (!isId(id)) throw new GimmeError('not_found', 'no worker has this id or name: it is not a valid one');
  return id;
}

/** Refuses a body: the call has nothing to say beside its path. */
export function noBody(body: unknown): void {
  if (body !== undefined) objectOf(body, 'the body', []);
}

/**
 * Finds what is wrong with the bytes of a JSON value before they are parsed: not UTF-8, or nested so
 * deeply that walking the value would exhaust memory or stack.
 */
export function jsonFault(bytes: Uint8Array, isUtf8: (bytes: Uint8Array) => boolean): GimmeError | undefined {
  if (!isUtf8(bytes)) return new GimmeError('bad_request', 'the body is not UTF-8; encode it as UTF-8');
  let depth = 0;
  let inText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (inText) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) inText = false;
    } else if (byte === 0x22) inText = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > JSON_DEPTH_MAX) {
        return new GimmeError(
          'bad_request',
          `the body is nested over ${JSON_DEPTH_MAX} levels deep; flatten it`,
        );
      }
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return undefined;
}

/** Says why Fastify's parser refused a JSON text: its syntax, or a field that could reach a prototype. */
export function jsonRefusal(text: string): GimmeError {
  if (text.trim() === '') return new GimmeError('bad_request', 'the body is empty; send a JSON value');
  try {
    JSON.parse(text);
  } catch (cause) {
    const why = (cause as SyntaxError).message.replace(/\s+/g, ' ').slice(0, 200);
    return new GimmeError('bad_request', `the body is not JSON: ${why}`, { cause });
  }
  return new GimmeError(
    'bad_request',
    'the body has a field `__proto__` or `constructor.prototype`; leave it out',
  );
}

function sourceOf(value: unknown): SubmitBody['source'] {
  const type = typeof value === 'object' && value !== null ? (value as { type?: unknown }).type : undefined;
  if (type === 'range') {
    const { from, to } = objectOf(value, 'field source', ['type', 'from', 'to']);
    const range = { from: wholeOf(from, 'source.from'), to: wholeOf(to, 'source.to') };
    if (range.to < range.from) refuse('field source.to must not be less than source.from');
    return { type, ...range };
  }
  if (type === 'units') {
    const { units } = objectOf(value, 'field source', ['type', 'units']);
    if (!Array.isArray(units)) refuse('field source.units must be a list');
    return { type, units };
  }
  if (type === 'named') {
    const { name, args } = objectOf(value, 'field source', ['type', 'name', 'args']);
    if (JSON.stringify(args ?? null).length > SOURCE_ARGS_CHARS_MAX)
      refuse(
        `field source.args is over ${SOURCE_ARGS_CHARS_MAX} characters as JSON; give where larger data is`,
      );
    return { type, name: idOf(name, 'source.name'), ...(args !== undefined && { args }) };
  }
  refuse(
    'field source must be an object with type "range", "units" or "named"; send files as text/csv or application/x-ndjson',
  );
}

export function objectOf(value: unknown, where: string, allowed: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    refuse(`${where} must be an object`);
  for (const name of Object.keys(value)) {
    if (allowed.includes(name)) continue;
    const shown = JSON.stringify(name.slice(0, 64));
    if (LATER_FIELDS.has(name)) refuse(`field ${shown} is not supported yet; leave it out`);
    const known = allowed.length === 0 ? 'none is known here' : `known are ${allowed.join(', ')}`;
    refuse(`${where} has an unknown field ${shown}; ${known}`);
  }
  return { ...(value as Record<string, unknown>) };
}

export function idOf(value: unknown, field: string): string {
  if (value === undefined) refuse(`field ${field} is missing; it ${ID_RULE}`);
  if (!isId(value)) refuse(`field ${field} ${ID_RULE}`);
  return value;
}

function wholeOf(value: unknown, field: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    refuse(`field ${field} must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  return value as number;
}

function limitOf(value: unknown, max: number): number {
  if (value === undefined) return 50;
  const limit = typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : 0;
  if (limit < 1 || limit > max) refuse(`field limit must be a whole number from 1 to ${max}`);
  return limit;
}

export function oneOf<T extends string>(value: unknown, choices: readonly T[], field: string): T {
  const choice = choices.find((known) => known === value);
  return choice ?? refuse(`field ${field} must be one of ${choices.join(', ')}`);
}

function booleanOf(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') refuse(`field ${field} must be true or false`);
  return value;
}

function reasonOf(value: unknown): string {
  if (typeof value !== 'string' || value.trim() === '') refuse('field reason must be a text that says why');
  if (value.length > REASON_CHARS_MAX)
    refuse(`field reason is over ${REASON_CHARS_MAX} characters; shorten it`);
  return value;
}

function unitNumber(value: unknown): number | undefined {
  const unit = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  return Number.isSafeInteger(unit) ? unit : undefined;
}
