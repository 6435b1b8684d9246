/**
 * JSON Schemas (draft 2020-12) of what the HTTP interface takes and answers. The compiler holds their fields to
 * `api.ts`, a test holds real answers to them.
 */
import { DEADLINE_MS_MAX, REASON_CHARS_MAX, REPLY_TO_CHARS_MAX } from '../core/limits.ts';
import type {
  EpicPage,
  EpicStatus,
  FailureGroup,
  GatherAnswer,
  GatherBody,
  GatherStatus,
  Problem,
  RetryAnswer,
  RetryBody,
  SteerBody,
  SubmitBody,
  Totals,
  UnitPage,
  UnitResult,
  UnitStory,
  UnitView,
} from './api.ts';

export type Schema = { readonly [keyword: string]: unknown };

type OptionalKey<T> = { [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? K : never }[keyof T];

/** An object with a schema for each field of T; those that may be absent in T are named. */
function object<T extends object>(
  properties: { [K in keyof Required<T>]: Schema },
  ...optional: OptionalKey<T>[]
): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name as OptionalKey<T>));
  return { type: 'object', properties, ...(required.length > 0 && { required }) };
}

/** What a request may have, and nothing beside it. */
function closed(schema: Schema): Schema {
  return { ...schema, additionalProperties: false };
}

/** One of SCHEMAS. */
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const listOf = (items: Schema): Schema => ({ type: 'array', items });
export const text = (description?: string): Schema => ({
  type: 'string',
  ...(description && { description }),
});
const whole = (description?: string): Schema => ({
  type: 'integer',
  minimum: 0,
  ...(description && { description }),
});
const number = (description?: string): Schema => ({ type: 'number', ...(description && { description }) });
const flag = (description?: string): Schema => ({ type: 'boolean', ...(description && { description }) });
const oneOf = (...values: string[]): Schema => ({ type: 'string', enum: values });
const date: Schema = { type: 'string', format: 'date-time' };
const mapOf = (values: Schema): Schema => ({ type: 'object', additionalProperties: values });
const anything = (description: string): Schema => ({ description });

/** A unit in a path. */
export const UNIT_NAME: Schema = { type: 'string', description: 'its number, from 0, or `key:` and its key' };
/** An id or a name. */
export const ID: Schema = { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' };

const fault = object<{ code: string; message: string }>({ code: text(), message: text() });
const units = whole('how many units');

const TOTALS = object<Totals>({
  read: whole('always the sum of all the others'),
  succeeded: units,
  failed: units,
  unknown: whole('an effect may or may not have happened: a person decides'),
  skipped: units,
  cancelled: units,
  missing: whole('had no outcome at the deadline'),
  outstanding: whole('have no outcome yet'),
});

const GATHER = object<GatherStatus>(
  {
    phase: oneOf('scatter', 'work', 'fold'),
    deadlineAt: date,
    items: whole('units in all, once they are known'),
    responses: whole('answers so far; one that declined has answered'),
    late: whole('answers that came too late: counted, never folded'),
    complete: flag('once it is over: whether every unit has answered'),
    replyTo: text(),
  },
  'items',
  'complete',
  'replyTo',
);

/** What the HTTP interface adds to an epic. */
type Shown = EpicStatus & { status?: string; eta?: string; 'responses-received'?: number };

const EPIC = object<Shown>(
  {
    id: ID,
    name: ID,
    work: ID,
    state: oneOf('running', 'scattering', 'folding', 'finished', 'failed', 'cancelled'),
    status: oneOf('running', 'finished', 'failed', 'cancelled'),
    totals: ref('Totals'),
    total: whole('units in the source'),
    totalExact: flag('whether total is known, not estimated'),
    steps: mapOf(object({ done: whole(), failed: whole(), retried: whole() })),
    states: mapOf(whole('outstanding units by the step that they go on at')),
    leased: whole('units at workers now'),
    delayed: whole('units that wait for a long retry'),
    workers: whole('how many offer the work'),
    rate: number('settled units a second'),
    etaMs: number('milliseconds to the end'),
    eta: {
      ...date,
      description: 'when it is over, as far as that is known; its deadline at the latest',
    },
    bottleneck: text('one sentence on what it waits for'),
    faults: mapOf(whole()),
    examples: listOf(object({ record: whole(), code: text(), message: text() })),
    submittedAt: date,
    finishedAt: date,
    reason: text('why it was cancelled, or takes no more answers'),
    paused: text('why it is paused'),
    retryOf: ID,
    gather: ref('Gather'),
    deadlineAt: date,
    replyTo: text('who is told of its end; of a gather it is there'),
    'responses-received': whole('answers of a gather so far'),
    fault,
    links: object<EpicStatus['links']>(
      { self: text(), result: text(), results: text() },
      'result',
      'results',
    ),
  },
  ...(['status', 'eta', 'etaMs', 'examples', 'finishedAt', 'reason', 'paused', 'retryOf', 'gather'] as const),
  ...(['responses-received', 'fault', 'states', 'deadlineAt', 'replyTo'] as const),
);

const UNIT = object<UnitView>(
  {
    unit: whole('its number, from 0'),
    record: whole('its place in the source, from 1'),
    state: oneOf('parked', 'running', 'failed', 'unknown', 'answered'),
    code: text(),
    message: text(),
    step: text(),
    attempt: whole(),
    key: text(),
    dueAt: date,
    data: text('its bytes as text, cut'),
  },
  ...(['step', 'key', 'dueAt', 'data'] as const),
);

const SOURCE: Schema = {
  oneOf: [
    closed(object({ type: oneOf('range'), from: whole(), to: whole('not included') })),
    closed(object({ type: oneOf('units'), units: listOf({}) })),
    closed(
      object<{ type: 'named'; name: string; args?: unknown }>(
        {
          type: oneOf('named'),
          name: ID,
          args: anything('what the source is given; at most 4,096 characters'),
        },
        'args',
      ),
    ),
  ],
};

/** Until when an epic may run, from now. */
export const DEADLINE: Schema = {
  ...text(`from now to the end of intake, such as 10s; at most ${DEADLINE_MS_MAX / 86_400_000}d`),
  pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$',
};
/** A return address. */
export const REPLY_TO: Schema = {
  ...text('a webhook, or a NATS subject gimmework.reply.<id>, that is told once it is over'),
  maxLength: REPLY_TO_CHARS_MAX,
};

const GATHER_BODY = closed(
  object<GatherBody>(
    {
      input: anything('what the scatter, the steps and the fold are given'),
      name: ID,
      deadline: DEADLINE,
      enough: { ...whole('answers that end it early'), minimum: 1 },
      quorum: whole('least answers for a partial result to be a success; not above enough'),
      replyTo: REPLY_TO,
    },
    ...(['name', 'deadline', 'enough', 'quorum', 'replyTo'] as const),
  ),
);

const reason = { ...text(), maxLength: REASON_CHARS_MAX, minLength: 1 };
const STORY_STATES = ['unread', 'ready', 'leased', 'parked', 'running', 'failed', 'unknown', 'succeeded'];

export const SCHEMAS: Record<string, Schema> = {
  Totals: TOTALS,
  Gather: GATHER,
  Epic: EPIC,
  EpicPage: object<EpicPage>({ epics: listOf(ref('Epic')), next: ID }, 'next'),
  SubmitBody: closed(
    object<SubmitBody>(
      {
        ...{ work: ID, name: ID, source: SOURCE, brief: anything('the same for all units') },
        ...{ deadline: DEADLINE, replyTo: REPLY_TO },
      },
      ...(['name', 'brief', 'deadline', 'replyTo'] as const),
    ),
  ),
  GatherBody: GATHER_BODY,
  GatherAnswer: object<GatherAnswer>({
    complete: flag('whether every unit has answered'),
    missing: listOf(whole('flat, half-open ranges of the units that had not: from, to, from, to, …')),
    failed: units,
    value: anything('what the fold returned'),
  }),
  UnitResult: object<UnitResult>({ unit: whole(), answer: anything('what its last step returned') }),
  SteerBody: closed(object<SteerBody>({ paused: flag(), reason }, 'reason')),
  CancelBody: closed(object<{ reason: string }>({ reason })),
  Unit: UNIT,
  UnitPage: object<UnitPage>({ units: listOf(ref('Unit')), next: text() }, 'next'),
  Failures: object<{ failures: FailureGroup[] }>({
    failures: listOf(object<FailureGroup>({ code: text(), count: whole(), example: ref('Unit') }, 'example')),
  }),
  UnitStory: object<UnitStory>(
    {
      unit: whole(),
      record: whole(),
      state: oneOf(...STORY_STATES, 'skipped', 'cancelled', 'missing', 'settled'),
      standing: text('one sentence on how it stands'),
      view: ref('Unit'),
      events: listOf(object({ at: date, what: text() })),
    },
    'view',
  ),
  RetryBody: closed(
    object<RetryBody>(
      {
        states: { ...listOf(oneOf('failed', 'unknown')), minItems: 1 },
        code: { ...text(), maxLength: 500 },
        confirm: ID,
        dryRun: flag(),
      },
      ...(['states', 'code', 'confirm', 'dryRun'] as const),
    ),
  ),
  RetryAnswer: object<RetryAnswer>(
    { count: whole(), leftOut: whole(), rest: whole(), epic: ref('Epic') },
    'rest',
    'epic',
  ),
  Worker: object({
    ...{
      id: text(),
      name: text(),
      works: listOf(ID),
      labels: mapOf(text()),
      slots: whole(),
      version: text(),
    },
    ...{ state: oneOf('ready', 'draining', 'suspect'), held: whole(), lastHeardMs: number() },
  }),
  Master: object({
    ...{ id: text(), term: whole(), store: text(), link: text(), epics: whole() },
    queues: mapOf(object({ depth: number(), max: number(), limit: number() })),
  }),
  Problem: object<Problem & Partial<Pick<EpicStatus, 'fault'>> & { links?: Record<string, string> }>(
    {
      ...{ type: text(), title: text(), status: whole(), detail: text(), code: text(), retryable: flag() },
      fault,
      links: mapOf(text()),
    },
    'fault',
    'links',
  ),
};
