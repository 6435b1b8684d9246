/**
 * The one table of calls that a master serves: what each takes and what it answers. The OpenAPI document is made of it,
 * the server refuses headers by it, and tests hold both the routes and docs/HTTP.md to it.
 */
import type { ErrorCode } from '../core/errors.ts';
import { PAGE_EPICS_MAX, PAGE_UNITS_MAX, WAIT_MS_MAX } from '../core/limits.ts';
import { DEADLINE, ID, listOf, REPLY_TO, ref, type Schema, text } from './httpSchemas.ts';

/** Headers that change the meaning of a call; where a call does not take one it is refused. */
export const HEADERS = {
  'idempotency-key': 'the same key with the same payload is the same epic, however often it is sent',
  'if-match': 'the ETag that the epic must still have, or 412',
  'if-none-match': 'the ETag of what is known already: 304 where it is still so',
  prefer: `wait=<seconds>, up to ${WAIT_MS_MAX / 1_000}: answer with the result where it is there in time (RFC 7240)`,
} as const;
export type HeaderName = keyof typeof HEADERS;

type Answer = {
  what: string;
  type?: string;
  schema?: Schema;
  headers?: readonly ('location' | 'etag' | 'link')[];
};

export type Operation = {
  id: string;
  method: 'GET' | 'POST' | 'PATCH';
  /** As the router has it: `/v1/epics/:id`. */
  path: string;
  what: string;
  query?: Readonly<Record<string, Schema>>;
  headers?: readonly HeaderName[];
  /** By media type. */
  body?: Readonly<Record<string, Schema>>;
  isBodyOptional?: true;
  answers: Readonly<Record<number, Answer>>;
  /** Codes of errors beside those of any call. */
  codes: readonly ErrorCode[];
};

const JSON_TYPE = 'application/json';
const json = (what: string, schema: Schema, ...headers: Answer['headers'] & object): Answer => ({
  ...{ what, type: JSON_TYPE, schema },
  ...(headers.length > 0 && { headers }),
});
const limit = (max: number): Schema => ({ type: 'integer', minimum: 1, maximum: max, default: 50 });
const STEERED = ['not_found', 'ambiguous_name', 'wrong_state', 'precondition_failed'] as const;
/** How a gather fails; also with a code of its work's own. */
const GATHER_FAILED = [
  'epic_failed',
  'quorum_missed',
  'bad_scatter',
  'scatter_failed',
  'fold_failed',
  'fold_not_offered',
] as const;
const DURABLE = ['disk_full', 'store_failed'] as const;
const stream: Schema = { type: 'string' };

const EPICS: readonly Operation[] = [
  {
    ...{ id: 'submitEpic', method: 'POST', path: '/v1/epics', what: 'submits an epic' },
    query: { work: ID, name: ID, brief: ID, deadline: DEADLINE, replyTo: REPLY_TO },
    headers: ['idempotency-key'],
    body: { [JSON_TYPE]: ref('SubmitBody'), 'text/csv': stream, 'application/x-ndjson': stream },
    answers: { 202: json('all of it is durable', ref('Epic'), 'location') },
    codes: [
      'bad_source',
      'bad_deadline',
      'bad_reply_to',
      'idempotency_conflict',
      'too_many_epics',
      ...DURABLE,
    ],
  },
  {
    ...{ id: 'listEpics', method: 'GET', path: '/v1/epics', what: 'lists epics, newest first' },
    query: {
      state: { type: 'string', enum: ['running', 'finished', 'failed', 'cancelled'] },
      ...{ work: ID, cursor: ID, limit: limit(PAGE_EPICS_MAX) },
    },
    answers: { 200: json('a page of epics', ref('EpicPage'), 'link') },
    codes: [],
  },
  {
    ...{ id: 'getEpic', method: 'GET', path: '/v1/epics/:id', what: 'how an epic stands' },
    headers: ['if-none-match'],
    answers: {
      200: json('the epic', ref('Epic'), 'etag'),
      303: json('a gather that has finished: its result is at Location', ref('Epic'), 'location'),
      304: { what: 'nothing durable has changed since that ETag', headers: ['etag'] },
    },
    codes: ['not_found'],
  },
  {
    ...{ id: 'steerEpic', method: 'PATCH', path: '/v1/epics/:id', what: 'pauses or resumes an epic' },
    headers: ['if-match'],
    body: { [JSON_TYPE]: ref('SteerBody') },
    answers: { 200: json('the epic', ref('Epic')) },
    codes: STEERED,
  },
  {
    ...{ id: 'cancelEpic', method: 'POST', path: '/v1/epics/:id/cancel', what: 'cancels an epic' },
    headers: ['if-match'],
    body: { [JSON_TYPE]: ref('CancelBody') },
    answers: { 200: json('the epic', ref('Epic')) },
    codes: STEERED,
  },
  {
    ...{ id: 'getResult', method: 'GET', path: '/v1/epics/:id/result', what: 'the result of a gather' },
    answers: { 200: json('what it came to', ref('GatherAnswer')) },
    codes: ['not_found', 'wrong_state', ...GATHER_FAILED],
  },
  {
    ...{ id: 'listResults', method: 'GET', path: '/v1/epics/:id/results', what: 'the answers of a gather' },
    query: { format: { type: 'string', enum: ['ndjson', 'csv'] } },
    answers: {
      200: {
        what: 'a line for each answer, as NDJSON (or CSV, as asked)',
        type: 'application/x-ndjson',
        schema: ref('UnitResult'),
      },
    },
    codes: ['not_found', 'wrong_state'],
  },
];

const UNITS: readonly Operation[] = [
  {
    ...{
      id: 'listFailures',
      method: 'GET',
      path: '/v1/epics/:id/failures',
      what: 'what went wrong, by code',
    },
    answers: { 200: json('failed and unknown units by code', ref('Failures')) },
    codes: ['not_found'],
  },
  {
    ...{ id: 'listUnits', method: 'GET', path: '/v1/epics/:id/units' },
    what: 'units that wait, have failed or are unknown',
    query: {
      state: { type: 'string', enum: ['parked', 'running', 'failed', 'unknown'] },
      ...{ code: text(), key: text(), cursor: text(), limit: limit(PAGE_UNITS_MAX) },
    },
    answers: { 200: json('a page of units', ref('UnitPage'), 'link') },
    codes: ['not_found'],
  },
  {
    ...{ id: 'getUnit', method: 'GET', path: '/v1/epics/:id/units/:unit', what: 'the story of one unit' },
    answers: { 200: json('what happened to it', ref('UnitStory')) },
    codes: ['not_found', 'ambiguous_name'],
  },
  {
    ...{
      id: 'retryUnits',
      method: 'POST',
      path: '/v1/epics/:id/retry',
      what: 'tries units again, as a new epic',
    },
    headers: ['if-match'],
    body: { [JSON_TYPE]: ref('RetryBody') },
    isBodyOptional: true,
    answers: {
      200: json('only counted', ref('RetryAnswer')),
      202: json('the epic that tries them', ref('RetryAnswer'), 'location'),
    },
    codes: [...STEERED, 'too_many_epics'],
  },
];

const GATHERS: readonly Operation[] = [
  {
    ...{ id: 'ask', method: 'POST', path: '/v1/gathers/:name', what: 'asks a gather' },
    headers: ['idempotency-key', 'prefer'],
    body: { [JSON_TYPE]: ref('GatherBody') },
    answers: {
      200: json('its result, which was there in time', ref('GatherAnswer'), 'location'),
      202: json('it is durable, and runs', ref('Epic'), 'location'),
    },
    codes: [
      'bad_deadline',
      'bad_reply_to',
      'idempotency_conflict',
      ...GATHER_FAILED,
      'too_many_epics',
      ...DURABLE,
    ],
  },
];

const NODES: readonly Operation[] = [
  {
    ...{ id: 'putBrief', method: 'POST', path: '/v1/briefs', what: 'keeps a brief for an upload' },
    body: { [JSON_TYPE]: { description: 'any JSON value' } },
    answers: { 201: json('its hash', { type: 'object', properties: { hash: ID }, required: ['hash'] }) },
    codes: DURABLE,
  },
  {
    ...{ id: 'listWorkers', method: 'GET', path: '/v1/workers', what: 'the workers' },
    answers: { 200: json('all of them', some('workers', 'Worker')) },
    codes: [],
  },
  {
    ...{ id: 'drainWorker', method: 'POST', path: '/v1/workers/:id/drain', what: 'has a worker end' },
    answers: { 202: json('it was told', ref('Worker')) },
    codes: ['not_found', 'ambiguous_name'],
  },
  {
    ...{ id: 'listMasters', method: 'GET', path: '/v1/masters', what: 'the master and its queues' },
    answers: { 200: json('all of them', some('masters', 'Master')) },
    codes: [],
  },
  {
    ...{ id: 'watch', method: 'GET', path: '/v1/events', what: 'a WebSocket that tells what changes' },
    query: { epic: ID },
    answers: { 101: { what: 'a snapshot, then what changes' } },
    codes: ['not_found', 'peer_too_slow'],
  },
  {
    ...{
      id: 'getOpenapi',
      method: 'GET',
      path: '/v1/openapi.json',
      what: 'this interface as an OpenAPI 3.1 document',
    },
    answers: { 200: json('the document', { type: 'object' }) },
    codes: [],
  },
  {
    ...{ id: 'health', method: 'GET', path: '/healthz', what: 'whether the process lives' },
    answers: { 200: json('it does', { type: 'object' }) },
    codes: [],
  },
  {
    ...{ id: 'ready', method: 'GET', path: '/readyz', what: 'whether it takes epics and can grant' },
    answers: {
      200: json('it does', { type: 'object' }),
      503: json('it does not, and why', { type: 'object' }),
    },
    codes: [],
  },
  {
    ...{ id: 'metrics', method: 'GET', path: '/metrics', what: 'for Prometheus' },
    answers: { 200: { what: 'metrics', type: 'text/plain', schema: stream } },
    codes: [],
  },
];

export const OPERATIONS: readonly Operation[] = [...EPICS, ...UNITS, ...GATHERS, ...NODES];

const TAKEN = new Map(OPERATIONS.map(({ method, path, headers = [] }) => [`${method} ${path}`, headers]));

/** Headers of HEADERS that a call takes; none where there is no such call. */
export function headersTaken(method: string, path: string): readonly HeaderName[] {
  return TAKEN.get(`${method === 'HEAD' ? 'GET' : method} ${path}`) ?? [];
}

function some(field: string, schema: string): Schema {
  return { type: 'object', properties: { [field]: listOf(ref(schema)) }, required: [field] };
}
