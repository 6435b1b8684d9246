/** The NATS settings of master and worker: what they come to, and every fault as a person meets it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { trialNats } from '../../../cli/natsServer.ts';
import { isNatsLink, NATS, natsOf } from '../../../cli/natsSettings.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { readConfig } from '../../../shared/io/config.ts';
import { NatsServer } from '../../tools/natsServer.ts';
import { type FoundTool, natsServers } from '../../tools.ts';
import { gimme, type Ran, start } from './gimme.ts';

const dir = mkdtempSync(join(tmpdir(), 'gimmework-cli-nats-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};
const { path: program } = natsServers().at(-1) as FoundTool;
const SECRET = 'hunter2';
const URL = 'nats://127.0.0.1:9';
const dataDir = (): string[] => ['--data', mkdtempSync(join(dir, 'data-'))];
const works = file(
  'w.mjs',
  `import { defineWork } from 'gimmework';
   export const greet = defineWork('greet').step('say', (unit) => unit);`,
);
const master = (...args: string[]): string[] => ['master', '--listen', '127.0.0.1:0', ...dataDir(), ...args];
const worker = (...args: string[]): string[] => ['worker', '--works', works, ...args];

async function natsFor(t: TestContext, settings: string): Promise<NatsServer> {
  const nats = await NatsServer.start({ path: program, settings });
  t.after(() => nats.end());
  return nats;
}

function oneLine({ code, stdout, stderr }: Ran, exit: number, message: RegExp): void {
  assert.equal(code, exit, stderr);
  assert.equal(stdout, '');
  assert.match(stderr.split('\n').at(-2) ?? '', /^gimme: /, stderr);
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, new RegExp(`${SECRET}|\\n\\s+at |node:internal`));
}

function settingsOf(flags: Record<string, unknown>, env: Record<string, string> = {}) {
  return natsOf(readConfig(NATS, flags, env), flags);
}

test('flags and environment come to the settings of a link; a flag goes before its variable', () => {
  assert.equal(settingsOf({}), undefined);
  assert.equal(settingsOf({}, { GIMMEWORK_NATS_USER: 'u', GIMMEWORK_NATS_PASSWORD: 'p' }), undefined);
  assert.deepEqual(settingsOf({ nats: URL }), { servers: URL });
  const env = { GIMMEWORK_NATS: 'a:1,b:2', GIMMEWORK_NATS_PREFIX: 'team.a' };
  assert.deepEqual(settingsOf({}, env), { servers: 'a:1,b:2', prefix: 'team.a' });
  assert.deepEqual(settingsOf({ nats: URL, natsPrefix: 'b' }, env), { servers: URL, prefix: 'b' });
});

test('each way to log in is taken, a secret also from a file', () => {
  const authOf = (flags: Record<string, unknown>, env: Record<string, string>) =>
    settingsOf({ nats: URL, ...flags }, env)?.auth;
  const password = file('password', `${SECRET}\n`);
  assert.deepEqual(authOf({ natsUser: 'u' }, { GIMMEWORK_NATS_PASSWORD_FILE: password }), {
    type: 'user',
    user: 'u',
    password: SECRET,
  });
  assert.deepEqual(authOf({}, { GIMMEWORK_NATS_TOKEN: 't' }), { type: 'token', token: 't' });
  assert.deepEqual(authOf({}, { GIMMEWORK_NATS_NKEY_FILE: password }), { type: 'nkey', seed: SECRET });
  assert.deepEqual(authOf({ natsCreds: 'c' }, {}), { type: 'creds', file: 'c' });
});

test('TLS is given by files, or by nothing', () => {
  const tlsOf = (flags: Record<string, unknown>) => settingsOf({ nats: URL, ...flags })?.tls;
  assert.equal(tlsOf({}), undefined);
  assert.deepEqual(tlsOf({ natsCa: 'ca' }), { caFile: 'ca' });
  assert.deepEqual(tlsOf({ natsCa: 'ca', natsCert: 'c', natsKey: 'k' }), {
    caFile: 'ca',
    certFile: 'c',
    keyFile: 'k',
  });
});

test('a worker has one link: a flag decides over variables, and two of a kind are refused', () => {
  const both = { GIMMEWORK_NATS: URL, GIMMEWORK_MASTER: 'http://x' };
  assert.equal(isNatsLink({}, {}), false);
  assert.equal(isNatsLink({}, { GIMMEWORK_NATS: URL }), true);
  assert.equal(isNatsLink({ nats: URL }, both), true);
  assert.equal(isNatsLink({ master: 'ws://x' }, both), false);
  for (const [flags, env] of [
    [{ nats: URL, master: 'ws://x' }, {}],
    [{}, both],
  ] as const) {
    assert.throws(
      () => isNatsLink(flags, env),
      (error: unknown) => error instanceof GimmeError && error.exitCode === 2,
    );
  }
});

const FAULTS: [string, string[], Record<string, string>, RegExp][] = [
  ['--nats and --master', worker('--nats', URL, '--master', 'ws://x'), {}, /--nats and --master exclude/],
  ['two variables', worker(), { GIMMEWORK_NATS: URL, GIMMEWORK_MASTER: 'http://x:1' }, /both set/],
  ['prefix alone', master('--nats-prefix', 'p'), {}, /--nats-prefix needs --nats/],
  [
    'prefix beside --master',
    worker('--master', 'ws://x', '--nats-prefix', 'p'),
    { GIMMEWORK_NATS: URL },
    /--nats-prefix needs --nats/,
  ],
  ['prefix that is none', master('--nats', URL, '--nats-prefix', 'a b'), {}, /"a b" is no prefix/],
  ['address that is none', worker('--nats', 'http://x'), {}, /"http:\/\/x" is not an address such as nats:/],
  ['user in the address', worker('--nats', `nats://u:${SECRET}@x`), {}, /holds a user/],
  [
    'user without password',
    master('--nats', URL, '--nats-user', 'u'),
    {},
    /--nats-user needs GIMMEWORK_NATS_PASS/,
  ],
  ['password without user', master('--nats', URL), { GIMMEWORK_NATS_PASSWORD: SECRET }, /needs --nats-user/],
  [
    'two ways to log in',
    master('--nats', URL, '--nats-creds', 'c'),
    { GIMMEWORK_NATS_TOKEN: SECRET },
    /token and creds are given for NATS/,
  ],
  ['secret as a flag', master('--nats', URL, '--nats-token', SECRET), {}, /unknown option '--nats-token'/],
  [
    'no such password file',
    worker('--nats', URL),
    { GIMMEWORK_NATS_TOKEN_FILE: join(dir, 'no') },
    /_FILE names a file that cannot be read/,
  ],
  [
    'no such creds',
    worker('--nats', URL, '--nats-creds', join(dir, 'no.creds')),
    {},
    /no\.creds cannot be read/,
  ],
  ['seed that is none', master('--nats', URL), { GIMMEWORK_NATS_NKEY: SECRET }, /seed of the nkey/],
  [
    'certificate without key',
    master('--nats', URL, '--nats-cert', 'c'),
    {},
    /--nats-cert and --nats-key go together/,
  ],
  ['no such CA', master('--nats', URL, '--nats-ca', join(dir, 'no.pem')), {}, /no\.pem cannot be read/],
];

describe('a link that cannot be is refused in one line', { concurrency: 3 }, () => {
  for (const [name, args, env, message] of FAULTS)
    test(name, async () => oneLine(await gimme(args, env), 2, message));
});

describe('what a NATS server can do to a node that starts', { concurrency: 3 }, () => {
  for (const [name, args] of [
    ['master', master('--nats', URL)],
    ['worker', worker('--nats', URL)],
  ] as const) {
    test(`nobody there for 10 s ends a ${name} with 1`, async () => {
      const node = start([...args]);
      await node.says(/the link (to the master )?is down.*ECONNREFUSED 127\.0\.0\.1:9; trying for 10 s/);
      assert.equal(node.process.exitCode, null, 'it says so at once');
      oneLine(await node.ended, 1, /NATS cannot be reached at 127\.0\.0\.1:9 within 10 s.*--nats/);
    });
  }

  test('a master that waits for it stops when told', async () => {
    const waiting = start(master('--nats', URL));
    await waiting.says(/the link is down/);
    waiting.process.kill('SIGTERM');
    const { code, stderr } = await waiting.ended;
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /gimme:/);
  });

  test('credentials that it refuses end a node with 4', async (t) => {
    const nats = await natsFor(t, 'authorization { user: u, password: right }');
    const wrong = { GIMMEWORK_NATS_PASSWORD: SECRET };
    oneLine(
      await gimme(master('--nats', nats.url, '--nats-user', 'u'), wrong),
      4,
      /refused these credentials/,
    );
    oneLine(await gimme(worker('--nats', nats.url)), 4, /refused these credentials/);
  });

  test('a server for small messages only ends a node with 1, naming the setting', async (t) => {
    const nats = await natsFor(t, 'max_payload: 64KB');
    oneLine(await gimme(master('--nats', nats.url)), 1, /at most 65536 bytes; set max_payload/);
  });

  test('a port that is taken ends a master over NATS as any other', async (t) => {
    const nats = await natsFor(t, '');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = server.address() as { port: number };
    const args = ['master', '--listen', `127.0.0.1:${port}`, ...dataDir(), '--nats', nats.url];
    oneLine(await gimme(args), 1, new RegExp(`127\\.0\\.0\\.1:${port} is taken`));
  });
});

describe('a master and a worker log in', { concurrency: 2 }, () => {
  let nats: NatsServer;
  before(async () => {
    nats = await NatsServer.start({
      path: program,
      settings: `authorization { user: u, password: ${SECRET} }`,
    });
  });
  after(() => nats.end());

  test('by a user whose password is in a file, which no log shows', async () => {
    const env = { GIMMEWORK_NATS_PASSWORD_FILE: file('right', SECRET), GIMMEWORK_NATS_USER: 'u' };
    const running = [
      start(master('--nats', nats.url, '--log-level', 'debug'), env),
      start(worker('--nats', nats.url, '--log-level', 'debug'), env),
    ];
    await running[0]?.says(/link nats/);
    await running[1]?.says(/worker ready/);
    for (const { process, ended } of running) {
      process.kill('SIGTERM');
      const { code, stdout, stderr } = await ended;
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stdout + stderr, new RegExp(SECRET));
    }
  });
});

test('where no server answers and none is on the machine, one line says how to get one', async () => {
  await assert.rejects(trialNats(undefined, { usual: URL, folders: [dir] }), (error: unknown) => {
    assert.ok(error instanceof GimmeError);
    assert.equal(error.exitCode, 1);
    assert.match(error.message, /^no NATS server answers at \S+ and no nats-server is [^\n]*apt-get install/);
    return true;
  });
});

test('a nats-server that does not start says why', async () => {
  const broken = join(mkdtempSync(join(dir, 'broken-')), 'nats-server');
  writeFileSync(broken, '#!/bin/sh\necho "no licence" >&2; exit 3\n', { mode: 0o755 });
  const trial = trialNats(undefined, { usual: URL, folders: [join(broken, '..')] });
  await assert.rejects(trial, /nats-server ended: no licence/);
});
