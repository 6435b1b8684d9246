/** docs/HTTP.md against the code: every call is on the page and no other, its codes exist, its examples are taken. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { buildHttp } from '../../../master/io/http.ts';
import { ERRORS, type ErrorCode } from '../../../shared/core/errors.ts';
import { SCHEMAS } from '../../../shared/protocol/httpSchemas.ts';
import { OPERATIONS } from '../../../shared/protocol/operations.ts';
import { keptUnit, worker } from './fakeMaster.ts';
import { fakeParts } from './server.ts';

const page = readFileSync(new URL('../../../docs/HTTP.md', import.meta.url), 'utf8');

function build(t: TestContext) {
  const parts = fakeParts();
  const metrics = { text: async () => '# none', contentType: 'text/plain', answered: () => {} };
  const app = buildHttp({ ...parts, metrics });
  t.after(() => app.close());
  return { ...parts, app };
}

/** Calls in a tree as Fastify prints it: four signs of indentation a level, `/v1/epics (GET, HEAD, POST)`. */
function callsIn(tree: string): string[] {
  const above: string[] = [];
  return tree.split('\n').flatMap((line) => {
    const [, indent = '', path = '', methods = ''] = /^([│├└─ ]*)(\S+)(?: \((.*)\))?$/.exec(line) ?? [];
    const level = indent.length / 4 - 1;
    above[level] = path;
    const full = above.slice(0, level + 1).join('');
    const served = methods.split(', ').filter((method) => method !== '' && method !== 'HEAD');
    return served.map((method) => `${method} ${full}`);
  });
}

test('every call that is served is on the page, with a part of its own', async (t) => {
  const { app } = build(t);
  await app.ready();
  const served = [...callsIn(app.printRoutes({ commonPrefix: false })), 'GET /v1/events'].sort();
  assert.ok(
    served.includes('POST /v1/epics/:id/cancel') && served.includes('POST /v1/briefs'),
    served.join(),
  );
  const listed = [...page.matchAll(/^\| `([A-Z]+ \/\S+)` \|/gm)].map((match) => match[1]);
  const told = [...page.matchAll(/^## ([A-Z]+ \/\S+)$/gm)].map((match) => match[1]);
  assert.deepEqual(listed.toSorted(), served);
  assert.deepEqual(told, listed, 'in the order of the list');
});

test('every code on the page is one of the table, with its status', () => {
  const rows = [...page.matchAll(/^\| (\d{3}) \| (.+?) \|/gm)];
  assert.ok(rows.length > 5);
  for (const [, status, codes = ''] of rows) {
    for (const code of codes.replaceAll('`', '').split(', '))
      assert.equal(ERRORS[code as ErrorCode]?.status, Number(status), code);
  }
});

test('the table of calls is the list of the page', () => {
  const listed = [...page.matchAll(/^\| `([A-Z]+ \/\S+)` \| (.*?) \|$/gm)].map(([, call, what]) => [
    call,
    what,
  ]);
  const table = OPERATIONS.map(({ method, path, what }) => [`${method} ${path}`, what]);
  assert.deepEqual(table.toSorted(), listed.toSorted());
});

test('every code that the table gives a call, and its answers, are in its part of the page', () => {
  for (const { method, path, codes, answers } of OPERATIONS) {
    const from = page.indexOf(`\n## ${method} ${path}\n`);
    const part = page.slice(from, page.indexOf('\n## ', from + 5) + 1 || undefined);
    for (const code of codes.filter((one) => one !== 'not_found')) {
      if (code === 'precondition_failed' || path === '/v1/events') continue; // Told once, under GET of an epic.
      assert.ok(part.includes(`\`${code}\``), `${method} ${path}: ${code}`);
    }
    for (const status of Object.keys(answers).filter((one) => !['200', '101'].includes(one)))
      assert.ok(part.includes(status), `${method} ${path}: ${status}`);
  }
});

test('every field of an epic is on the page', () => {
  const fields = Object.keys(SCHEMAS['Epic']?.['properties'] ?? {});
  assert.ok(fields.length > 25);
  const table = page.slice(page.indexOf('\n## An epic'), page.indexOf('\n## POST /v1/epics'));
  for (const field of fields) assert.match(table, new RegExp(`^\\| [^|]*\`${field}\`[^|]* \\|`, 'm'), field);
});

/** What a `curl` line sends; only what the page uses is known. */
function requestOf(line: string) {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
  const headers: Record<string, string> = {};
  let [method, url, payload] = ['GET', '', undefined as string | undefined];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '-X') method = words.shift() ?? '';
    else if (word === '-H') {
      const [name = '', value = ''] = (words.shift() ?? '').split(': ');
      headers[name] = value;
    } else if (word === '-d' || word === '--data-binary') {
      const data = words.shift() ?? '';
      payload = data.startsWith('@') ? (FILES[data] ?? assert.fail(data)) : data;
      if (method === 'GET') method = 'POST';
    } else if (word.startsWith('http://127.0.0.1:7171/')) url = word.slice('http://127.0.0.1:7171'.length);
    else assert.fail(`the test does not know ${word} of: ${line}`);
  }
  return {
    method: method as 'GET' | 'POST' | 'PATCH',
    url,
    headers,
    ...(payload === undefined ? {} : { payload }),
  };
}

const FILES: Record<string, string> = { '@people.csv': 'name\nAda\n', '@brief.json': '{"greeting":"Hello"}' };

test('every example is taken as it stands', async (t) => {
  const { app, api } = build(t);
  api.offered = [worker('w1', 'mail-1')];
  api.kept = [keptUnit(3, { key: 'ada@example.com' })];
  const examples = [...page.matchAll(/```sh\ncurl ([\s\S]*?)\n```/g)].map((match) =>
    (match[1] ?? '').replace('\\\n', ''),
  );
  assert.equal(
    examples.length,
    OPERATIONS.length,
    'one for each call but the WebSocket, and two for a submit',
  );
  const gather = await api.gather({ work: 'fleet-report', input: 1, id: 'fleet-7' });
  api.change(gather.id, { state: 'finished' });
  api.onAsked = (epic) => setImmediate(() => api.change(epic.id, { state: 'finished' }));
  for (const example of examples) {
    const answer = await app.inject(requestOf(example));
    assert.ok(answer.statusCode < 300, `${example}\n${answer.body}`);
  }
  assert.deepEqual(
    api.submitted.map(({ name }) => name),
    ['weekly', 'people'],
  );
});
