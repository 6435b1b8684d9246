/** The OpenAPI document: it is valid, every operation in it is called, and what is answered is what it says. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { WebSocket } from 'ws';
import { ERRORS } from '../../../shared/core/errors.ts';
import type { Schema } from '../../../shared/protocol/httpSchemas.ts';
import { openapiOf } from '../../../shared/protocol/openapi.ts';
import { OPERATIONS, type Operation } from '../../../shared/protocol/operations.ts';
import { ended, type FakeMaster, keptUnit, statusOf, worker } from './fakeMaster.ts';
import { serveFake } from './server.ts';

type Media = Record<string, { schema: Schema }>;
type Described = { content?: Media; headers?: Record<string, unknown> };
type Call = { responses: Record<string, Described>; requestBody?: { content: Media } };
type Document = {
  paths: Record<string, Record<string, Call>>;
  components: { schemas: Record<string, Schema> };
};

const DOCUMENT = openapiOf('1.2.3') as Document;

/** The schemas with every object closed: an answer must have nothing that is not told of. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const all = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  return 'properties' in all ? { additionalProperties: false, ...all } : all;
}

function checkerOf(document: unknown): (schema: Schema, value: unknown) => string {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ ...(document as object), $id: 'http://document/' });
  const compiled = new Map<Schema, ReturnType<typeof ajv.compile>>();
  return (schema, value) => {
    const local = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"http://document/#/')) as Schema;
    const check = compiled.get(schema) ?? ajv.compile(local);
    compiled.set(schema, check);
    return check(value) ? '' : ajv.errorsText(check.errors);
  };
}

test('the document is valid OpenAPI 3.1, and the same that a master serves', async (t) => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(DOCUMENT) as Record<string, unknown>);
  assert.ok(valid, JSON.stringify(errors));
  assert.equal(validator.version, '3.1');
  const broken = { ...structuredClone(DOCUMENT), info: {} };
  assert.equal((await new Validator().validate(broken)).valid, false, 'a broken one is told');
  const { app } = await serveFake(t);
  assert.deepEqual((await app.inject('/v1/openapi.json')).json(), JSON.parse(JSON.stringify(DOCUMENT)));
});

test('every schema that is referred to is there, and each is used', () => {
  const text = JSON.stringify(DOCUMENT);
  const used = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]));
  assert.deepEqual([...used].sort(), Object.keys(DOCUMENT.components.schemas).sort());
});

const JSON_BODY = { 'content-type': 'application/json' };
const post = (url: string, payload: unknown, headers = {}): InjectOptions => ({
  ...{ method: 'POST', url, headers: { ...JSON_BODY, ...headers }, payload: JSON.stringify(payload) },
});
const get = (url: string, headers = {}): InjectOptions => ({ method: 'GET', url, headers });

/** By operation: what is sent, in this order; each with the status that it is to have. */
const CALLS: Record<string, [number, InjectOptions][]> = {
  submitEpic: [
    [202, post('/v1/epics', { work: 'w', source: { type: 'range', from: 0, to: 3 }, name: 'n', brief: 1 })],
    [202, post('/v1/epics', { work: 'w', source: { type: 'named', name: 'crm', args: { table: 't' } } })],
    [202, { ...post('/v1/epics?work=w', 0, { 'content-type': 'text/csv' }), payload: 'a\n1\n' }],
    [400, post('/v1/epics', { work: 'w' })],
  ],
  listEpics: [[200, get('/v1/epics?limit=1&state=running')]],
  getEpic: [
    [200, get('/v1/epics/all')],
    [304, get('/v1/epics/all', { 'if-none-match': '*' })],
    [303, get('/v1/epics/done')],
    [404, get('/v1/epics/nobody')],
  ],
  steerEpic: [[200, { ...post('/v1/epics/all', { paused: true, reason: 'x' }), method: 'PATCH' }]],
  cancelEpic: [
    [200, post('/v1/epics/over/cancel', { reason: 'x' })],
    [412, post('/v1/epics/over/cancel', { reason: 'x' }, { 'if-match': '"x"' })],
  ],
  getResult: [
    [200, get('/v1/epics/done/result')],
    [409, get('/v1/epics/failed/result')],
  ],
  listResults: [[200, get('/v1/epics/done/results')]],
  listFailures: [[200, get('/v1/epics/all/failures')]],
  listUnits: [[200, get('/v1/epics/all/units?limit=1')]],
  getUnit: [[200, get('/v1/epics/all/units/2')]],
  retryUnits: [
    [200, post('/v1/epics/all/retry', { dryRun: true })],
    [202, post('/v1/epics/all/retry', {})],
  ],
  ask: [
    [202, post('/v1/gathers/g', { input: 1, deadline: '10s', enough: 3, quorum: 1, name: 'n' })],
    [200, post('/v1/gathers/g', { input: 1 }, { prefer: 'wait=5' })],
    [400, post('/v1/gathers/g', {})],
  ],
  putBrief: [[201, post('/v1/briefs', { a: 1 })]],
  listWorkers: [[200, get('/v1/workers')]],
  drainWorker: [[202, { method: 'POST', url: '/v1/workers/w1/drain' }]],
  listMasters: [[200, get('/v1/masters')]],
  getOpenapi: [[200, get('/v1/openapi.json')]],
  health: [[200, get('/healthz')]],
  ready: [[200, get('/readyz')]],
  metrics: [[200, get('/metrics')]],
};

/** Epics in all states, with every field that there is. */
function fill(api: FakeMaster): void {
  const gather = { phase: 'fold', deadlineAt: '2024-01-01T00:00:01.000Z', responses: 3, late: 1 } as const;
  const asked = { gather: { ...gather, items: 4, complete: true, replyTo: 'http://a.example' } };
  const fault = { code: 'quorum_missed', message: 'too few' };
  const full: Parameters<FakeMaster['add']>[0] = {
    ...{ id: 'all', work: 'w', etaMs: 12.5, reason: 'r', paused: 'p', retryOf: 'done', rate: 1.5 },
    ...{ faults: { bad: 1 }, examples: [{ record: 1, code: 'bad', message: 'm' }], states: { a: 1 } },
    steps: { a: { done: 1, failed: 0, retried: 2 } },
  };
  api.add({ id: 'done', ...ended(1), ...asked });
  api.add({ id: 'failed', ...ended(1), ...asked, state: 'failed', fault });
  api.add({ id: 'over', ...ended(0) });
  api.add(full);
  api.kept = [keptUnit(2, { key: 'k', dueAt: '2024-01-01T00:00:00.000Z', data: 'd' }), keptUnit(3)];
  api.offered = [worker('w1', 'mail-1', { labels: { area: 'north' } })];
  api.queues = { spool: { depth: 1, max: 2, limit: 3 } };
  api.replies = [{ n: 1 }];
  api.onAsked = (epic) =>
    setImmediate(() => api.change(epic.id, { state: 'finished', totals: statusOf('x').totals }));
}

/** What is wrong with an answer by what the document says of it. */
function faultOf(
  { method, path }: Operation,
  answer: LightMyRequestResponse,
  check: ReturnType<typeof checkerOf>,
): string {
  const call = DOCUMENT.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
  const described = call?.responses[answer.statusCode];
  if (!described) return `${answer.statusCode} is not told of`;
  for (const header of Object.keys(described.headers ?? {})) {
    if (header !== 'link' && answer.headers[header] === undefined) return `it has no header ${header}`;
  }
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] ?? '';
  if (!described.content) return answer.body === '' ? '' : 'it has a body';
  const media = described.content[type];
  if (!media) return `type ${type} is not told of`;
  if (type.endsWith('ndjson')) return check(media.schema, JSON.parse(answer.body.split('\n')[0] ?? ''));
  return type.endsWith('json') ? check(media.schema, answer.json()) : '';
}

async function watch(t: TestContext, url: string): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/events?epic=all`);
  t.after(() => socket.terminate());
  const [message] = (await once(socket, 'message')) as [Buffer];
  assert.equal(JSON.parse(String(message)).type, 'snapshot');
}

test('every operation is called, and every answer is as the document says', async (t) => {
  const metrics = { text: async () => '# none', contentType: 'text/plain', answered: () => {} };
  const { app, api, url } = await serveFake(t, { metrics });
  fill(api);
  const check = checkerOf(closed(DOCUMENT));
  const reached = new Set<string>();
  for (const operation of OPERATIONS) {
    if (operation.id === 'watch') {
      await watch(t, url);
      reached.add('watch 101');
      continue;
    }
    for (const [status, request] of CALLS[operation.id] ?? []) {
      const answer = await app.inject(request);
      const where = `${operation.id}: ${answer.body.slice(0, 400)}`;
      assert.equal(answer.statusCode, status, where);
      assert.equal(faultOf(operation, answer, check), '', where);
      reached.add(`${operation.id} ${status}`);
    }
  }
  api.reason = 'the link is down';
  const ready = OPERATIONS.find(({ id }) => id === 'ready') as Operation;
  assert.equal(faultOf(ready, await app.inject('/readyz'), check), '');
  reached.add('ready 503');
  const told = OPERATIONS.flatMap(({ id, answers }) =>
    Object.keys(answers).map((status) => `${id} ${status}`),
  );
  assert.deepEqual(
    told.filter((one) => !reached.has(one)),
    [],
    'answers that were not seen',
  );
});

test('an answer with a field that is not told of is found', () => {
  const check = checkerOf(closed(DOCUMENT));
  const epic = { $ref: '#/components/schemas/Epic' };
  assert.equal(check(epic, statusOf('e')), '');
  assert.match(check(epic, { ...statusOf('e'), colour: 'red' }), /additional properties/);
  assert.match(check(epic, { ...statusOf('e'), totals: {} }), /required property/);
});

/** Bodies of a gather, and whether they are right. */
const BODIES: [boolean, object][] = [
  [true, { input: null }],
  [true, { input: [], deadline: '1.5m', enough: 1, quorum: 0, name: 'n' }],
  [false, {}],
  [false, { input: 1, colour: 'red' }],
  [false, { input: 1, deadline: '10' }],
  [false, { input: 1, deadline: 10 }],
  [false, { input: 1, deadline: '-5s' }],
  [false, { input: 1, enough: 0 }],
  [false, { input: 1, enough: 1.5 }],
  [false, { input: 1, quorum: -1 }],
  [false, { input: 1, name: 'a b' }],
  [false, { input: 1, replyTo: 5 }],
];
for (const [right, body] of BODIES) {
  test(`the schema and the server agree on ${JSON.stringify(body)}`, async (t) => {
    const { app } = await serveFake(t);
    const { statusCode } = await app.inject(post('/v1/gathers/g', body));
    assert.equal(statusCode === 202, right, `${statusCode}`);
    const schema = DOCUMENT.components.schemas['GatherBody'] as Schema;
    assert.equal(checkerOf(DOCUMENT)(schema, body) === '', right);
  });
}

test('codes stand with their status', () => {
  for (const { method, path, codes } of OPERATIONS) {
    const call = DOCUMENT.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
    for (const code of codes) assert.ok(call?.responses[ERRORS[code].status], `${method} ${path}: ${code}`);
  }
});
