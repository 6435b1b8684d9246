/**
 * What a person does after a newsletter that did not go well, by the real commands on a real journal: see what failed,
 * also after the master was killed, have it sent again, and never twice what may have gone out.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import Database from 'better-sqlite3';
import type { FailureGroup, RetryAnswer, UnitPage, UnitStory, UnitView } from '../../client/index.ts';
import { assertTotals, type Cluster, withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';
import { until } from '../processes/until.ts';

const ROWS = 300;

async function json<T>(c: Cluster, ...args: string[]): Promise<T> {
  const { code, out, err } = await c.run('epic', ...args, '-o', 'json');
  assert.equal(code, 0, err);
  return JSON.parse(out) as T;
}

const addressOf = (unit: number): string => `reader.${String(unit).padStart(9, '0')}@example.com`;
const numbersOf = (units: readonly UnitView[]): number[] => units.map(({ unit }) => unit);

describe('second tries', { concurrency: 2 }, () => {
  test(
    'failed mails are listed with address and data, also after kill -9, and sent again under the same Message-IDs',
    withCluster(async (c) => {
      const port = await lastingPort();
      const [first, stub] = await Promise.all([
        c.master(port),
        c.stub('--reject', '30%', '--drop-reply', '10%'),
      ]);
      const worker = c.worker(stub);
      const id = await c.submit(await c.recipients(ROWS));
      const before = await c.finished(id);
      const { failed, unknown, succeeded } = before.totals;
      assertTotals(before, { read: ROWS, succeeded, failed, unknown });
      assert.ok(failed > 10 && unknown > 2, JSON.stringify(before.totals));
      assert.equal((await worker.end('SIGTERM')).code, 0);

      const page = await json<UnitPage>(c, 'units', id, '--state', 'failed', '--limit', '500');
      assert.equal(page.units.length, failed);
      for (const { unit, record, key, data, code, step } of page.units) {
        assert.deepEqual([record, key, code, step], [unit + 1, addressOf(unit), 'smtp_rejected', 'send']);
        assert.ok(data?.startsWith(`${addressOf(unit)},`), data);
      }
      await first.end('SIGKILL');
      await c.master(port);
      assert.deepEqual(await json<UnitPage>(c, 'units', id, '--state', 'failed', '--limit', '500'), page);
      const { failures } = await json<{ failures: FailureGroup[] }>(c, 'failures', id);
      assert.deepEqual(
        failures.map(({ code, count }) => [code, count]),
        [
          ['smtp_rejected', failed],
          ['effect_unknown', unknown],
        ],
      );
      assert.deepEqual(failures[0]?.example, page.units[0]);
      await until(
        'examples are there again',
        () => c.status(id),
        (epic) => epic.examples?.length === 5,
      );
      const text = await c.run('epic', 'failures', id);
      assert.match(text.out, /^CODE +UNITS +FIRST +KEY +WHAT IT SAYS\nsmtp_rejected +\d+ +\d+ +reader\.\d+@/);
      assert.match(
        text.err,
        new RegExp(`Next: gimme epic units ${id} --code smtp_rejected \\| gimme epic retry`),
      );

      const sound = await c.stub();
      c.worker(sound);
      const [lost] = (await json<UnitPage>(c, 'units', id, '--state', 'unknown')).units;
      assert.ok(lost);
      const dry = await json<RetryAnswer>(c, 'retry', id, '--dry-run');
      assert.deepEqual(dry, { count: failed, leftOut: 0 });
      const retry = await c.run('epic', 'retry', id, '--watch');
      assert.equal(retry.code, 0, retry.err);
      assert.match(retry.err, new RegExp(`submitted ${id}-retry as \\S+: ${failed} units`));
      const sent = sound.mails();
      assert.deepEqual(sent.units, numbersOf(page.units), 'exactly those, and each once');
      assert.equal(sent.accepted, failed);
      assert.ok(
        sent.all.every(({ epic }) => epic === id),
        'under the Message-IDs of the first try',
      );
      const again = await c.run('epic', 'retry', id);
      assert.deepEqual([again.code, /is tried, or was, by/.test(again.err)], [8, true], again.err);

      const unsure = await c.run('epic', 'retry', id, '--state', 'unknown');
      assert.deepEqual(
        [unsure.code, unsure.err.includes(`the name of the epic, ${id}`)],
        [2, true],
        unsure.err,
      );
      const sure = await json<RetryAnswer>(c, 'retry', id, '--state', 'unknown', '--confirm', id);
      assert.equal(sure.count, unknown);
      await c.finished(sure.epic?.id ?? '');
      assert.equal(sound.mails().accepted, failed + unknown);
      assert.deepEqual(sound.mails().twice, []);
      assert.deepEqual((await c.status(id)).totals, before.totals, 'the totals of the first try never move');
      const { err, out } = await c.run('epic', 'why', id, lost.key ?? '');
      assert.match(out, new RegExp(`^unit ${lost.unit} .*nobody knows whether its effect happened`), err);
      assert.match(out, /it was given to epic \S+ \(\S+\) to be tried again$/);
      const got = await c.run('epic', 'get', sure.epic?.id ?? '');
      assert.match(got.out, new RegExp(`retry of ${id}`));
    }),
  );

  test(
    'the story of a unit names its worker, the loss of its lease, and its outcome; on a journal that was replayed',
    withCluster(async (c) => {
      const settings = { leaseMs: 1_500, heartbeatMs: 300 };
      const port = await lastingPort();
      const master = await c.ready(c.durableMaster(port, settings));
      const stub = await c.stub('--latency', '60ms');
      const worker = { works: ['newsletter'], slots: 8, heartbeatMs: 300, smtp: stub.url };
      const victim = c.workerWith(worker);
      const other = c.workerWith(worker);
      const id = await c.submit(await c.recipients(ROWS));
      await c.reach(id, 'under way', (epic) => epic.totals.succeeded > ROWS / 8);
      const { id: lost } = await c.known(victim, ({ held }) => held > worker.slots);
      const { id: kept } = await c.known(other);
      await victim.end('SIGKILL');
      const over = await c.finished(id);
      assert.ok(over.totals.unknown > 0);
      const { units } = await c.client.unitPage(id, { state: 'unknown' });
      assert.equal(units.length, over.totals.unknown);
      await master.end('SIGKILL');
      await c.ready(c.durableMaster(port, settings));

      const doubt = await c.client.story(id, units[0]?.unit ?? -1);
      assert.equal(doubt.state, 'unknown');
      const told = doubt.events.map(({ what }) => what);
      assert.equal(told[0], `it was read from the source, as record ${doubt.record}`);
      assert.ok(told.includes(`worker ${lost} was told that its effect may begin`), told.join('; '));
      assert.match(
        told.at(-1) ?? '',
        new RegExp(`^worker ${lost} was lost: its lease expired, after its effect had`),
      );

      const again = await storyWith(c, id, 'it is granted again');
      assert.equal(again.state, 'succeeded');
      const words = again.events.map(({ what }) => what);
      assert.ok(
        words.includes(`worker ${lost} was lost: its lease expired; it is granted again`),
        words.join('; '),
      );
      assert.match(words.at(-1) ?? '', new RegExp(`^it succeeded on worker .*${kept}`));
      const ats = again.events.map(({ at }) => Date.parse(at));
      assert.deepEqual(
        ats,
        ats.toSorted((a, b) => a - b),
        'oldest first',
      );
    }),
  );

  test(
    'an epic that is over goes after --retention: with its failed units and its upload',
    withCluster(async (c) => {
      const flags = ['--listen', '127.0.0.1:0', '--data', c.path('data'), '--retention', '1s'];
      const master = await c.ready(c.gimme('master', ...flags));
      const stub = await c.stub('--reject', '20%');
      c.worker(stub);
      const id = await c.submit(await c.recipients(60));
      assert.ok((await c.finished(id)).totals.failed > 0);
      const asks = async () => (await c.run('epic', 'units', id)).code;
      await until('it is forgotten', asks, (code) => code === 7);
      assert.deepEqual((await c.client.epics()).epics, []);
      const spool = join(c.path('data'), 'spool');
      await until(
        'its upload is gone',
        () => readdir(spool),
        (files) => files.length === 0,
      );
      assert.equal((await master.end('SIGTERM')).code, 0);
      const database = new Database(join(c.path('data'), 'journal.db'), { readonly: true });
      try {
        assert.equal(database.prepare('SELECT count(*) FROM units').pluck().get(), 0);
      } finally {
        database.close();
      }
    }),
  );
});

/** The story of the first unit to which this happened. */
async function storyWith(c: Cluster, id: string, what: string): Promise<UnitStory> {
  for (let unit = 0; unit < ROWS; unit++) {
    const story = await c.client.story(id, unit);
    if (story.events.some((event) => event.what.includes(what))) return story;
  }
  return assert.fail(`${what} happened to no unit`);
}
