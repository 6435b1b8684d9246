/**
 * A real Prometheus: it takes the shipped settings and alerts, and what it scraped from a master and two workers
 * during a newsletter is the line of arithmetic, asked of its own API.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { type Cluster, withCluster } from '../processes/cluster.ts';
import { PATIENCE_MS, type Process } from '../processes/process.ts';
import { until } from '../processes/until.ts';
import { ROOT, textOf } from '../tidy/sources.ts';
import { toolPath } from '../tools.ts';

const ROWS = 1_000;
const OUTCOMES = ['succeeded', 'failed', 'unknown', 'skipped', 'cancelled', 'missing'] as const;

function promtool(...args: string[]): string {
  const ran = spawnSync(toolPath('promtool'), args, { cwd: ROOT, encoding: 'utf8' });
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
  return ran.stdout;
}

test('promtool takes prometheus.yml and the alerts that it names', () => {
  assert.match(promtool('check', 'config', 'deploy/prometheus.yml'), /SUCCESS: 1 rule files found/);
  assert.match(promtool('check', 'rules', 'deploy/alerts.yml'), /SUCCESS: \d+ rules found/);
});

test('each alert is silent where all is well and fires where it should', () => {
  const fixture = 'test/fixtures/prometheus/alerts.yml';
  promtool('test', 'rules', fixture);
  const names = alertNames();
  assert.ok(names.length > 5);
  const cases = textOf(fixture);
  for (const name of names) {
    assert.match(cases, new RegExp(`alertname: ${name}, exp_alerts: \\[\\]`), `${name} is never silent`);
    assert.match(
      cases,
      new RegExp(`alertname: ${name}\\n +exp_alerts:\\n +- exp_labels`),
      `${name} never fires`,
    );
  }
});

function alertNames(): string[] {
  return [...textOf('deploy/alerts.yml').matchAll(/- alert: (\w+)/g)].map(([, name]) => name as string);
}

type Sample = { metric: Record<string, string>; value: number };

class Prometheus {
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  /** Starts one that scrapes these addresses often, with the shipped alerts; it ends with the test. */
  static async start(t: TestContext, dir: string, targets: Record<string, string[]>): Promise<Prometheus> {
    const jobs = Object.entries(targets).map(
      ([job, addresses]) =>
        `  - job_name: ${job}\n    static_configs:\n      - targets: ${JSON.stringify(addresses)}\n`,
    );
    const file = join(dir, 'prometheus.yml');
    const often = 'global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }';
    const rules = `rule_files: [${JSON.stringify(join(ROOT, 'deploy/alerts.yml'))}]`;
    writeFileSync(file, `${often}\n${rules}\nscrape_configs:\n${jobs.join('')}`);
    const storage = `--storage.tsdb.path=${join(dir, 'prometheus')}`;
    const args = [`--config.file=${file}`, storage, '--web.listen-address=127.0.0.1:0'];
    const child = spawn(toolPath('prometheus'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(child, 'exit');
    t.after(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return new Prometheus(`http://127.0.0.1:${await portOf(child)}`);
  }

  async query(expression: string): Promise<Sample[]> {
    const { result } = await this.#ask(`query?query=${encodeURIComponent(expression)}`);
    return (result as { metric: Record<string, string>; value: [number, string] }[]).map(
      ({ metric, value }) => ({ metric, value: Number(value[1]) }),
    );
  }

  /** The value of a query that has one. */
  async value(expression: string): Promise<number | undefined> {
    return (await this.query(expression))[0]?.value;
  }

  async firing(): Promise<unknown[]> {
    const { alerts } = await this.#ask('alerts');
    return (alerts as { state: string }[]).filter(({ state }) => state === 'firing');
  }

  /** Names of the alerts that it watches. */
  async rules(): Promise<string[]> {
    const { groups } = await this.#ask('rules');
    return (groups as { rules: { name: string }[] }[]).flatMap(({ rules }) => rules.map(({ name }) => name));
  }

  async #ask(what: string): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.url}/api/v1/${what}`);
    const { status, data } = (await answer.json()) as { status: string; data: Record<string, unknown> };
    assert.equal(status, 'success', what);
    return data;
  }
}

/** Waits until it serves, and reads from its log where. */
function portOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    const fail = (why: string): void => reject(new Error(`Prometheus ${why}\n${lines.join('\n')}`));
    const timer = setTimeout(() => fail('was not ready in time'), PATIENCE_MS);
    child.once('exit', () => fail('ended'));
    let port = '';
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      lines.push(line);
      port = /Listening on".* address=127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? port;
      if (!line.includes('Server is ready to receive web requests')) return;
      clearTimeout(timer);
      resolve(port);
    });
  });
}

async function addressOf(worker: Process): Promise<string> {
  return `127.0.0.1:${(await worker.line(/worker ready.* metrics=(\d+)/))[1]}`;
}

/** Starts a master, a mail server and two workers, and a Prometheus that scrapes all three nodes. */
async function scraped(c: Cluster, t: TestContext) {
  const [, stub] = await Promise.all([
    c.master(),
    c.stub('--latency', '60ms', '--reject', '2%', '--defer', '3%'),
  ]);
  const workers = [1, 2].map(() => c.worker(stub, '--slots', '8', '--metrics-listen', '127.0.0.1:0'));
  const targets = {
    'gimmework-master': [new URL(c.url).host],
    'gimmework-worker': await Promise.all(workers.map(addressOf)),
  };
  const prometheus = await Prometheus.start(t, c.dir, targets);
  for (const worker of workers) await c.known(worker);
  return { stub, prometheus };
}

test(
  'what Prometheus scraped from a master and two workers is the arithmetic of the newsletter',
  withCluster(async (c, t) => {
    const { stub, prometheus } = await scraped(c, t);
    await until(
      'all three are scraped',
      () => prometheus.value('sum(up)'),
      (up) => up === 3,
    );
    const id = await c.submit(await c.recipients(ROWS));
    const inTheMiddle = 'sum(gimmework_units_finished_total) and sum(gimmework_units{state="leased"}) > 0';
    const seen = await until(
      'it sees the newsletter run',
      () => prometheus.value(inTheMiddle),
      (n) => (n ?? 0) > 0,
    );
    assert.ok((seen ?? ROWS) < ROWS);

    const { totals } = await c.finished(id);
    const mails = await stub.close();
    assert.equal(totals.succeeded, mails.distinct);
    assert.equal(totals.read, ROWS);
    assert.ok(totals.failed > 0, 'nobody was rejected');
    const settled = () => prometheus.value('sum(gimmework_units_finished_total)');
    assert.equal(await until('the last scrape came', settled, (n) => n === ROWS), ROWS);
    assert.equal(await prometheus.value('gimmework_units_read_total{work="newsletter"}'), totals.read);
    const byOutcome = await prometheus.query(
      'sum by (outcome) (gimmework_units_finished_total{work="newsletter"})',
    );
    assert.deepEqual(
      Object.fromEntries(byOutcome.map(({ metric, value }) => [metric['outcome'], value])),
      Object.fromEntries(OUTCOMES.map((outcome) => [outcome, totals[outcome]])),
    );
    const rest = 'gimmework_units_read_total - on (work) sum by (work) (gimmework_units_finished_total)';
    assert.equal(await prometheus.value(rest), 0, 'nothing is outstanding');

    const sent = 'sum(gimmework_step_attempts_total{step="send",outcome="done"})';
    assert.equal(
      await until(
        'so it did of the workers',
        () => prometheus.value(sent),
        (n) => n === totals.succeeded,
      ),
      totals.succeeded,
    );
    assert.equal(await prometheus.value('sum(gimmework_smtp_replies_total{class="2xx"})'), totals.succeeded);
    assert.equal(await prometheus.value('sum(gimmework_smtp_replies_total{class="5xx"})'), totals.failed);
    assert.equal(
      await prometheus.value('count(gimmework_step_attempts_total{step="send",outcome="done"})'),
      2,
    );

    assert.ok(((await prometheus.value('count(gimmework_mailbox_limit{queue!=""})')) ?? 0) >= 5);
    assert.equal(await prometheus.value('count(gimmework_mailbox_limit{queue=""})'), 2);
    assert.deepEqual(await prometheus.query('gimmework_mailbox_depth_max > gimmework_mailbox_limit'), []);
    const counted = ['units_read', 'units_finished', 'step_attempts', 'smtp_replies', 'store_append_records'];
    for (const name of counted) {
      assert.deepEqual(await prometheus.query(`resets(gimmework_${name}_total[10m]) > 0`), [], name);
    }
    assert.deepEqual(await prometheus.firing(), []);
    assert.deepEqual(await prometheus.rules(), alertNames());
  }),
);
