/** Faults a person meets: one line, what and what to do, the documented exit code, no stack. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gimme, type Ran, start } from './gimme.ts';

const dir = mkdtempSync(join(tmpdir(), 'gimmework-cli-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const file = (name: string, text: string | Buffer): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};
const BRIEF = { from: 'News <news@example.com>', subject: 'Hi {{ name }}', html: '<p>{{ name }}</p>' };
const good = file('brief.json', JSON.stringify(BRIEF));
const csv = file('r.csv', 'email,name\na@b.example,A\n');
const NOBODY = 'http://127.0.0.1:9';
const ED25519 = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
const SIGNED = ['worker', '--works', 'newsletter', '--smtp', 'smtp://a'];
SIGNED.push('--dkim-domain', 'example.com', '--dkim-selector', 'x');

function oneLine({ code, stdout, stderr }: Ran, exit: number, message: RegExp): void {
  assert.equal(code, exit, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, /^gimme: [^\n]+\n$/, stderr);
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /\n\s+at |node:internal/);
}

const submit = (...args: string[]): string[] => ['epic', 'submit', 'newsletter', '--master', NOBODY, ...args];
const withBrief = (path: string): string[] => submit('--source', csv, '--brief', path);

const FAULTS: [string, string[], number, RegExp][] = [
  ['unknown flag', ['epic', 'ls', '--maste', 'x'], 2, /unknown option '--maste'.*--master/],
  ['unknown command', ['epik'], 2, /no command gimme epik; did you mean gimme epic\?/],
  ['help of an unknown command', ['help', 'foo'], 2, /no command gimme foo; `gimme --help` lists/],
  [
    'unknown command of a group',
    ['epic', 'lss'],
    2,
    /no command gimme epic lss; did you mean gimme epic ls\?/,
  ],
  ['missing argument', ['epic', 'get'], 2, /missing required argument 'epic'/],
  ['missing source', ['epic', 'submit', 'w'], 2, /--source/],
  ['missing value', ['master', '--listen'], 2, /--listen <host:port>' argument missing/],
  ['a deadline in the past', submit('--source', csv, '--deadline', '-2m'), 2, /--deadline/],
  ['a deadline of nothing', submit('--source', csv, '--deadline', '0'), 2, /--deadline/],
  ['later flag --priority', submit('--source', csv, '--priority', '1'), 2, /--priority is not supported yet/],
  ['later flag --rate', submit('--source', csv, '--rate', '5/s'), 2, /--rate is not supported yet/],
  [
    'later flag --rate-key',
    submit('--source', csv, '--rate-key', 'a=1/s'),
    2,
    /--rate-key is not supported yet/,
  ],
  ['later flag --key', submit('--source', csv, '--key', 'email'), 2, /--key is not supported yet/],
  ['later flag --lease', ['worker', '--lease=5s'], 2, /--lease is not supported yet/],
  ['dry run without a brief', submit('--source', csv, '--dry-run'), 2, /newsletter needs --brief/],
  [
    'a duration without a unit',
    ['epic', 'wait', 'e', '--timeout', '3'],
    2,
    /^gimme: --timeout 3: say the unit, such as 3s\n$/,
  ],
  ['asking without input', ['ask', 'x'], 2, /--input is missing/],
  ['asking with no JSON', ['ask', 'x', '--input', '{'], 2, /--input is not JSON/],
  [
    'asking with no file',
    ['ask', 'x', '--input', '@nowhere.json'],
    2,
    /--input @nowhere.json cannot be read/,
  ],
  ['later command set', ['epic', 'set', 'x'], 2, /gimme epic set is not supported yet/],
  ['init where files are', ['init', dir], 2, /is not empty; name a folder that is new or empty/],
  [
    'init where no folder can be',
    ['init', '/dev/null/x'],
    2,
    /cannot make a project in \/dev\/null\/x \(ENOTDIR\)/,
  ],
  ['dev of no module', ['dev', join(dir, 'no.ts')], 2, /no\.ts does not exist/],
  ['unknown command below worker', ['worker', 'lss'], 2, /gimme worker lss; did you mean gimme worker ls\?/],
  ['options before worker ls', ['worker', '--slots', '3', 'ls'], 2, /options of worker ls stand after it/],
  ['worker drain of nobody', ['worker', 'drain'], 2, /missing required argument 'worker'/],
  [
    'several bad settings at once',
    ['smtp-stub', '--defer', '3', '--listen', 'x'],
    2,
    /--listen "x".*; --defer "3"/,
  ],
  ['webhooks without a secret', ['master', '--webhook-allow', 'a:1'], 2, /without --webhook-secret-file/],
  ['webhook target that is none', ['master', '--webhook-allow', 'http://a'], 2, /must be host:port/],
  [
    'secrets that cannot be read',
    ['master', '--webhook-secret-file', '/nowhere/secrets'],
    2,
    /--webhook-secret-file \/nowhere\/secrets cannot be read \(ENOENT\)/,
  ],
  ['bad master address', ['epic', 'ls', '--master', 'ftp://x'], 2, /--master "ftp:\/\/x" must be an address/],
  ['slots 0', ['worker', '--works', 'x', '--slots', '0'], 2, /--slots "0" must be a whole number from 1/],
  ['worker without works', ['worker'], 2, /--works \(or GIMMEWORK_WORKS\) is missing/],
  ['newsletter without smtp', ['worker', '--works', 'newsletter'], 2, /--smtp or GIMMEWORK_SMTP_URL/],
  [
    'half of DKIM',
    ['worker', '--works', 'newsletter', '--smtp', 'smtp://a', '--dkim-domain', 'example.com'],
    2,
    /DKIM needs --dkim-selector and --dkim-key-file too/,
  ],
  [
    'a DKIM key that is not there',
    [...SIGNED, '--dkim-key-file', '/nowhere/key.pem'],
    2,
    /--dkim-key-file \/nowhere\/key\.pem cannot be read \(ENOENT\)/,
  ],
  [
    'a DKIM key of another kind',
    [...SIGNED, '--dkim-key-file', file('ed.pem', ED25519)],
    2,
    /is ed25519; many receivers verify RSA only, so make one: openssl genrsa/,
  ],
  ['works module missing', ['worker', '--works', join(dir, 'no.ts')], 2, /no\.ts does not exist/],
  [
    'works module throws',
    ['worker', '--works', file('t.mjs', 'throw new Error("a\\nb")')],
    2,
    /t\.mjs does not load: a b/,
  ],
  [
    'works module with a syntax error',
    ['worker', '--works', file('s.ts', 'export const = 1')],
    2,
    /s\.ts does not load/,
  ],
  [
    'works module without works',
    ['worker', '--works', file('n.mjs', 'export const a = 1')],
    2,
    /n\.mjs exports no work/,
  ],
  ['source with a bad name', submit('--source', 'source:a/b?c=d'), 2, /source:a\/b\?c=d must be source:NAME/],
  ['work with a bad name', ['epic', 'submit', 'a/b', '--source', csv], 2, /work "a\/b" must be/],
  [
    'missing file',
    submit('--source', join(dir, 'no.csv'), '--brief', good),
    2,
    /no\.csv: there is no such file/,
  ],
  ['folder as file', submit('--source', dir, '--format', 'csv', '--brief', good), 2, /it is a folder/],
  ['file of unknown kind', submit('--source', 'x.xlsx', '--brief', good), 2, /x\.xlsx.*say --format/],
  ['address as source', submit('--source', 'http://x/y.csv'), 2, /addresses are not supported yet/],
  ['stdin without format', submit('--source', '-'), 2, /--source - needs --format/],
  ['bad range', submit('--source', 'range:9-1'), 2, /range:A-B/],
  ['newsletter without brief', submit('--source', csv), 2, /needs --brief/],
  ['brief missing', withBrief(join(dir, 'no.json')), 2, /brief .*no\.json does not exist/],
  [
    'brief no JSON',
    withBrief(file('b1.json', '{\n  "from": 1,\n}')),
    2,
    /b1\.json, line 3, column 1, is not JSON/,
  ],
  ['brief cut off', withBrief(file('b2.json', '{"from":')), 2, /b2\.json, line 1, column 9, is not JSON/],
  [
    'brief not UTF-8',
    withBrief(file('b3.json', Buffer.from([0x22, 0xff, 0x22]))),
    2,
    /b3\.json is not UTF-8/,
  ],
  ['brief lacks a field', withBrief(file('b4.json', '{"from":"a@b.example"}')), 2, /b4\.json: .*subject/],
  [
    'brief names a missing file',
    withBrief(file('b5.json', JSON.stringify({ ...BRIEF, html: '@none.html' }))),
    2,
    /field html: file none\.html does not exist/,
  ],
  [
    'template error',
    withBrief(file('b6.json', JSON.stringify({ ...BRIEF, html: '<p>\n  {{ name | }\n</p>' }))),
    2,
    /b6\.json: .*html.*line 2/,
  ],
  [
    'a list without email',
    submit('--source', file('m.csv', '\ufeff"mail";name\na@b.example;A\n'), '--brief', good),
    2,
    /m\.csv has no column email, which the newsletter needs; its columns are mail, name\n/,
  ],
  [
    'a data directory where none can be',
    ['master', '--listen', '127.0.0.1:0', '--data', '/proc/gimmework/data'],
    1,
    /cannot make the directory \/proc\/gimmework: \/proc takes none; choose another with --data\n/,
  ],
  ['absent master', ['epic', 'ls', '--master', NOBODY], 1, /no master answers at http:.*gimme master/],
  [
    'smtp absent at start',
    ['worker', '--works', 'newsletter', '--smtp', 'smtp://127.0.0.1:9'],
    1,
    /127\.0\.0\.1:9.*--smtp/,
  ],
];

/** The others are run within one process: what they say is the same, and a start costs more than all of them. */
const AS_PROCESSES = new Set(['unknown flag', 'absent master', 'works module with a syntax error']);

describe('one line and the documented exit code', { concurrency: 3 }, () => {
  for (const [name, args, exit, message] of FAULTS) {
    test(name, async () => oneLine(await gimme(args), exit, message));
  }

  for (const [name, args, exit, message] of FAULTS.filter(([name]) => AS_PROCESSES.has(name))) {
    test(`${name}, as a process`, async () => oneLine(await start(args).ended, exit, message));
  }

  test('a missing command shows what there is', async () => {
    const { code, stdout, stderr } = await gimme([]);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /Usage: gimme/);
  });

  test('a bad setting from the environment is named by its variable', async () => {
    oneLine(
      await gimme(['master'], { GIMMEWORK_LISTEN: 'nowhere' }),
      2,
      /GIMMEWORK_LISTEN "nowhere" must be host:port/,
    );
  });

  test('a port that is taken is named', async (t) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = server.address() as { port: number };
    const at = `127.0.0.1:${port}`;
    const message = new RegExp(`127\\.0\\.0\\.1:${port}`);
    oneLine(await gimme(['master', '--listen', at, '--data', join(dir, 'data')]), 1, message);
    oneLine(await gimme(['smtp-stub', '--listen', at]), 1, message);
  });
});

test('a worker whose master is absent says so once, waits, and stops when told', async () => {
  const works = file(
    'w.mjs',
    `
    import { defineWork } from 'gimmework';
    export const greet = defineWork('greet').step('say', (unit) => unit);
  `,
  );
  const worker = start(['worker', '--works', works, '--master', 'ws://127.0.0.1:9']);
  await worker.says(/link to the master is down/);
  worker.process.kill('SIGTERM');
  const { code, stderr } = await worker.ended;
  assert.equal(code, 0, stderr);
  assert.equal(stderr.split('\n').filter((line) => line.includes('is down')).length, 1, stderr);
});

test('help goes to stdout and ends well', async () => {
  for (const args of [['--help'], ['help', 'epic', 'submit'], ['worker', '--help'], ['help', 'master']]) {
    const { code, stdout, stderr } = await gimme(args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Usage: gimme/);
    if (args[0] === '--help') assert.match(stdout, /\nExit codes:\n {2}0 .*\n(.*\n)* {2}4 .* 130 +detached/);
  }
});
