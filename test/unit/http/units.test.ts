/** The routes about single units and about pausing: pages, stories, retries; every bad input is one clear problem. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { buildHttp } from '../../../master/io/http.ts';
import { keptUnit } from './fakeMaster.ts';
import { fakeParts } from './server.ts';

function build(t: TestContext) {
  const parts = fakeParts();
  const app = buildHttp(parts);
  t.after(() => app.close());
  parts.api.add({ name: 'weekly', faults: { smtp_rejected: 3 } });
  parts.api.kept = [keptUnit(2, { key: 'a+b@example.com' }), keptUnit(5), keptUnit(9, { state: 'unknown' })];
  return { ...parts, app };
}

const at = (url: string): InjectOptions => ({ method: 'GET', url });
const send = (method: 'POST' | 'PATCH', url: string, payload: unknown): InjectOptions => ({
  method,
  url,
  headers: { 'content-type': 'application/json' },
  payload: JSON.stringify(payload),
});

test('units come by pages, each linked to the next with the same filter', async (t) => {
  const { app } = build(t);
  const first = await app.inject(at('/v1/epics/weekly/units?code=smtp_rejected&limit=2'));
  assert.deepEqual(
    first.json().units.map(({ unit }: { unit: number }) => unit),
    [2, 5],
  );
  const link = /^<(.*)>; rel="next"$/.exec(String(first.headers['link']))?.[1] ?? '';
  assert.equal(link, '/v1/epics/epic-1/units?limit=2&cursor=5&code=smtp_rejected');
  const rest = await app.inject(at(link));
  assert.deepEqual(rest.json(), { units: [keptUnit(9, { state: 'unknown' })] });
  assert.equal(rest.headers['link'], undefined);
  const unknown = await app.inject(at('/v1/epics/weekly/units?state=unknown'));
  assert.equal(unknown.json().units.length, 1);
});

test('failures by code, and the story of a unit by number and by a key with signs in it', async (t) => {
  const { app } = build(t);
  const failures = await app.inject(at('/v1/epics/epic-1/failures'));
  const [group] = failures.json().failures;
  assert.deepEqual([group.code, group.count, group.example.unit], ['smtp_rejected', 3, 2]);
  const byNumber = await app.inject(at('/v1/epics/weekly/units/5'));
  assert.equal(byNumber.json().record, 6);
  const byKey = await app.inject(at(`/v1/epics/weekly/units/${encodeURIComponent('key:a+b@example.com')}`));
  assert.equal(byKey.json().unit, 2, byKey.body);
  const nobody = await app.inject(at(`/v1/epics/weekly/units/key:${encodeURIComponent('é'.repeat(256))}`));
  assert.equal(nobody.statusCode, 404);
  assert.match(nobody.json().detail, /there is no unit/);
});

test('a retry answers 202 with the new epic; a dry run only counts', async (t) => {
  const { app, api } = build(t);
  const dry = await app.inject(send('POST', '/v1/epics/weekly/retry', { dryRun: true }));
  assert.deepEqual([dry.statusCode, dry.json()], [200, { count: 2, leftOut: 1 }]);
  const made = await app.inject({ method: 'POST', url: '/v1/epics/weekly/retry' });
  assert.equal(made.statusCode, 202, made.body);
  assert.equal(made.headers.location, '/v1/epics/epic-2');
  assert.deepEqual([made.json().count, made.json().epic.retryOf], [2, 'epic-1']);
  const body = { states: ['unknown', 'unknown'], code: 'smtp_rejected', confirm: 'weekly' };
  assert.equal((await app.inject(send('POST', '/v1/epics/epic-1/retry', body))).statusCode, 202);
  assert.deepEqual(api.retried.at(-1), { id: 'epic-1', body: { ...body, states: ['unknown'] } });
});

test('pause and resume by PATCH', async (t) => {
  const { app } = build(t);
  const url = '/v1/epics/weekly';
  const paused = await app.inject(send('PATCH', url, { paused: true, reason: 'wrong footer' }));
  assert.deepEqual([paused.statusCode, paused.json().paused], [200, 'wrong footer']);
  const plain = await app.inject(send('PATCH', url, { paused: true }));
  assert.equal(plain.json().paused, 'no reason was given');
  const resumed = await app.inject(send('PATCH', url, { paused: false }));
  assert.deepEqual([resumed.statusCode, resumed.json().paused], [200, undefined]);
});

const epic = '/v1/epics/weekly';
const REFUSED: [name: string, request: InjectOptions, status: number, detail: RegExp][] = [
  ['units in no such state', at(`${epic}/units?state=lost`), 400, /state must be one of parked, running/],
  ['too many units', at(`${epic}/units?limit=501`), 400, /limit must be a whole number from 1 to 500/],
  ['a cursor that is none', at(`${epic}/units?cursor=abc`), 400, /cursor must be the `next` of the page/],
  ['two codes', at(`${epic}/units?code=a&code=b`), 400, /code must be a text, given once/],
  ['an empty key', at(`${epic}/units?key=`), 400, /key must be a text/],
  ['a long key', at(`${epic}/units?key=${'k'.repeat(257)}`), 400, /key is over 256 characters/],
  ['an unknown filter', at(`${epic}/units?step=send`), 400, /unknown field "step"; known are state, code/],
  ['units of nobody', at('/v1/epics/nobody/units'), 404, /no epic has the id or name nobody/],
  ['failures with a filter', at(`${epic}/failures?code=a`), 400, /unknown field "code"/],
  ['a unit by neither number nor key', at(`${epic}/units/first`), 400, /by its number, from 0, or by `key:`/],
  ['a unit below 0', at(`${epic}/units/-1`), 400, /by its number, from 0/],
  ['a number too large', at(`${epic}/units/9999999999999999`), 400, /by its number, from 0/],
  ['no key', at(`${epic}/units/key:`), 400, /key must be a text/],
  [
    'a retry of cancelled units',
    send('POST', `${epic}/retry`, { states: ['cancelled'] }),
    400,
    /states must be/,
  ],
  [
    'a retry of no state',
    send('POST', `${epic}/retry`, { states: [] }),
    400,
    /states must be a list of failed/,
  ],
  ['a retry of a number', send('POST', `${epic}/retry`, { code: 7 }), 400, /code must be a text/],
  [
    'a dry run in words',
    send('POST', `${epic}/retry`, { dryRun: 'yes' }),
    400,
    /dryRun must be true or false/,
  ],
  ['a retry of more', send('POST', `${epic}/retry`, { units: [1] }), 400, /unknown field "units"/],
  ['a retry as a list', send('POST', `${epic}/retry`, []), 400, /the body must be an object/],
  ['no change', send('PATCH', epic, {}), 400, /says no change: send paused/],
  ['a pause in words', send('PATCH', epic, { paused: 'yes' }), 400, /paused must be true or false/],
  [
    'a reason to go on',
    send('PATCH', epic, { paused: false, reason: 'x' }),
    400,
    /reason goes with "paused"/,
  ],
  ['an empty reason', send('PATCH', epic, { paused: true, reason: ' ' }), 400, /reason must be a text/],
  [
    'a long reason',
    send('PATCH', epic, { paused: true, reason: 'x'.repeat(501) }),
    400,
    /over 500 characters/,
  ],
  ['a rate', send('PATCH', epic, { rate: '5/s' }), 400, /field "rate" is not supported yet/],
  [
    'a pause of nobody',
    send('PATCH', '/v1/epics/nobody', { paused: true }),
    404,
    /no epic has the id or name/,
  ],
];

for (const [name, request, status, detail] of REFUSED) {
  test(`refused in one line: ${name}`, async (t) => {
    const { app, api } = build(t);
    const answer = await app.inject(request);
    assert.equal(answer.statusCode, status, answer.body);
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    assert.match(answer.json().detail, detail);
    assert.doesNotMatch(answer.json().detail, /\n/);
    assert.deepEqual([api.retried, api.epic('weekly')?.paused], [[], undefined]);
  });
}

test('what changes an epic refuses a name that several have', async (t) => {
  const { app, api } = build(t);
  api.add({ name: 'weekly' });
  for (const request of [send('PATCH', epic, { paused: true }), send('POST', `${epic}/retry`, {})]) {
    const answer = await app.inject(request);
    assert.deepEqual([answer.statusCode, answer.json().code], [409, 'ambiguous_name']);
  }
  assert.equal((await app.inject(at(`${epic}/failures`))).statusCode, 200, 'looking is allowed');
});
