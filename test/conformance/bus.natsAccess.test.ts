/** Who may do what over NATS: credentials, TLS, clusters side by side, and a stolen worker's credential. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { NatsAuth } from '../../shared/io/bus/nats.ts';
import { inboxOf, natsPermissions } from '../../shared/io/bus/natsSubjects.ts';
import { BareNats } from '../tools/bareNats.ts';
import { natsServers } from '../tools.ts';
import { type NatsRig, withNats } from './natsRig.ts';
import { bytes, opened, soon, Watch } from './watch.ts';

const TEST = { timeout: 120_000 };
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/nats/${name}`, import.meta.url));
const content = (name: string): string => readFileSync(fixture(name), 'utf8').trim();

/** A master and a worker with this access find each other. */
async function assertTalks(
  rig: NatsRig,
  access: { auth?: NatsAuth; tls?: object },
  servers?: string,
): Promise<void> {
  const given = { ...access, ...(servers !== undefined && { servers }) };
  const master = rig.master(given);
  const worker = rig.worker('w', given);
  const atMaster = await opened(master);
  const atWorker = await opened(worker);
  worker.send({ to: 'masters' }, bytes('up'));
  master.send({ to: 'worker', id: 'w' }, bytes('down'));
  await Promise.all([
    atMaster.until(() => atMaster.frames.length === 1),
    atWorker.until(() => atWorker.frames.length === 1),
  ]);
  assert.deepEqual([atMaster.frames[0]?.from, atWorker.frames[0]?.from], ['w', 'master-1']);
}

async function assertRefused(rig: NatsRig, auth: NatsAuth): Promise<void> {
  const watch = new Watch();
  await assert.rejects(rig.worker('refused', { auth }).open(watch), (error: Error & { code: string }) => {
    assert.equal(error.code, 'nats_refused');
    assert.match(
      error.message,
      /^NATS at 127\.0\.0\.1:\d+ refused these credentials \(Authorization Violation\); /,
    );
    return true;
  });
  assert.deepEqual([watch.ups, watch.downs], [0, []]);
}

const ACCESS: { what: string; settings: string; good: NatsAuth; bad: NatsAuth[] }[] = [
  {
    what: 'user and password',
    settings: 'authorization { user: gimme, password: "s3cret" }',
    good: { type: 'user', user: 'gimme', password: 's3cret' },
    bad: [{ type: 'user', user: 'gimme', password: 'wrong' }, { type: 'none' }],
  },
  {
    what: 'a token',
    settings: 'authorization { token: "s3cret" }',
    good: { type: 'token', token: 's3cret' },
    bad: [{ type: 'token', token: 'wrong' }],
  },
  {
    what: 'an nkey',
    settings: `authorization { users: [{ nkey: ${content('user.pub')} }] }`,
    good: { type: 'nkey', seed: `${content('user.nk')}\n` },
    bad: [{ type: 'creds', file: fixture('user.creds') }],
  },
  {
    what: 'a creds file',
    settings: content('operator.conf'),
    good: { type: 'creds', file: fixture('user.creds') },
    bad: [{ type: 'nkey', seed: content('user.nk') }],
  },
];

/** The settings that give each role its own user, with what natsPermissions says. */
function permissionSettings(): string {
  const { master, worker } = natsPermissions('gimmework');
  const user = (name: string, { publish, subscribe }: typeof master): string =>
    `{ user: ${name}, password: ${name}, permissions: { publish: ${JSON.stringify(publish)}, ` +
    `subscribe: ${JSON.stringify(subscribe)} } }`;
  return `authorization { users: [${user('master', master)}, ${user('worker', worker)}] }`;
}

const as = (name: string): { auth: NatsAuth } => ({ auth: { type: 'user', user: name, password: name } });

for (const { path, version } of natsServers()) {
  for (const { what, settings, good, bad } of ACCESS) {
    test(`nats ${version}: ${what} opens the link; a wrong one ends with one line`, TEST, () =>
      withNats(path, settings, async (rig) => {
        await assertTalks(rig, { auth: good });
        for (const auth of bad) await assertRefused(rig, auth);
      }),
    );
  }

  test(`nats ${version}: TLS names the server, may be asked for, and asks for a certificate`, TEST, () =>
    withNats(path, tlsSettings('server'), async (rig) => {
      const { port } = rig.server;
      const tls = {
        caFile: fixture('ca.pem'),
        certFile: fixture('server.pem'),
        keyFile: fixture('server.key'),
      };
      await assertTalks(rig, { tls });
      await assertTalks(rig, { tls }, `tls://localhost:${port}`);
      const short = { connectTimeoutMs: 300 };
      const untrusted = rig.worker('a', { ...short, tls: { ...tls, caFile: fixture('elsewhere.pem') } });
      await assert.rejects(untrusted.open(new Watch()), { code: 'nats_unreachable', message: /certificate/ });
      await rig.server.kill();
      await rig.server.restart(tlsSettings('elsewhere'));
      for (const servers of [`tls://127.0.0.1:${port}`, `tls://localhost:${port}`]) {
        const misled = rig.worker('b', { ...short, tls, servers });
        await assert.rejects(misled.open(new Watch()), { code: 'nats_unreachable', message: /altnames/ });
      }
      await rig.server.kill();
      await rig.server.restart('');
      const plain = rig.worker('c', { ...short, servers: `tls://localhost:${port}` });
      await assert.rejects(plain.open(new Watch()), { code: 'nats_unreachable', message: /tls/i });
    }),
  );

  test(`nats ${version}: clusters with different prefixes do not hear each other`, TEST, () =>
    withNats(path, '', async (rig) => {
      const buses = ['one', 'two', 'one.more'].map((prefix) => ({
        master: rig.master({ prefix }),
        worker: rig.worker('w', { prefix }),
        prefix,
      }));
      const watches = await Promise.all(
        buses.map(async ({ master, worker }) => [await opened(master), await opened(worker)] as const),
      );
      for (const { master, worker, prefix } of buses) {
        worker.send({ to: 'masters' }, bytes(prefix));
        worker.send({ to: 'master', id: 'master-1' }, bytes(prefix));
        master.send({ to: 'workers' }, bytes(prefix));
        master.send({ to: 'worker', id: 'w' }, bytes(prefix));
      }
      // What the server has taken it has sent on; a wrong one would be there with the right ones.
      for (const [i, [atMaster, atWorker]] of watches.entries()) {
        const { prefix } = buses[i] as (typeof buses)[number];
        for (const watch of [atMaster, atWorker]) {
          await watch.until(() => watch.frames.length >= 2);
          assert.deepEqual(watch.texts(), [prefix, prefix]);
        }
      }
    }),
  );

  test(`nats ${version}: a stolen worker's credential forges nothing`, TEST, () =>
    withNats(path, permissionSettings(), async (rig) => {
      const master = rig.master(as('master'));
      const worker = rig.worker('a-session-nobody-guesses', as('worker'));
      const atMaster = await opened(master);
      const atWorker = await opened(worker);
      const thief = await BareNats.connect(rig.server.port, { user: 'worker', pass: 'worker' });
      const spy = await BareNats.connect(rig.server.port, { user: 'master', pass: 'master' });
      spy.subscribe('gimmework.ms.*');
      await spy.said();

      const inbox = inboxOf(worker.id);
      const forged = [
        'gimmework.ws.master-1',
        `gimmework.w.${inbox}.master-1`,
        '$KV.claims.epic',
        '$JS.API.STREAM.NAMES',
        '_INBOX.x',
        'gimmework.m',
        'gimmework.ms.thief.more',
        'other.ms.thief',
      ];
      for (const subject of forged) thief.publish(subject, 'forged');
      const said = await thief.said();
      for (const subject of forged)
        assert.ok(said.includes(`Publish to "${subject}"`), `${subject} is denied`);
      for (const subject of ['gimmework.m.>', 'gimmework.ms.*', 'gimmework.>', '>', '$KV.>']) {
        thief.subscribe(subject);
        assert.match(await thief.said(), /Permissions Violation for Subscription/, subject);
      }

      // It may hear the inboxes, but no session's id is there or in what is sent to them.
      thief.subscribe('gimmework.w.*.*');
      thief.subscribe('gimmework.ws.*');
      await thief.said();
      worker.send({ to: 'masters' }, bytes('report'));
      await atMaster.until(() => atMaster.frames.length === 1);
      master.send({ to: 'worker', id: worker.id }, bytes('work'));
      master.send({ to: 'workers' }, bytes('available'));
      await atWorker.until(() => atWorker.frames.length === 2);
      const heard = await thief.said();
      assert.match(heard, /work\r\n/);
      assert.ok(!heard.includes(worker.id), 'the session is not told');

      // So it speaks as itself, whatever it claims; and nobody answers where it cannot publish.
      thief.publish(`gimmework.m.master-1.${inbox}`, 'as the inbox', '$KV.claims.epic');
      thief.publish('gimmework.ms.thief', 'as itself', 'gimmework.ws.master-1');
      await atMaster.until(() => atMaster.frames.length === 3);
      assert.deepEqual(
        atMaster.frames.map(({ from }) => from),
        [worker.id, inbox, 'thief'],
      );
      assert.deepEqual(atWorker.texts(), ['work', 'available']);
      assert.equal(master.counts().denied, 0);
      for (const client of [thief, spy]) client.end();
    }),
  );

  test(`nats ${version}: a credential of the other role is told at once, and counted`, TEST, () =>
    withNats(path, permissionSettings(), async (rig) => {
      const message =
        /^NATS at \S+ does not permit what this node needs \(Permissions Violation for Subscription/;
      await assert.rejects(rig.master(as('worker')).open(new Watch()), { code: 'nats_refused', message });
      // One that may listen but not speak is up; the server says at each frame that it denies it.
      await rig.server.kill();
      await rig.server.restart(
        'authorization { users: [{ user: u, password: u, permissions: { publish: { deny: ">" } } }] }',
      );
      const mute = rig.worker('mute', as('u'));
      await opened(mute);
      for (let i = 0; i < 3; i++) mute.send({ to: 'masters' }, bytes('denied'));
      await soon(() => mute.counts().denied === 3);
      const lines = rig.lines.filter((line) => line.includes('NATS denies this publish'));
      assert.equal(lines.length, 1, 'it is logged once');
      assert.match(lines[0] ?? '', /code=nats_refused .*subject=gimmework\.ms\.mute/);
    }),
  );
}

function tlsSettings(name: string): string {
  const [cert, key, ca] = [`${name}.pem`, `${name}.key`, 'ca.pem'].map((file) =>
    JSON.stringify(fixture(file)),
  );
  return `tls { cert_file: ${cert}, key_file: ${key}, ca_file: ${ca}, verify: true }`;
}
