/** The commands about gathers against a fake master: what they ask, print and end with. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { EpicStatus } from '../../../client/index.ts';
import { statusOf } from '../http/fakeMaster.ts';
import { serveFake } from '../http/server.ts';
import { gimme } from './gimme.ts';

async function served(t: TestContext) {
  const fake = await serveFake(t);
  const { api } = fake;
  const end = (epic: EpicStatus, missing: number): void => {
    const totals = { ...statusOf('x').totals, succeeded: 10 - missing, missing, outstanding: 0 };
    api.missing = missing === 0 ? [] : [10 - missing, 10];
    api.change(epic.id, { state: 'finished', totals, finishedAt: '2024-01-01T00:00:01.000Z' });
  };
  return { ...fake, end, run: (...args: string[]) => gimme(args, { GIMMEWORK_MASTER: fake.url }) };
}

test('ask prints the value of a whole result and exits 0', async (t) => {
  const { api, run, end } = await served(t);
  api.value = '{"trips":[1,2]}';
  api.onAsked = (epic) => setImmediate(() => end(epic, 0));
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'input.json'), '{"fleet": 7}');
  const flags = ['--deadline', '10s', '--enough', '5', '--quorum', '2', '--name', 'weekly'];
  const { code, stdout, stderr } = await run(
    'ask',
    'fleet-report',
    '--input',
    `@${join(dir, 'input.json')}`,
    ...flags,
  );
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { trips: [1, 2] });
  assert.match(stderr, /notice: no worker offers `fleet-report` yet/);
  const settings = { name: 'weekly', deadlineMs: 10_000, enough: 5, quorum: 2 };
  assert.deepEqual(api.asked, [{ work: 'fleet-report', input: { fleet: 7 }, ...settings }]);
});

test('ask says what is missing of a partial result and exits 6; as JSON it prints all of it', async (t) => {
  const { api, run, end } = await served(t);
  api.value = '"a text"';
  api.onAsked = (epic) => setImmediate(() => end(epic, 3));
  const partial = await run('ask', 'g', '--input', 'null');
  assert.equal(partial.code, 6, partial.stderr);
  assert.equal(partial.stdout, 'a text\n');
  assert.match(partial.stderr, /^partial: of epic-1 3 did not answer in time, 0 failed$/m);
  const all = await run('ask', 'g', '--input', 'null', '-o', 'json');
  assert.deepEqual(JSON.parse(all.stdout), { complete: false, missing: [7, 10], failed: 0, value: 'a text' });
});

test('ask of one that fails says why, where its answers are, and exits 5', async (t) => {
  const { api, run } = await served(t);
  const fault = { code: 'quorum_missed', message: '1 answered, of at least 2' };
  const gather = { phase: 'fold', deadlineAt: '2024-01-01T00:00:01.000Z', responses: 1, late: 0 } as const;
  api.onAsked = (epic) => setImmediate(() => api.change(epic.id, { state: 'failed', fault, gather }));
  const { code, stdout, stderr } = await run('ask', 'g', '--input', '{}');
  assert.equal(code, 5);
  assert.equal(stdout, '');
  assert.match(stderr, /✗ epic-1 failed: quorum_missed: 1 answered, of at least 2/);
  assert.match(stderr, /^Next: gimme epic results epic-1$/m);
});

test('epic results prints answers as NDJSON or CSV; of no gather it exits 8', async (t) => {
  const { api, run } = await served(t);
  await api.gather({ work: 'g', input: null, name: 'weekly' });
  api.replies = [{ n: 1 }, 'two'];
  const lines = await run('epic', 'results', 'weekly');
  assert.equal(lines.stdout, '{"unit":0,"answer":{"n":1}}\n{"unit":1,"answer":"two"}\n', lines.stderr);
  const csv = await run('epic', 'results', 'weekly', '--format', 'csv');
  assert.equal(csv.stdout, 'unit,answer\r\n0,"{""n"":1}"\r\n1,"""two"""\r\n');
  api.add({ id: 'plain' });
  const none = await run('epic', 'results', 'plain');
  assert.deepEqual([none.code, none.stdout], [8, '']);
  assert.match(none.stderr, /^gimme: epic plain is no gather[^\n]*\n$/);
});

test('get shows how a gather stands, and openapi prints the document without a master', async (t) => {
  const { api, run } = await served(t);
  await api.gather({ work: 'g', input: null, name: 'weekly' });
  const shown = await run('epic', 'get', 'weekly');
  assert.match(shown.stdout, /^… weekly is scattering$/m);
  assert.match(shown.stdout, /takes answers until 2024-01-01T00:02:00.000Z; 0 so far, 0 too late/);
  const printed = await gimme(['openapi'], { GIMMEWORK_MASTER: 'http://127.0.0.1:9' });
  assert.equal(printed.code, 0, printed.stderr);
  assert.equal(JSON.parse(printed.stdout).openapi, '3.1.1');
});
