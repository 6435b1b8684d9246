/** Submits of what workers read: what the master is told, and what is refused. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { LightMyRequestResponse } from 'fastify';
import { buildHttp } from '../../../master/io/http.ts';
import { fakeParts } from './server.ts';

function build(t: TestContext) {
  const parts = fakeParts();
  const app = buildHttp(parts);
  t.after(() => app.close());
  const submit = (source: object): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'POST', url: '/v1/epics', payload: { work: 'greet', source } });
  return { ...parts, submit };
}

test('a source of workers is submitted by its name, with what it is given as JSON text', async (t) => {
  const { submit, api, spool } = build(t);
  const named = { type: 'named', name: 'crm' };
  for (const source of [{ ...named, args: { table: 'contacts' } }, named])
    assert.equal((await submit(source)).statusCode, 202);
  const [first, second] = api.submitted.map((submitted) => submitted.source);
  assert.ok(first?.type === 'named' && second?.type === 'named');
  assert.deepEqual([first.name, first.args, second.args], ['crm', '{"table":"contacts"}', 'null']);
  assert.notEqual(first.id, second.id);
  assert.equal(spool.kept.size, 0, 'nothing is read yet');
});

const WRONG: [what: string, source: object, why: RegExp][] = [
  ['no name', { type: 'named' }, /source\.name/],
  ['a path for a name', { type: 'named', name: 'a/b' }, /source\.name/],
  ['rows', { type: 'named', name: 'crm', rows: 1 }, /unknown field "rows"/],
  ['large args', { type: 'named', name: 'crm', args: 'x'.repeat(4_095) }, /source\.args is over 4096/],
];

for (const [what, source, why] of WRONG) {
  test(`a source with ${what} is refused`, async (t) => {
    const { submit, api } = build(t);
    const answer = await submit(source);
    assert.deepEqual([answer.statusCode, answer.json().code], [400, 'bad_request']);
    assert.match(answer.json().detail, why);
    assert.equal(api.submitted.length, 0);
  });
}
