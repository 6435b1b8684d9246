/** Return addresses: which are refused when given, which when told, and how a webhook is signed. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isPublicAddress, type Lookup } from '../../../master/io/publicAddress.ts';
import { ReturnAddresses } from '../../../master/io/returnAddresses.ts';
import { signed, webhookSecrets } from '../../../master/io/webhook.ts';

const SECRETS = [Buffer.alloc(32, 7), Buffer.alloc(24, 9)];
const ALL = new ReturnAddresses({
  webhooks: { secrets: SECRETS, allow: new Set(['127.0.0.1:8080', 'intern.example:443']) },
  nats: { prefix: 'gimmework', publish: async () => {} },
});

const PUBLIC = [
  '8.8.8.8',
  '1.1.1.1',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.0.1',
  '2606:4700::1111',
  '2a00:1450::1',
];
const NOT_PUBLIC = [
  ...['127.0.0.1', '127.9.9.9', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  ...['169.254.169.254', '100.64.0.1', '100.100.100.200', '168.63.129.16', '192.0.0.192', '198.18.0.1'],
  ...['224.0.0.1', '255.255.255.255', '192.0.2.1', '203.0.113.9', '::1', '::', 'fe80::1', 'fc00::1'],
  ...[
    'fd00:ec2::254',
    'fe80::1%eth0',
    '2606::1%eth0',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::7f00:1',
  ],
  ...['64:ff9b:1::1', '2002:7f00:1::', '2001::1', '2001:db8::1', '3fff::1', 'ff02::1', 'no address', ''],
];
test('an address of the public Internet is told from all others', () => {
  assert.deepEqual(
    PUBLIC.filter((one) => !isPublicAddress(one)),
    [],
  );
  assert.deepEqual(
    NOT_PUBLIC.filter((one) => isPublicAddress(one)),
    [],
  );
});

for (const address of [
  ...['https://a.example/hook?x=1', 'http://a.example:8080/', 'http://8.8.8.8/', 'http://[2606:4700::1111]/'],
  ...['http://127.0.0.1:8080/allowed', 'https://intern.example/', 'gimmework.reply.order-7'],
]) {
  test(`may be given: ${address}`, () => ALL.check(address));
}

const REFUSED: [string, RegExp][] = [
  ['http://127.0.0.1/', /private webhook address, 127.0.0.1: --webhook-allow 127.0.0.1:80/],
  ['http://127.0.0.1:8081/', /private webhook address/],
  ['http://2130706433/', /private/],
  ['http://0x7f.1/', /private/],
  ['http://0177.0.0.1/', /private/],
  ['http://127.1/', /private/],
  ['http://１２７.0.0.1/', /private/],
  ['http://[::1]/', /private/],
  ['http://[::ffff:127.0.0.1]/', /private/],
  ['http://[fd00:ec2::254]/', /private/],
  ['http://169.254.169.254/latest/meta-data', /private/],
  ['http://100.64.1.1/', /private/],
  ['http://localhost/', /private/],
  ['http://LOCALHOST./', /private/],
  ['http://a.localhost:99/', /private/],
  ['http://0/', /private/],
  ['https://user:word@a.example/', /carries a user or a password/],
  ['http://', /is no valid address/],
  ['https://a b/', /is no valid address/],
  ['ftp://a.example/', /must be a webhook/],
  ['file:///etc/passwd', /must be a webhook/],
  ['gimmework.reply.a.b', /<id>/],
  ['gimmework.reply.*', /<id>/],
  ['gimmework.reply.>', /<id>/],
  ['gimmework.reply.', /<id>/],
  ['gimmework.reply.a b', /<id>/],
  ['gimmework.reply.a\r\nPUB x', /<id>/],
  ['gimmework.w.x', /<id>/],
  ['$JS.API.x', /<id>/],
  ['', /<id>/],
];
for (const [address, message] of REFUSED) {
  test(`may not be given: ${JSON.stringify(address)}`, () => {
    assert.throws(() => ALL.check(address), { code: 'bad_reply_to', message });
  });
}

test('without a secret no webhook may be given, without NATS no subject', () => {
  const none = new ReturnAddresses();
  assert.throws(() => none.check('https://a.example/'), {
    code: 'bad_reply_to',
    message: /--webhook-secret-file/,
  });
  assert.throws(() => none.check('gimmework.reply.a'), {
    code: 'bad_reply_to',
    message: /where the link is NATS/,
  });
});

test('a webhook is signed as the specification shows it', () => {
  const secret = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
  const body = '{"test": 2432232314}';
  const headers = signed([secret], { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', body, atMs: 1_614_265_330_999 });
  assert.deepEqual(headers, {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  });
});

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A receiver on loopback, which must be allowed by name. */
async function receiver(t: TestContext, answer: Answer) {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += String(chunk);
    });
    request.on('end', () => answer(request, response, body));
  });
  t.after(() => server.close().closeAllConnections());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const to = (lookup?: Lookup, allow = [`127.0.0.1:${port}`]) =>
    new ReturnAddresses({
      webhooks: { secrets: SECRETS, allow: new Set(allow), timeoutMs: 2_000, ...(lookup && { lookup }) },
      wallMs: () => 1_700_000_000_000,
    });
  return { port, url: `http://127.0.0.1:${port}/hook?a=1`, to };
}

test('a receiver gets the body, and every signature can be checked', async (t) => {
  const seen: { request: IncomingMessage; body: string }[] = [];
  const { url, to } = await receiver(t, (request, response, body) => {
    seen.push({ request, body });
    response.writeHead(204).end();
  });
  assert.equal(await to().send(url, 'epic-1', '{"type":"gather.finished","ü":1}'), 'told');
  const [{ request, body } = assert.fail()] = seen;
  assert.deepEqual(
    [request.method, request.url, body],
    ['POST', '/hook?a=1', '{"type":"gather.finished","ü":1}'],
  );
  assert.equal(request.headers['content-type'], 'application/json');
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': given } = request.headers;
  assert.deepEqual([id, at], ['epic-1', '1700000000']);
  const wanted = SECRETS.map(
    (secret) => `v1,${createHmac('sha256', secret).update(`epic-1.1700000000.${body}`).digest('base64')}`,
  );
  assert.equal(given, wanted.join(' '));
});

test('what is no success is a failure; 410 is the wish to hear no more; no redirect is followed', async (t) => {
  let status = 500;
  let requests = 0;
  const { url, to } = await receiver(t, (_, response) => {
    requests += 1;
    response.writeHead(status, { location: url }).end('x'.repeat(100_000));
  });
  for (status of [500, 429, 404, 301, 302, 307, 308])
    await assert.rejects(to().send(url, 'e', '{}'), new RegExp(`it answered ${status}`));
  assert.equal(requests, 7);
  status = 410;
  assert.equal(await to().send(url, 'e', '{}'), 'unwanted');
});

test('one that gives no answer is left in time', async (t) => {
  const { port, url } = await receiver(t, () => {});
  const allow = new Set([`127.0.0.1:${port}`]);
  const hasty = new ReturnAddresses({ webhooks: { secrets: SECRETS, allow, timeoutMs: 50 } });
  await assert.rejects(hasty.send(url, 'e', '{}'), /aborted|timeout/i);
});

test('a name is judged by what it resolves to when it is told, whatever it was before', async (t) => {
  let requests = 0;
  const { port, to } = await receiver(t, (_, response) => {
    requests += 1;
    response.writeHead(204).end();
  });
  const at =
    (...addresses: string[]): Lookup =>
    (_name, _options, done) =>
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
  const url = `http://rebind.example:${port}/`;
  to(at('8.8.8.8')).check(url);
  for (const inner of [
    ['127.0.0.1'],
    ['127.0.0.1', '10.0.0.1'],
    ['::1'],
    ['::ffff:127.0.0.1'],
    ['169.254.169.254'],
  ])
    await assert.rejects(to(at(...inner)).send(url, 'e', '{}'), /rebind.example is not at a public address/);
  await assert.rejects(to(at()).send(url, 'e', '{}'), /is not at a public address/);
  const nobody: Lookup = (_name, _options, done) => done(new Error('no such host'), []);
  await assert.rejects(to(nobody).send(url, 'e', '{}'), /no such host/);
  await assert.rejects(to(undefined, []).send(`http://127.0.0.1:${port}/`, 'e', '{}'), {
    code: 'bad_reply_to',
  });
  assert.equal(requests, 0, 'nothing was ever sent to it');
  // Allowed by name and port, it is not judged; the system's own look-up is asked.
  assert.equal(
    await to(undefined, [`localhost:${port}`]).send(`http://localhost:${port}/`, 'e', '{}'),
    'told',
  );
  assert.equal(requests, 1);
});

test('secrets are read one from each line, and a file without is refused with the cure', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-secret-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'secrets');
  const line = (bytes: number) => `whsec_${Buffer.alloc(bytes, bytes).toString('base64')}`;
  await writeFile(file, `${line(32)}\n\n ${line(24)} \n`);
  assert.deepEqual(await webhookSecrets(file), [Buffer.alloc(32, 32), Buffer.alloc(24, 24)]);
  for (const text of ['', '\n', 'password', line(23), line(65), `${line(32)}\nwhsec_!`]) {
    await writeFile(file, text);
    await assert.rejects(webhookSecrets(file), (error: Error & { code: string }) => {
      assert.equal(error.code, 'bad_config');
      assert.match(error.message, /openssl rand/);
      assert.ok(text === '' || text === '\n' || !error.message.includes(text), 'a secret is not shown');
      return true;
    });
  }
  await assert.rejects(webhookSecrets(join(dir, 'none')), {
    code: 'bad_config',
    message: /cannot be read \(ENOENT\)/,
  });
});
