/** What is wrong with a request about gathers is told in one line, by a stable code, and makes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { ask, build, get } from './asking.ts';

const deep = `{"input":${'['.repeat(70)}${']'.repeat(70)}}`;
const raw = (payload: string): InjectOptions => ({ ...ask(null), payload });
const REFUSED: [string, InjectOptions, number, string, RegExp][] = [
  ['no body', raw(''), 400, 'bad_request', /the body is empty/],
  ['a list', ask([]), 400, 'bad_request', /the body must be an object/],
  ['no input', ask({ deadline: '1s' }), 400, 'bad_request', /field input is missing/],
  ['unknown field', ask({ input: 1, timeout: '1s' }), 400, 'bad_request', /unknown field "timeout"/],
  ['__proto__', raw('{"input":1,"__proto__":{"enough":1}}'), 400, 'bad_request', /__proto__/],
  ['__proto__ within', raw('{"input":{"__proto__":1}}'), 400, 'bad_request', /__proto__/],
  ['constructor', raw('{"input":{"constructor":{"prototype":1}}}'), 400, 'bad_request', /constructor/],
  ['depth bomb', raw(deep), 400, 'bad_request', /nested over 64 levels/],
  ['no JSON', raw('{"input":'), 400, 'bad_request', /not JSON/],
  [
    'work no id',
    { ...ask({ input: 1 }), url: '/v1/gathers/a%20b' },
    400,
    'bad_request',
    /field name must be/,
  ],
  [
    'work of every object',
    { ...ask({ input: 1 }), url: '/v1/gathers/constructor' },
    400,
    'bad_request',
    /name/,
  ],
  ['name no id', ask({ input: 1, name: 'a/b' }), 400, 'bad_request', /field name must be/],
  ['deadline a number', ask({ input: 1, deadline: 10 }), 400, 'bad_request', /field deadline must be/],
  ['deadline without unit', ask({ input: 1, deadline: '10' }), 400, 'bad_request', /with its unit/],
  [
    'deadline no duration',
    ask({ input: 1, deadline: 'soons' }),
    400,
    'bad_request',
    /field deadline must be/,
  ],
  ['deadline in the past', ask({ input: 1, deadline: '-5s' }), 422, 'bad_deadline', /is in the past/],
  ['deadline zero', ask({ input: 1, deadline: '0s' }), 422, 'bad_deadline', /deadline is zero/],
  ['deadline too long', ask({ input: 1, deadline: '31d' }), 400, 'bad_request', /too long: at most 30d/],
  [
    'deadline endless',
    ask({ input: 1, deadline: `${'9'.repeat(400)}d` }),
    400,
    'bad_request',
    /deadline must be/,
  ],
  ['enough zero', ask({ input: 1, enough: 0 }), 400, 'bad_request', /field enough must be .* from 1 on/],
  ['enough a text', ask({ input: 1, enough: '3' }), 400, 'bad_request', /field enough/],
  ['quorum of halves', ask({ input: 1, quorum: 1.5 }), 400, 'bad_request', /field quorum/],
  ['quorum below zero', ask({ input: 1, quorum: -1 }), 400, 'bad_request', /field quorum/],
  [
    'quorum above enough',
    ask({ input: 1, quorum: 3, enough: 2 }),
    400,
    'bad_request',
    /must not be above enough/,
  ],
  ['replyTo a number', ask({ input: 1, replyTo: 5 }), 400, 'bad_request', /field replyTo must be a text/],
  [
    'replyTo too long',
    ask({ input: 1, replyTo: `http://a/${'x'.repeat(3_000)}` }),
    400,
    'bad_request',
    /2048/,
  ],
  [
    'a private webhook address',
    ask({ input: 1, replyTo: 'http://169.254.169.254/latest' }),
    422,
    'bad_reply_to',
    /private webhook address/,
  ],
  ['loopback in disguise', ask({ input: 1, replyTo: 'http://0x7f.1/' }), 422, 'bad_reply_to', /private/],
  ['a subject where none is', ask({ input: 1, replyTo: 'gimmework.reply.a' }), 422, 'bad_reply_to', /NATS/],
  [
    'replyTo of no kind',
    ask({ input: 1, replyTo: 'mailto:a@b.c' }),
    422,
    'bad_reply_to',
    /must be a webhook/,
  ],
  ['wait of no number', ask({ input: 1 }, { prefer: 'wait=soon' }), 400, 'bad_request', /whole seconds/],
  ['wait of nothing', ask({ input: 1 }, { prefer: 'wait' }), 400, 'bad_request', /whole seconds/],
  ['wait below zero', ask({ input: 1 }, { prefer: 'wait=-1' }), 400, 'bad_request', /whole seconds/],
  [
    'key empty',
    ask({ input: 1 }, { 'idempotency-key': '""' }),
    400,
    'bad_request',
    /idempotency-key must be/,
  ],
  [
    'key with blanks',
    ask({ input: 1 }, { 'idempotency-key': 'a b' }),
    400,
    'bad_request',
    /idempotency-key must/,
  ],
  ['key too long', ask({ input: 1 }, { 'idempotency-key': 'k'.repeat(256) }), 400, 'bad_request', /255/],
  [
    'query',
    { ...ask({ input: 1 }), url: '/v1/gathers/g?wait=1' },
    400,
    'bad_request',
    /unknown field "wait"/,
  ],
  ['other type', ask({ input: 1 }, { 'content-type': 'text/plain' }), 400, 'bad_request', /Content-Type/],
  [
    'CSV',
    { ...ask(null, { 'content-type': 'text/csv' }), payload: 'a\n1\n' },
    400,
    'bad_request',
    /Content-Type/,
  ],
  ['if-match on asking', ask({ input: 1 }, { 'if-match': '*' }), 400, 'bad_request', /if-match is not taken/],
  [
    'prefer on a submit',
    { ...get('/v1/epics'), headers: { prefer: 'wait=1' } },
    400,
    'bad_request',
    /prefer is not/,
  ],
  ['result of nobody', get('/v1/epics/nobody/result'), 404, 'not_found', /nobody/],
  ['results of nobody', get('/v1/epics/nobody/results'), 404, 'not_found', /nobody/],
  ['results by a path', get('/v1/epics/..%2Fx/results'), 404, 'not_found', /no epic/],
  ['results in XML', get('/v1/epics/nobody/results?format=xml'), 400, 'bad_request', /field format/],
  ['result with a query', get('/v1/epics/nobody/result?x=1'), 400, 'bad_request', /unknown field "x"/],
  ['a gather asked by GET', get('/v1/gathers/fleet-report'), 404, 'not_found', /no call GET/],
  ['cursor of units', get('/v1/epics/here/units?cursor=-1'), 400, 'bad_request', /field cursor/],
  ['cursor of epics', get('/v1/epics?cursor=a%2Fb'), 400, 'bad_request', /field cursor/],
];

for (const [name, request, status, code, detail] of REFUSED) {
  test(`refused in one line with a stable code: ${name}`, async (t) => {
    const { app, api } = build(t);
    api.add({ id: 'here' });
    const answer = await app.inject(request);
    assert.equal(answer.statusCode, status, answer.body);
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    const problem = answer.json();
    assert.deepEqual([problem.code, problem.status], [code, status]);
    assert.match(problem.detail, detail);
    assert.doesNotMatch(problem.detail, /\n|\bat .*\.[jt]s:/);
    assert.equal(api.asked.length, 0);
  });
}

test('a return address that may be told is kept with the gather', async (t) => {
  const { app, api } = build(t);
  for (const replyTo of ['https://a.example/hook', 'http://127.0.0.1:8080/hook']) {
    const asked = await app.inject(ask({ input: 1, replyTo }));
    assert.equal(asked.statusCode, 202, asked.body);
    assert.equal(asked.json().gather.replyTo, replyTo);
  }
  assert.equal(api.asked[0]?.replyTo, 'https://a.example/hook');
});

test('an oversized body is refused with its own code, and leaves nothing', async (t) => {
  const { app, api } = build(t);
  const answer = await app.inject(ask({ input: 'x'.repeat(27 * 1024 * 1024) }));
  assert.deepEqual([answer.statusCode, answer.json().code], [413, 'too_large']);
  assert.equal(api.asked.length, 0);
});
