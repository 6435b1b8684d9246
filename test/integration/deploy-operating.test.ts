/** docs/OPERATING.md and alerts.yml name only what is there: metrics, alerts, queues, variables, flags, limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DRAIN_MS,
  EPICS_FINISHED_KEPT_MAX,
  LEASE_MS,
  METRIC_WORKS_MAX,
  NATS_CONNECT_MS,
} from '../../shared/core/limits.ts';
import { metricRows, withMetrics } from '../tidy/metricsTable.ts';
import { codeUnder, textOf } from '../tidy/sources.ts';
import { TABLES, variablesOf } from './deployRig.ts';

const page = textOf('docs/OPERATING.md');
const alerts = textOf('deploy/alerts.yml');

/** Different texts that match, sorted. */
function found(text: string, pattern: RegExp): string[] {
  return [...new Set(text.match(pattern))].sort();
}

test('the metrics of the page are those of the code (else: npm run docs)', () => {
  assert.equal(withMetrics(page), page);
  const { master, worker } = metricRows();
  assert.ok(master.length > 20 && worker.length > 8);
  for (const { name, help } of [...master, ...worker]) assert.match(help, /^[A-Z].*[^.]$/, name);
});

test('every metric that the page or an alert speaks of is served', () => {
  const { master, worker } = metricRows();
  const served = new Set([...master, ...worker].map(({ name }) => name));
  for (const text of [page, alerts]) {
    const named = found(text, /\bgimmework_[a-z_]+/g);
    assert.ok(named.length > 8);
    for (const name of named) assert.ok(served.has(name.replace(/_(bucket|count|sum)$/, '')), name);
  }
});

test('every alert has its row, and every row its alert', () => {
  const told = [...page.matchAll(/^\| `(Gimmework\w+)` \|/gm)].map(([, name]) => name);
  const shipped = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  assert.deepEqual(told, shipped);
  for (const name of found(page, /\bGimmework[A-Z]\w+/g)) assert.ok(shipped.includes(name), name);
});

test('the queues of the page are those that the master watches', () => {
  const row = /^\| `queue` \|.*$/m.exec(page)?.[0] ?? '';
  const watched = [...textOf('master/io/depths.ts').matchAll(/#note\(\s*'(\w+)'/g)].map(([, name]) => name);
  assert.deepEqual(found(row, /(?<=`)[a-z]+_[a-z]+(?=`)/g), [...new Set(watched)].sort());
  const alarmed = /queue=~"([^"]+)"/.exec(alerts)?.[1]?.split('|') ?? [];
  assert.ok(alarmed.length > 2);
  for (const queue of alarmed) assert.ok(watched.includes(queue), queue);
});

test('every variable and flag of the page is read by the program', () => {
  const variables = new Set(Object.values(TABLES).flatMap((table) => [...variablesOf(table)]));
  const others = textOf('deploy/nats.conf') + textOf('cli/run.ts');
  for (const variable of found(page, /\bGIMMEWORK_\w+/g)) {
    assert.ok(variables.has(variable) || others.includes(variable), variable);
  }
  const code = codeUnder('cli').map(textOf).join('\n');
  // Those of nats-server and docker stand in their own commands.
  const ours = page.replace(/^(?:docker|nats-server) .*$/gm, '');
  const flags = found(ours, /(?<![\w-])--[a-z][\w-]+/g);
  assert.ok(flags.length > 8);
  for (const flag of flags) assert.ok(new RegExp(`'${flag}[ ']`).test(code), flag);
});

test('every time and number of the page is the limit that it speaks of', () => {
  const said: [RegExp, number][] = [
    [/its lease \((\d+) s\)/, LEASE_MS / 1_000],
    [/what it has begun \(at most (\d+) s\)/, DRAIN_MS / 1_000],
    [/more than the (\d+) s of the drain/, DRAIN_MS / 1_000],
    [/NATS within (\d+) s of its start/, NATS_CONNECT_MS / 1_000],
    [/newest\s+([\d,]+)/, EPICS_FINISHED_KEPT_MAX],
    [/the first (\d+) count as/, METRIC_WORKS_MAX],
  ];
  for (const [pattern, limit] of said) {
    assert.equal(Number(pattern.exec(page)?.[1]?.replace(',', '')), limit, String(pattern));
  }
});
