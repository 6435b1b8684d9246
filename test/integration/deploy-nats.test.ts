/**
 * The shipped nats.conf: it is what natsPermissions says, real nodes work under it, and who stole a worker's
 * password forges nothing with it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inboxOf, natsPermissions } from '../../shared/io/bus/natsSubjects.ts';
import { encodeFrame } from '../../shared/protocol/codec.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts';
import { assertTotals, type Cluster, withCluster } from '../processes/cluster.ts';
import type { Process } from '../processes/process.ts';
import { until } from '../processes/until.ts';
import { BareNats } from '../tools/bareNats.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { natsServers } from '../tools.ts';

const CONFIG = fileURLToPath(new URL('../../deploy/nats.conf', import.meta.url));
/** Each is read wrongly by the server unless it is quoted as the file says. */
const PASSWORDS = { master: '12345', worker: '1e5 of w' } as const;
const ENV = {
  GIMMEWORK_NATS_MASTER_PASSWORD: `"${PASSWORDS.master}"`,
  GIMMEWORK_NATS_WORKER_PASSWORD: `"${PASSWORDS.worker}"`,
};
const ROWS = 300;

type Role = keyof typeof PASSWORDS;

const access = (role: Role, password: string = PASSWORDS[role]): Record<string, string> => ({
  GIMMEWORK_NATS_USER: role,
  GIMMEWORK_NATS_PASSWORD: password,
});

async function serverFor(t: TestContext, path: string): Promise<NatsServer> {
  const nats = await NatsServer.start({ path, config: CONFIG, env: ENV });
  t.after(() => nats.end());
  return nats;
}

/** The master's id, once it serves. */
async function startMaster(c: Cluster, nats: NatsServer): Promise<{ master: Process; id: string }> {
  const where = ['--listen', '127.0.0.1:0', '--data', c.path('data'), '--nats', nats.url];
  const master = c.gimmeWith(access('master'), 'master', ...where);
  c.url = (await master.line(/^master +(http:\S+) .* link nats/))[1] as string;
  return { master, id: (await c.masters())[0]?.id as string };
}

function startWorker(c: Cluster, nats: NatsServer, smtp: string): Process {
  const mail = ['--works', 'newsletter', '--smtp', smtp, '--smtp-retry-first', '200ms'];
  const more = ['--slots', '4', '--metrics-listen', '127.0.0.1:0'];
  return c.gimmeWith(access('worker'), 'worker', '--nats', nats.url, ...mail, ...more);
}

async function metric(url: string, sample: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((it) => it.startsWith(`gimmework_${sample} `));
  return Number(line?.split(' ').at(-1));
}

const refused = (c: Cluster): Promise<number> => metric(c.url, 'refused_messages_total');

/** A report that all units of an epic succeeded. */
const forgedReport = (epic: string): Uint8Array =>
  encodeFrame({
    t: 'gimme',
    at: 1_000_000,
    term: 1,
    lastGrant: 1,
    level: 0,
    reports: [{ epic, term: 1, n: 1, ok: [0, ROWS] }],
  });

/** A hello that claims all units of an epic, under the token of the first grant that anybody was given. */
const forgedClaim = (epic: string): Uint8Array =>
  encodeFrame({
    t: 'hello',
    v: PROTOCOL_VERSION,
    ...{ at: 1, term: 1, lastGrant: 1, level: 0 },
    ...{ name: 'thief', works: [], labels: {}, slots: 4, version: '0' },
    held: [{ epic, term: 1, n: 1, units: [0, ROWS], seal: 'AAAAAAAAAAAAAAAAAAAAAA' }],
  });

test('the users of nats.conf may do exactly what natsPermissions says', () => {
  const text = readFileSync(CONFIG, 'utf8').replace(/^\s*#.*$/gm, '');
  const users =
    /user: (\w+)\s+password: (\S+)\s+permissions: \{\s+publish: (\[.*\])\s+subscribe: (\[.*\])\s+\}/g;
  const found = [...text.matchAll(users)].map(([, user, password, publish, subscribe]) => {
    const subjects = { publish: JSON.parse(publish as string), subscribe: JSON.parse(subscribe as string) };
    return [user, password, subjects];
  });
  const { master, worker } = natsPermissions('gimmework');
  assert.deepEqual(found, [
    ['master', '$GIMMEWORK_NATS_MASTER_PASSWORD', master],
    ['worker', '$GIMMEWORK_NATS_WORKER_PASSWORD', worker],
  ]);
  const rights = text.match(
    /\b(user|password|token|permissions|publish|subscribe|allow\w*|no_auth\w*|accounts)\b/g,
  );
  assert.equal(rights?.length, 2 * 5, 'nothing else gives a right');
});

for (const { path, version } of natsServers()) {
  test(`nats-server ${version} takes nats.conf, and not without the passwords`, () => {
    const { GIMMEWORK_NATS_WORKER_PASSWORD: _, ...half } = ENV;
    const check = (env: Record<string, string>) =>
      spawnSync(path, ['-t', '-c', CONFIG], { env, encoding: 'utf8' });
    const good = check(ENV);
    assert.equal(good.status, 0, good.stderr);
    assert.match(
      check(half).stderr,
      /variable reference for 'GIMMEWORK_NATS_WORKER_PASSWORD' .* not be found/,
    );
  });

  test(
    `under nats.conf on ${version}: a newsletter while a thief with the worker's password tries to forge`,
    withCluster(async (c, t) => {
      const nats = await serverFor(t, path);
      const [{ master, id }, stub] = await Promise.all([startMaster(c, nats), c.stub('--latency', '40ms')]);
      const worker = startWorker(c, nats, stub.url);
      const session = (await c.known(worker)).id;
      const epic = await c.submit(await c.recipients(ROWS));
      await c.reach(epic, 'begun', ({ totals }) => totals.succeeded > 0);

      const thief = await BareNats.connect(nats.port, { user: 'worker', pass: PASSWORDS.worker });
      const available = encodeFrame({ t: 'available', v: 1, master: id, term: 9, works: ['newsletter'] });
      const nothing = { work: 'newsletter', brief: '', units: [], seal: '' };
      const work = { t: 'work', term: 9, n: 1, epic, ...nothing } as const;
      const denied: [string, Uint8Array][] = [
        [`gimmework.ws.${id}`, available],
        [`gimmework.w.${inboxOf(session)}.${id}`, encodeFrame(work)],
        ['$KV.claims.epic', available],
        ['$JS.API.STREAM.NAMES', available],
      ];
      for (const [subject, frame] of denied) thief.publish(subject, frame);
      const said = await thief.said();
      for (const [subject] of denied) assert.ok(said.includes(`Violation for Publish to "${subject}"`), said);
      for (const subject of [`gimmework.m.${id}.*`, 'gimmework.>', '$KV.>', '>']) {
        thief.subscribe(subject);
        assert.match(await thief.said(), /Violation for Subscription/, subject);
      }

      // What the server lets through the master refuses, and counts: each of these, and nothing else.
      const before = await refused(c);
      thief.publish(`gimmework.m.${id}.${inboxOf(session)}`, forgedReport(epic));
      thief.publish(`gimmework.m.${id}.another`, forgedReport(epic), '$KV.claims.epic');
      thief.publish('gimmework.ms.another', 'no frame at all', `gimmework.ws.${id}`);
      thief.publish('gimmework.ms.another', '');
      await thief.said();
      assert.equal(
        await until(
          'they are counted',
          () => refused(c),
          (n) => n >= before + 4,
        ),
        before + 4,
      );

      // Nor does a session of its own get another's units by saying so: not its claim, not its report.
      thief.publish('gimmework.ms.another', forgedClaim(epic));
      thief.publish(`gimmework.m.${id}.another`, forgedReport(epic));
      await until(
        'they are counted, too',
        () => refused(c),
        (n) => n >= before + 6,
      );
      assert.ok(
        (await c.client.workers()).some(({ id: known }) => known === 'another'),
        'its hello was taken',
      );
      assert.equal((await c.status(epic)).state, 'running', 'the epic was over too early to show anything');
      assert.ok((await c.status(epic)).totals.succeeded < ROWS);

      assertTotals(await c.finished(epic), { read: ROWS, succeeded: ROWS });
      const mails = await stub.close();
      assert.deepEqual([mails.distinct, mails.twice], [ROWS, []]);
      assert.equal(await refused(c), before + 6);
      thief.end();
      for (const process of [worker, master]) assert.equal((await process.end('SIGTERM')).code, 0);
    }),
  );
}

const NEWEST = natsServers().at(-1)?.path as string;

test(
  'under nats.conf: each loss of the link is counted on both sides',
  withCluster(async (c, t) => {
    const nats = await serverFor(t, NEWEST);
    const [, stub] = await Promise.all([startMaster(c, nats), c.stub()]);
    const worker = startWorker(c, nats, stub.url);
    const port = (await worker.line(/worker ready.* metrics=(\d+)/))[1] as string;
    await c.known(worker);
    const urls = [c.url, `http://127.0.0.1:${port}`];
    const counts = () => Promise.all(urls.map((url) => metric(url, 'link_reconnects_total{link="nats"}')));
    assert.deepEqual(await counts(), [0, 0]);
    for (const times of [1, 2]) {
      await nats.kill();
      await nats.restart();
      const all = await until('both are back', counts, (each) => each.every((count) => count >= times));
      assert.deepEqual(all, [times, times]);
    }
  }),
);

test(
  'under nats.conf: a wrong password, and the other role, end a node with one line',
  withCluster(async (c, t) => {
    const nats = await serverFor(t, NEWEST);
    const where = ['--listen', '127.0.0.1:0', '--data', c.path('data'), '--nats', nats.url];
    const wrong = c.gimmeWith(access('master', PASSWORDS.worker), 'master', ...where);
    assert.equal((await wrong.gone('when refused')).code, 4, wrong.lastWords());
    assert.deepEqual(wrong.err.length, 1, wrong.lastWords());
    assert.match(wrong.err[0] ?? '', /^gimme: NATS at \S+ refused these credentials/);
    const thief = c.gimmeWith(access('worker'), 'master', ...where);
    assert.equal((await thief.gone('when refused')).code, 4, thief.lastWords());
    assert.match(thief.err.at(-1) ?? '', /^gimme: NATS at \S+ does not permit what this node needs/);
  }),
);
