/**
 * What Prometheus scrapes from a master and its workers equals the line of arithmetic and what the mail server
 * counted, and promtool finds nothing wrong with it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFile } from 'node:fs/promises';
import { test } from 'node:test';
import { GENERATED_COLUMNS } from '../../works/newsletter/main.ts';
import { assertTotals, type Cluster, withCluster } from '../processes/cluster.ts';
import type { Process } from '../processes/process.ts';
import { until } from '../processes/until.ts';
import { toolPath } from '../tools.ts';

const ROWS = 1_000;
const BAD_ROWS = 3;
const SLOTS = 8;
const OUTCOMES = ['succeeded', 'failed', 'unknown', 'skipped', 'cancelled', 'missing'] as const;

/** What was scraped: each sample by its name with labels, without the prefix of Gimmework. */
type Scrape = { text: string; samples: Map<string, number> };

async function scrape(url: string): Promise<Scrape> {
  const answer = await fetch(`${url}/metrics`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^gimmework_(\S+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (name !== undefined) samples.set(name, Number(value));
  }
  return { text, samples };
}

/** The sum of a sample over several processes; one that nobody has is 0. */
function sum(scrapes: Scrape[], sample: string): number {
  return scrapes.reduce((total, { samples }) => total + (samples.get(sample) ?? 0), 0);
}

function assertNoQueueOver({ samples }: Scrape): void {
  const limits = [...samples].filter(([name]) => name.startsWith('mailbox_limit{'));
  assert.ok(limits.length >= 5, 'the queues were not found');
  for (const [name, limit] of limits) {
    const most = samples.get(name.replace('mailbox_limit', 'mailbox_depth_max')) ?? Number.NaN;
    const now = samples.get(name.replace('mailbox_limit', 'mailbox_depth')) ?? Number.NaN;
    assert.ok(now <= most && most <= limit, `${name}: ${now}, at most ${most}, of ${limit}`);
  }
}

function assertPromtoolIsContent({ text }: Scrape): void {
  const checked = spawnSync(toolPath('promtool'), ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.deepEqual([checked.status, checked.stdout + checked.stderr], [0, '']);
}

async function metricsOf(worker: Process): Promise<string> {
  return `http://127.0.0.1:${(await worker.line(/worker ready.* metrics=(\d+)/))[1]}`;
}

async function recipients(c: Cluster): Promise<string> {
  const path = await c.recipients(ROWS);
  const row = GENERATED_COLUMNS.split(',')
    .map((column) => (column === 'email' ? 'nobody' : 'x'))
    .join(',');
  await appendFile(path, `${row}\n`.repeat(BAD_ROWS));
  return path;
}

test(
  'after an epic the counters of master and workers equal its arithmetic',
  withCluster(async (c) => {
    const faults = ['--reject', '2%', '--defer', '3%', '--latency', '5ms'];
    const [, stub] = await Promise.all([c.master(), c.stub(...faults)]);
    const flags = ['--slots', String(SLOTS), '--metrics-listen', '127.0.0.1:0'];
    const workers = [c.worker(stub, ...flags), c.worker(stub, ...flags)];
    const urls = await Promise.all(workers.map(metricsOf));
    const { totals } = await c.finished(await c.submit(await recipients(c)));
    const mails = await stub.close();
    const rejected = ROWS - mails.distinct;
    assert.ok(rejected > 0, 'nobody was rejected');
    const expected = { read: ROWS + BAD_ROWS, succeeded: mails.distinct, failed: rejected + BAD_ROWS };
    assertTotals({ totals } as Parameters<typeof assertTotals>[0], expected);

    const master = await scrape(c.url);
    const of = (sample: string): number => master.samples.get(sample) ?? 0;
    assert.equal(of('units_read_total{work="newsletter"}'), totals.read);
    for (const outcome of OUTCOMES) {
      assert.equal(
        of(`units_finished_total{work="newsletter",outcome="${outcome}"}`),
        totals[outcome],
        outcome,
      );
    }
    assert.equal(of('epics{work="newsletter",state="finished"}'), 1);
    assert.equal(of('epics_finished_total{work="newsletter",outcome="finished"}'), 1);
    assert.equal(of('workers{state="ready"}'), 2);
    for (const state of ['ready', 'leased', 'delayed']) {
      assert.equal(of(`units{work="newsletter",state="${state}"}`), 0, state);
    }
    assert.ok(of('store_append_records_total') > 0);
    assertNoQueueOver(master);

    const emptied = await until(
      'nothing is held',
      () => Promise.all(urls.map(scrape)),
      (scrapes) => sum(scrapes, 'mailbox_depth') === 0 && sum(scrapes, 'worker_slots_busy') === 0,
    );
    const attempts = (step: string, outcome: string): number =>
      sum(emptied, `step_attempts_total{work="newsletter",step="${step}",outcome="${outcome}"}`);
    assert.equal(attempts('render', 'done'), ROWS);
    assert.equal(attempts('send', 'done'), totals.succeeded);
    assert.equal(attempts('send', 'failed'), rejected);
    assert.ok(attempts('send', 'retried') > 0, 'nobody was deferred');
    for (const outcome of ['done', 'failed', 'retried']) {
      const count = `step_duration_seconds_count{work="newsletter",step="send",outcome="${outcome}"}`;
      assert.equal(sum(emptied, count), attempts('send', outcome), outcome);
    }
    assert.equal(sum(emptied, 'worker_slots'), 2 * SLOTS);
    const replies = (of: string): number => sum(emptied, `smtp_replies_total{class="${of}"}`);
    assert.equal(replies('2xx'), totals.succeeded);
    assert.equal(replies('5xx'), rejected);
    assert.equal(replies('4xx'), attempts('send', 'retried'));
    assert.equal(replies('none'), 0);
    for (const { samples } of [master, ...emptied]) {
      assert.equal(samples.get('link_reconnects_total{link="ws"}'), 0);
    }
    for (const { samples } of emptied) assert.ok((samples.get('mailbox_depth_max') ?? 0) >= SLOTS);
    for (const each of [master, ...emptied]) assertPromtoolIsContent(each);
    for (const worker of workers) assert.equal((await worker.end('SIGTERM')).code, 0);
  }),
);
