/**
 * The newsletter over a real nats-server, by the commands as a person types them: workers that leave, a server
 * that is killed and comes back, a master that is started anew. Totals are exact and no mail comes twice.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { EpicStatus } from '../../client/index.ts';
import { assertTotals, type Cluster, type Stub, withCluster } from '../processes/cluster.ts';
import type { Process } from '../processes/process.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { type FoundTool, natsServers } from '../tools.ts';

const ROWS = 2_000;
const KILLED_ROWS = 1_000;
const NEWEST = natsServers().at(-1) as FoundTool;

async function natsFor(t: TestContext, { path }: FoundTool): Promise<NatsServer> {
  const nats = await NatsServer.start({ path });
  t.after(() => nats.end());
  return nats;
}

async function startMaster(c: Cluster, nats: NatsServer): Promise<Process> {
  const master = c.gimme(
    'master',
    ...['--listen', '127.0.0.1:0', '--data', c.path('data'), '--nats', nats.url],
  );
  const [, url, link] = await master.line(/^master +(http:\S+) .* link (\S+)/);
  c.url = url as string;
  assert.equal(link, 'nats');
  return master;
}

function startWorker(c: Cluster, nats: NatsServer, stub: Stub, ...args: string[]): Process {
  const mail = ['--works', 'newsletter', '--smtp', stub.url, '--smtp-retry-first', '200ms'];
  return c.gimme('worker', '--nats', nats.url, ...mail, '--slots', '8', ...args);
}

for (const tool of natsServers()) {
  test(
    `over nats-server ${tool.version}: 2,000 mails by two workers, one of which leaves mid-way`,
    withCluster(async (c, t) => {
      const nats = await natsFor(t, tool);
      const [, stub] = await Promise.all([
        startMaster(c, nats),
        c.stub('--latency', '40ms', '--reject', '1%'),
      ]);
      const first = startWorker(c, nats, stub);
      const second = startWorker(c, nats, stub);
      for (const worker of [first, second]) await worker.line(/worker ready/);
      const files = ['--source', await c.recipients(ROWS), '--brief', await c.brief()];
      const submitted = await c.run('epic', 'submit', 'newsletter', ...files, '-o', 'json');
      assert.equal(submitted.code, 0, submitted.err);
      const { id } = JSON.parse(submitted.out) as EpicStatus;

      await c.reach(id, 'a tenth done', (epic) => epic.totals.succeeded > ROWS / 10);
      await c.known(first, (worker) => worker.held > 0);
      assert.equal((await first.end('SIGTERM')).code, 0, first.lastWords());
      assert.equal((await c.status(id)).state, 'running', 'it left too late to show anything');
      assert.equal((await c.client.workers()).length, 1);

      assert.equal((await c.run('epic', 'wait', id)).code, 6, 'some were rejected');
      const mails = await stub.close();
      const rejected = ROWS - mails.distinct;
      assert.ok(rejected > 0 && rejected < ROWS * 0.03, `${rejected} rejected`);
      assertTotals(await c.status(id), { read: ROWS, succeeded: mails.distinct, failed: rejected });
      assert.deepEqual(mails.twice, []);
      assert.equal((await second.end('SIGTERM')).code, 0);
    }),
  );

  test(
    `over nats-server ${tool.version}: killed and started again mid-way, it costs nothing`,
    withCluster(async (c, t) => {
      const nats = await natsFor(t, tool);
      const [master, stub] = await Promise.all([startMaster(c, nats), c.stub('--latency', '80ms')]);
      const workers = [startWorker(c, nats, stub), startWorker(c, nats, stub)];
      for (const worker of workers) await worker.line(/worker ready/);
      const id = await c.submit(await c.recipients(KILLED_ROWS));

      await c.reach(id, 'a quarter done', (epic) => epic.totals.succeeded > KILLED_ROWS / 4);
      for (const worker of workers) await c.known(worker, ({ held }) => held > 0);
      await nats.kill();
      for (const process of [master, ...workers]) await process.line(/the link (to the master )?is down/);
      assert.equal((await c.status(id)).state, 'running', 'the epic was over before the kill');
      const down = await c.run('status');
      assert.equal(down.code, 1, down.err);
      assert.match(down.out, /NOT READY: the link to the workers is down/);
      await nats.restart();

      const over = await c.finished(id);
      const mails = await stub.close();
      assertTotals(over, { read: KILLED_ROWS, succeeded: KILLED_ROWS });
      assert.deepEqual(mails.twice, []);
      assert.equal(mails.distinct, KILLED_ROWS);
      const up = await c.run('status');
      assert.equal(up.code, 0, up.out);
      assert.match(up.out, /workers {2}2 ready, 0 draining, 0 suspect/);
      for (const process of [...workers, master]) assert.equal((await process.end('SIGTERM')).code, 0);
    }),
  );
}

test(
  'workers that wait are known to a master that is started anew, before it has any epic',
  withCluster(async (c, t) => {
    const nats = await natsFor(t, NEWEST);
    const [master, stub] = await Promise.all([startMaster(c, nats), c.stub()]);
    const worker = startWorker(c, nats, stub);
    await c.known(worker);
    assert.equal((await master.end('SIGTERM')).code, 0);
    await startMaster(c, nats);
    await c.known(worker);
    const files = ['--source', await c.recipients(100), '--brief', await c.brief()];
    const submitted = await c.run('epic', 'submit', 'newsletter', '--strict', '--watch', ...files);
    assert.equal(submitted.code, 0, submitted.err);
    assert.match(submitted.out, /read 100 = succeeded 100 /);
  }),
);

test(
  'an operator drains a worker by its name, mid-way, and waits until it is gone',
  withCluster(async (c, t) => {
    const nats = await natsFor(t, NEWEST);
    const [, stub] = await Promise.all([startMaster(c, nats), c.stub('--latency', '40ms')]);
    const leaving = startWorker(c, nats, stub, '--name', 'leaving');
    const staying = startWorker(c, nats, stub, '--name', 'staying');
    for (const worker of [leaving, staying]) await c.known(worker);
    const id = await c.submit(await c.recipients(600));
    await c.known(leaving, (worker) => worker.held > 0);
    const drained = await c.run('worker', 'drain', 'leaving', '--wait');
    assert.equal(drained.code, 0, drained.err);
    assert.match(drained.out, /^worker leaving \(\S+\) drains: it held \d+ units$/);
    assert.equal((await leaving.gone('when drained')).code, 0, leaving.lastWords());
    const { out } = await c.run('worker', 'ls', '-o', 'jsonl');
    assert.deepEqual(
      out.split('\n').map((line) => (JSON.parse(line) as { name: string }).name),
      ['staying'],
    );
    assertTotals(await c.finished(id), { read: 600, succeeded: 600 });
    const mails = await stub.close();
    assert.deepEqual([mails.distinct, mails.twice], [600, []]);
  }),
);

test(
  'a worker that comes by WebSocket to a master over NATS is told which way to come',
  withCluster(async (c, t) => {
    const nats = await natsFor(t, NEWEST);
    const [, stub] = await Promise.all([startMaster(c, nats), c.stub()]);
    const worker = c.worker(stub);
    assert.equal((await worker.gone('when refused')).code, 4);
    assert.match(worker.lastWords(), /refused this worker.*workers reach this master over NATS/);
  }),
);

test(
  'clusters with prefixes of their own share a server and do not see each other',
  withCluster(async (c, t) => {
    const nats = await natsFor(t, NEWEST);
    const stub = await c.stub();
    const prefixed = (prefix: string): Promise<string> =>
      c
        .gimme(
          ...['master', '--listen', '127.0.0.1:0', '--data', c.path(prefix)],
          ...['--nats', nats.url, '--nats-prefix', prefix],
        )
        .line(/^master +(http:\S+)/)
        .then((found) => found[1] as string);
    const [a, b] = await Promise.all([prefixed('team.a'), prefixed('team.b')]);
    const worker = startWorker(c, nats, stub, '--nats-prefix', 'team.b');
    c.url = b;
    await c.known(worker);
    c.url = a;
    assert.deepEqual(await c.client.workers(), []);
    const alone = startWorker(c, nats, stub, '--nats-prefix', 'team.c');
    await alone.line(/no master answers yet; waiting for one nats=\S+ prefix=team\.c/);
    assert.equal((await alone.end('SIGTERM')).code, 0, alone.lastWords());
  }),
);
