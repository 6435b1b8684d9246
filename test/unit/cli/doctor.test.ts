/** `gimme doctor`: a line for each thing it looks at, what to do where something is amiss, and nothing left behind. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { checkNode, type Finding } from '../../../cli/checks.ts';
import { startSmtpStub } from '../../../works/newsletter/main.ts';
import { NatsServer } from '../../tools/natsServer.ts';
import { type FoundTool, natsServers } from '../../tools.ts';
import { serveFake } from '../http/server.ts';
import { gimme, type Ran } from './gimme.ts';

const dir = mkdtempSync(join(tmpdir(), 'gimmework-doctor-test-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const WELL = ['--listen', '127.0.0.1:0', '--data', dir];
const nats = natsServers().at(-1) as FoundTool;

/** The one finding of this name. */
function findingOf({ stdout, stderr }: Ran, name: string): Finding {
  const { checks } = JSON.parse(stdout || `{"checks":"${stderr}"}`) as { checks: Finding[] };
  const found = checks.filter((check) => check.name === name);
  assert.equal(found.length, 1, stdout);
  return found[0] as Finding;
}

const check = (...args: string[]): Promise<Ran> => gimme(['doctor', ...WELL, ...args, '-o', 'json']);

async function listening(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

test('all is well: a line for each, and exit 0', async (t) => {
  const server = await NatsServer.start({ path: nats.path });
  t.after(() => server.end());
  const stub = await startSmtpStub({ listen: { host: '127.0.0.1', port: 0 } });
  t.after(() => stub.close());
  const given = ['--nats', server.url, '--smtp', `smtp://127.0.0.1:${stub.port}`];
  const { code, stdout, stderr } = await gimme(['doctor', ...WELL, ...given]);
  assert.equal(code, 0, stdout + stderr);
  const lines = stdout.trim().split('\n');
  const expected = [
    /^ok {4}node {4}Node \d+\.\d+\.\d+$/,
    new RegExp(
      `^ok {4}nats {4}nats-server ${nats.version} at 127\\S+ lets this node in, max_payload 1,048,576$`,
    ),
    /^ok {4}listen {2}127\.0\.0\.1:0 is free for a master$/,
    /^ok {4}data {4}\S+ can be written to, [\d,]+ MB free$/,
    /^ok {4}smtp {4}the mail server at 127\.0\.0\.1:\d+ lets this node in$/,
  ];
  assert.equal(lines.length, expected.length, stdout);
  for (const [i, line] of lines.entries()) assert.match(line, expected[i] as RegExp);
  assert.deepEqual(readdirSync(dir), [], 'it left something in the data folder');
});

test('what is not given is not looked at; each form of output says the same', async () => {
  const lines = (await gimme(['doctor', ...WELL, '-o', 'jsonl'])).stdout.trim().split('\n');
  const findings = lines.map((line) => JSON.parse(line) as Finding);
  assert.deepEqual(
    findings.map(({ name }) => name),
    ['node', 'listen', 'data'],
  );
  const { ok, checks } = JSON.parse((await check()).stdout) as { ok: boolean; checks: Finding[] };
  assert.equal(ok, true);
  assert.deepEqual(
    checks.map(({ name, level }) => [name, level]),
    findings.map(({ name, level }) => [name, level]),
  );
});

test('an old Node fails; the least version is what the package asks for', () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
  const least = /\d+\.\d+/.exec(engines.node)?.[0] ?? '';
  const [major, minor] = least.split('.').map(Number) as [number, number];
  assert.equal(checkNode(`${least}.0`).level, 'ok');
  assert.equal(checkNode(`${major + 2}.0.0`).level, 'ok');
  assert.deepEqual(checkNode(`${major}.${minor - 1}.9`), {
    level: 'fail',
    name: 'node',
    what: `Node ${major}.${minor - 1}.9`,
    todo: `Install Node ${least} or newer.`,
  });
});

test('a port with a master on it is well, with one that is not ready a warning, with another a fault', async (t) => {
  const { api, port } = await serveFake(t);
  const at = `127.0.0.1:${port}`;
  const well = findingOf(await check('--listen', at), 'listen');
  assert.deepEqual(well, { level: 'ok', name: 'listen', what: `a master answers at http://${at}` });
  api.reason = 'the disk is full';
  const late = await check('--listen', at);
  assert.equal(late.code, 0, 'a warning is no fault');
  assert.match(findingOf(late, 'listen').what, /is not ready: the disk is full/);
  const other = await check(
    '--listen',
    await listening(
      t,
      createServer((socket) => socket.end('hello\r\n')),
    ),
  );
  assert.equal(other.code, 1);
  const { level, what, todo } = findingOf(other, 'listen');
  assert.equal(level, 'fail');
  assert.match(what, /is taken, and not by a master/);
  assert.match(todo ?? '', /--listen/);
  const foreign = await check('--listen', '192.0.2.1:80');
  assert.match(findingOf(foreign, 'listen').what, /EADDRNOTAVAIL/);
});

test('a folder that cannot be is a fault, one that is not there yet is not', async () => {
  const taken = join(dir, 'taken');
  writeFileSync(taken, '');
  for (const path of [taken, join(taken, 'below'), '/proc/gimmework']) {
    const ran = await check('--data', path);
    assert.equal(ran.code, 1, path);
    const { level, what, todo } = findingOf(ran, 'data');
    assert.deepEqual([level, what.startsWith(`${path} cannot be written to (E`)], ['fail', true], what);
    assert.match(todo ?? '', /--data/);
  }
  rmSync(taken);
  const made = findingOf(await check('--data', join(dir, 'a', 'b')), 'data');
  assert.match(made.what, /can be made, [\d,]+ MB free/);
  assert.deepEqual(readdirSync(dir), []);
});

test('every fault of NATS and SMTP says what and what to do', async (t) => {
  const locked = await NatsServer.start({ path: nats.path, settings: 'authorization { token: right }' });
  const small = await NatsServer.start({ path: nats.path, settings: 'max_payload: 64KB' });
  t.after(() => Promise.all([locked.end(), small.end()]));
  const web = await listening(
    t,
    createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  );
  const faults: [string, string[], RegExp, RegExp][] = [
    [
      'nats',
      ['--nats', 'nats://127.0.0.1:9'],
      /no NATS server answers at 127\.0\.0\.1:9 \(.*REFUSED/,
      /Start nats-server/,
    ],
    ['nats', ['--nats', web], /what answers there is not a NATS server/, /--nats/],
    ['nats', ['--nats', locked.url], /refused these credentials/, /check user, token/],
    ['nats', ['--nats', small.url], /at most 65536 bytes/, /set max_payload/],
    ['smtp', ['--smtp', 'smtp://127.0.0.1:9'], /no SMTP server answers at 127\.0\.0\.1:9/, /--smtp/],
    ['smtp', ['--smtp', `smtp://${web}`], /127\.0\.0\.1:\d+/, /--smtp/],
  ];
  for (const [name, args, what, todo] of faults) {
    const ran = await check(...args);
    assert.equal(ran.code, 1, ran.stderr);
    const found = findingOf(ran, name);
    assert.equal(found.level, 'fail');
    assert.match(found.what, what);
    assert.match(found.todo ?? '', todo);
    assert.doesNotMatch(found.what + found.todo, /\n/);
  }
  const given = await gimme(['doctor', ...WELL, '--nats', locked.url], { GIMMEWORK_NATS_TOKEN: 'right' });
  assert.equal(given.code, 0, given.stdout);
});

test('several servers are looked at each', async (t) => {
  const server = await NatsServer.start({ path: nats.path });
  t.after(() => server.end());
  const ran = await check('--nats', `${server.url},127.0.0.1:9`);
  const { checks } = JSON.parse(ran.stdout) as { checks: Finding[] };
  assert.deepEqual(
    checks.filter(({ name }) => name === 'nats').map(({ level }) => level),
    ['ok', 'fail'],
  );
});
