/** The epic commands against a fake master: what goes where, and with which exit code they end. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ended } from '../http/fakeMaster.ts';
import { serveFake } from '../http/server.ts';
import { gimme, start } from './gimme.ts';

async function served(t: TestContext) {
  const fake = await serveFake(t);
  const env = { GIMMEWORK_MASTER: fake.url };
  return {
    ...fake,
    run: (...args: string[]) => gimme(['epic', ...args], env),
    begin: (...args: string[]) => start(['epic', ...args], env),
  };
}

const ARITHMETIC =
  'read 10 = succeeded 8 + failed 2 + unknown 0 + skipped 0 + cancelled 0 + missing 0 + outstanding 0';

test('submit sends brief with its files, tells the id on stdout and the rest on stderr', async (t) => {
  const { run, api, briefs, spool } = await served(t);
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'r.csv'), 'email\na@b.example\n');
  await writeFile(join(dir, 'body.html'), '<p>Ünï {{ email }}</p>');
  const brief = { from: 'a@b.example', subject: '@@home', html: '@body.html' };
  await writeFile(join(dir, 'brief.json'), JSON.stringify(brief));
  const args = ['submit', 'newsletter', '--source', join(dir, 'r.csv'), '--brief', join(dir, 'brief.json')];
  const { code, stdout, stderr } = await run(...args, '--name', 'weekly');
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'submitted weekly as epic-1\n');
  assert.equal(
    stderr,
    'notice: no worker offers `newsletter` yet; the epic waits for one\nNext: gimme epic watch epic-1\n',
  );
  const sent = { from: 'a@b.example', subject: '@home', html: '<p>Ünï {{ email }}</p>' };
  assert.deepEqual(JSON.parse(String(briefs.kept.get('hash-1'))), sent);
  assert.deepEqual(api.submitted[0]?.brief, sent);
  assert.equal(String([...spool.kept.values()][0]), 'email\na@b.example\n');
});

test('--dry-run checks what it can, says what would be submitted, and sends nothing', async (t) => {
  const { run, api, briefs, spool } = await served(t);
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const csv = join(dir, 'r.csv');
  await writeFile(csv, 'email\na@b.example\n');
  await writeFile(join(dir, 'brief.json'), '{"from":"a@b.example","subject":"s","html":"<p></p>"}');
  const args = ['submit', 'newsletter', '--source', csv, '--brief', join(dir, 'brief.json'), '--dry-run'];
  const { code, stdout, stderr } = await run(...args);
  assert.deepEqual([code, stdout], [0, `would submit ${csv} to newsletter, 18 bytes\n`], stderr);
  const json = await run('submit', 'greet', '--source', 'range:0-9', '--dry-run', '-o', 'json');
  assert.deepEqual(JSON.parse(json.stdout), { dryRun: true, work: 'greet', source: 'range:0-9' });
  await writeFile(csv, 'name\nAda\n');
  assert.equal((await run(...args)).code, 2, 'a list without addresses');
  await rm(csv);
  assert.equal((await run(...args)).code, 2, 'no list');
  assert.deepEqual([api.submitted, briefs.kept.size, spool.kept.size], [[], 0, 0]);
});

test('submit of a range answers as JSON when asked', async (t) => {
  const { run, api } = await served(t);
  const { code, stdout } = await run('submit', 'greet', '--source', 'range:5-8', '-o', 'json');
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).id, 'epic-1');
  assert.deepEqual(api.submitted[0]?.source, { type: 'range', from: 5, to: 8 });
});

test('submit of a source of workers gives it what stands behind its name', async (t) => {
  const { run, api } = await served(t);
  assert.equal(
    (await run('submit', 'greet', '--source', 'source:crm?table=contacts&since=2026-01-01')).code,
    0,
  );
  assert.equal((await run('submit', 'greet', '--source', 'source:crm')).code, 0);
  const [first, second] = api.submitted.map(({ source }) => source);
  assert.ok(first?.type === 'named' && second?.type === 'named');
  assert.deepEqual([first.name, JSON.parse(first.args)], ['crm', { table: 'contacts', since: '2026-01-01' }]);
  assert.deepEqual([second.name, second.args], ['crm', 'null']);
});

test('--strict refuses a work that nobody offers, and submits one that is offered', async (t) => {
  const { run, api } = await served(t);
  const args = ['submit', 'greet', '--source', 'range:0-1', '--strict'];
  const refused = await run(...args);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^gimme: no worker offers `greet`;[^\n]+\n$/);
  assert.equal(api.submitted.length, 0);
  const [id, name, version] = ['w1', 'w1', '0'];
  api.offered = [
    { id, name, works: ['greet'], labels: {}, slots: 1, version, state: 'ready', held: 0, lastHeardMs: 0 },
  ];
  assert.equal((await run(...args)).code, 0);
  assert.equal(api.submitted.length, 1);
});

test('watch follows to the end on stderr, tells the arithmetic on stdout, and exits 6 with failed units', async (t) => {
  const { begin, api } = await served(t);
  api.add({ name: 'weekly', bottleneck: 'it waits' });
  const watching = begin('watch', 'weekly');
  await watching.says(/weekly: .*0\/10.*it waits/);
  api.change('epic-1', { ...ended(2), faults: { smtp_rejected: 2 } });
  const { code, stdout, stderr } = await watching.ended;
  assert.equal(code, 6, stderr);
  assert.match(stdout, /^✓ weekly finished in 2\.0s|^✓ weekly finished in 7\.4s/);
  assert.ok(stdout.includes(ARITHMETIC), stdout);
  assert.match(stdout, /smtp_rejected 2/);
});

test('watch as jsonl gives each state as a line', async (t) => {
  const { begin, api } = await served(t);
  api.add();
  const watching = begin('watch', 'epic-1', '-o', 'jsonl');
  await watching.says(/"id":"epic-1"/);
  api.change('epic-1', ended(0));
  const { code, stdout } = await watching.ended;
  assert.equal(code, 0);
  const states = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).state);
  assert.equal(states.at(-1), 'finished');
  assert.ok(states.length >= 2);
});

test('Ctrl-C detaches with 130 and leaves the epic running', async (t) => {
  const { begin, api } = await served(t);
  api.add();
  const watching = begin('watch', 'epic-1');
  await watching.says(/0\/10/);
  watching.process.kill('SIGINT');
  const { code, stdout, stderr } = await watching.ended;
  assert.equal(code, 130);
  assert.equal(stdout, '');
  assert.match(stderr, /gimme: detached; epic-1 runs on\. Follow it: gimme epic watch epic-1\n$/);
  assert.equal(api.epic('epic-1')?.state, 'running');
});

test('wait exits 3 at its timeout, 0 when all went well, 5 when cancelled', async (t) => {
  const { run, api } = await served(t);
  api.add();
  const late = await run('wait', 'epic-1', '--timeout', '50ms');
  assert.equal(late.code, 3);
  assert.match(late.stderr, /gimme: epic-1 still runs after 0\.1s, 0 of 10 units done/);
  assert.equal(late.stdout, '');
  api.change('epic-1', ended(0));
  assert.equal((await run('wait', 'epic-1')).code, 0);
  api.add({ state: 'cancelled', reason: 'no\nneed\u001b[2J' });
  const cancelled = await run('wait', 'epic-2');
  assert.equal(cancelled.code, 5);
  assert.match(cancelled.stdout, /✗ epic-2 cancelled: no need \[2J\n/);
});

test('submit --watch ends with the epic', async (t) => {
  const { begin, api } = await served(t);
  const submitting = begin('submit', 'greet', '--source', 'range:0-10', '--watch');
  await submitting.says(/0\/10/);
  api.change('epic-1', ended(2));
  const { code, stdout } = await submitting.ended;
  assert.equal(code, 6);
  assert.ok(stdout.includes(ARITHMETIC), stdout);
});

test('ls, get and cancel, by text and JSON', async (t) => {
  const { run, api } = await served(t);
  for (let i = 0; i < 3; i++) api.add({ name: 'weekly' });
  const list = await run('ls', '--limit', '2');
  assert.equal(list.code, 0);
  assert.deepEqual(
    list.stdout.split('\n').map((line) => line.split(' ')[0]),
    ['ID', 'epic-3', 'epic-2', ''],
  );
  assert.match(list.stderr, /^Next: gimme epic ls --limit 2 --cursor epic-2\n$/);
  const rest = await run('ls', '--cursor', 'epic-2', '-o', 'json');
  assert.deepEqual(
    JSON.parse(rest.stdout).epics.map((e: { id: string }) => e.id),
    ['epic-1'],
  );
  const shown = await run('get', 'weekly');
  assert.match(shown.stdout, /… weekly is running\n {2}read 10 = .* outstanding 10\n {2}id epic-3/);
  const ambiguous = await run('cancel', 'weekly', '--reason', 'x');
  assert.equal(ambiguous.code, 7);
  assert.match(ambiguous.stderr, /^gimme: 3 epics are named weekly[^\n]+\n$/);
  const cancelled = await run('cancel', 'epic-2', '--reason', 'wrong subject', '-o', 'json');
  assert.deepEqual([cancelled.code, JSON.parse(cancelled.stdout).reason], [0, 'wrong subject']);
  assert.equal((await run('get', 'nobody')).code, 7);
});
