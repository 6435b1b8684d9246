/** The arithmetic, the plot and the page of `npm run bench:peers`, and its peers' modules: no server is needed. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { MAIL_PEER } from '../../../bench/mailing.ts';
import { readOptions } from '../../../bench/options.ts';
import { PEERS } from '../../../bench/peerList.ts';
import { chosenPeers, claimsOver } from '../../../bench/peers.ts';
import { type Outcome, plotOf, report, type System, withSection } from '../../../bench/peersReport.ts';
import { ROOT } from '../../../bench/place.ts';
import { treeCpuMs } from '../../../bench/processTree.ts';
import { brokenBy, ratioOf, resultOf, times } from '../../../bench/ratios.ts';
import { unitText } from '../../../bench/units.ts';

const OURS = 'gimmework, nats + sqlite';
const RATES = new Map([
  [OURS, [1_000, 3_000, 2_000]],
  ['slow', [100, 100, 100]],
  ['fast', [200, 250, 200]],
  ['left out in one round', [200, 250]],
]);

describe('ratios', () => {
  test('are taken round by round, so that a slow moment of the machine hits both', () => {
    assert.deepEqual(ratioOf(RATES, OURS, 'fast'), { median: 10, min: 5, max: 12 });
    assert.deepEqual(ratioOf(RATES, OURS, 'slow'), { median: 20, min: 10, max: 30 });
    assert.equal(ratioOf(RATES, OURS, 'left out in one round'), undefined);
    assert.equal(ratioOf(RATES, OURS, 'unknown'), undefined);
    assert.equal(ratioOf(new Map([[OURS, []]]), OURS, OURS), undefined);
  });

  test('a promise over several holds for the best of them', () => {
    const result = resultOf(RATES, { kind: 'rate', ours: OURS, theirs: ['slow', 'fast'], times: 10 });
    assert.equal(result.best?.name, 'fast');
    assert.deepEqual(brokenBy([result]), []);
    const more = resultOf(RATES, { kind: 'rate', ours: OURS, theirs: ['slow', 'fast'], times: 10.5 });
    assert.deepEqual(brokenBy([more]), [`${OURS}: 10.0x the rate of fast, not 10.5x`]);
  });

  test('a wait is promised to be no longer than so many times theirs', () => {
    const claim = { kind: 'wait', ours: 'fast', theirs: ['slow'], times: 2 } as const;
    assert.deepEqual(brokenBy([resultOf(RATES, claim)]), []);
    const tighter = resultOf(RATES, { ...claim, times: 1.9 });
    assert.deepEqual(brokenBy([tighter]), ['fast: 2.00x the wait of slow, not 1.9x']);
  });

  test('a promise is not kept if one of the peers was not measured', () => {
    const result = resultOf(RATES, { kind: 'rate', ours: OURS, theirs: ['slow', 'gone'], times: 1 });
    assert.equal(result.best, undefined);
    assert.deepEqual(brokenBy([result]), [`${OURS}: not measured beside gone`]);
  });

  test('are written with as many digits as they deserve', () => {
    assert.deepEqual([times(9.994), times(12.34)], ['9.99x', '12.3x']);
  });
});

const SYSTEMS: System[] = [OURS, 'fast'].map((name) => ({
  name,
  kind: 'dispatch',
  isOurs: name === OURS,
  tuning: name === OURS ? {} : { concurrency: 50 },
  trials: [],
  runs: (RATES.get(name) ?? []).map((rate) => ({
    units: rate,
    totalMs: 1_000,
    cpuMs: { server: rate / 100, consumer: rate / 200 },
  })),
}));

const WAITS = new Map([
  [OURS, [2, 4]],
  ['slow', [1, 2]],
]);
const OUTCOME: Outcome = {
  systems: SYSTEMS,
  rates: RATES,
  waiters: [...WAITS.keys()].map((name) => ({ name, isOurs: name === OURS, runs: [] })),
  waits: WAITS,
  results: [resultOf(RATES, { kind: 'rate', ours: OURS, theirs: ['fast'], times: 15 })],
  load: { before: [0.5], after: [1.25] },
};

describe('the report', () => {
  test('has rates, ratios, CPU time of each process, promises, tunings and the load', () => {
    const text = report(OUTCOME).join('\n');
    assert.match(text, /^gimmework, nats \+ sqlite +2,000 +1,000 +3,000$/m);
    assert.match(text, /^fast +200 +200 +250 +10\.0x +5\.00x +12\.0x$/m);
    assert.match(text, /^fast +15\.0 +server 10\.0, consumer 5\.0$/m);
    assert.match(text, /^slow +1\.50 +1\.00 +2\.00 +2\.00x +2\.00x +2\.00x$/m);
    assert.match(text, /^rate of gimmework, nats \+ sqlite \/ fast +≥ 15x +10\.0x +not kept$/m);
    assert.match(text, /^fast: concurrency 50$/m);
    assert.match(text, /load average 0\.5 before, 1\.3 after$/m);
    const none = report({ ...OUTCOME, systems: [] }).join('\n');
    assert.ok(!none.includes('CPU'), 'a table of nothing');
  });

  test('the plot has a bar for each system, as long as its rate, the fastest first', () => {
    const svg = plotOf({ ...OUTCOME, waiters: [] });
    const bars = [...svg.matchAll(/<rect class="(\w+)" x="190" y="\d+" width="([\d.]+)"/g)];
    assert.deepEqual(
      bars.map(([, kind]) => kind),
      ['ours', 'theirs'],
    );
    const [ours, theirs] = bars.map(([, , width]) => Number(width));
    // To a tenth of a pixel.
    assert.ok(Math.abs((ours ?? 0) / (theirs ?? 1) - 10) < 0.1, `${ours} and ${theirs}`);
    assert.match(svg, /^<svg [^>]+>\n[^]+<\/svg>\n$/);
    assert.equal(svg.match(/<text/g)?.length, 1 + 2 * 2);
  });

  test('goes into its section of the page and nowhere else, again and again', () => {
    const page = readFileSync(join(ROOT, 'docs', 'BENCHMARKS.md'), 'utf8');
    const once = withSection(page, ['a line'], '2026-01-02');
    assert.match(once, /Measured 2026-01-02\.\n\n!\[[^\]]+\]\(benchmarks\.svg\)\n\n```\na line\n```\n/);
    assert.equal(withSection(once, ['a line'], '2026-01-02'), once);
    const begin = once.indexOf('<!-- peers:');
    assert.equal(once.slice(0, begin), page.slice(0, begin));
    assert.throws(() => withSection('# Another page', [], '2026-01-02'), /no section/);
  });
});

describe('the options', () => {
  test('name the peers to run beside, and where the outcome goes', () => {
    const { name, options } = readOptions(['peers', '--only', 'bullmq,newsletter', '--docs', '--assert']);
    assert.equal(name, 'peers');
    assert.deepEqual(options.only, ['bullmq', 'newsletter']);
    assert.deepEqual([options.docs, options.assert, options.peerUnits], [true, true, undefined]);
    assert.throws(() => readOptions(['peers', '--peer-units', 'some']), { code: 'usage' });
    const { peers, newsletter, waits } = chosenPeers(options.only);
    assert.deepEqual([peers.map((peer) => peer.name), newsletter, waits], [['bullmq'], true, false]);
    assert.deepEqual(chosenPeers(undefined), { peers: PEERS, newsletter: true, waits: true });
    assert.throws(() => chosenPeers(['bullmq', 'nobody']), { code: 'usage' });
  });

  test('leave the promises over what was asked for, and all of them without --only', () => {
    const over = (...only: string[]) => claimsOver(chosenPeers(only)).map(({ theirs }) => theirs.join(', '));
    assert.deepEqual(over('bullmq', 'newsletter'), ['bullmq', MAIL_PEER.name]);
    assert.deepEqual(over('bee-queue', 'pg-boss'), []);
    assert.deepEqual(over('waits'), ['graphile-worker', 'bullmq']);
    assert.equal(claimsOver(chosenPeers(undefined)).length, 6);
  });
});

type Module = { producer?: unknown; consumer?: unknown };

describe('the peers', () => {
  for (const { name, script, tunings } of [...PEERS, MAIL_PEER]) {
    test(`${name} has a module with a producer and a consumer, and more than one tuning to try`, async () => {
      const path = join(ROOT, 'bench', 'peers', `${script}.mjs`);
      assert.ok(existsSync(path));
      const module = (await import(pathToFileURL(path).href)) as Module;
      assert.equal(typeof module.producer, 'function');
      assert.equal(typeof module.consumer, 'function');
      assert.ok(tunings.length > 1);
    });
  }

  test('carry the very units that we do', async () => {
    const path = join(ROOT, 'bench', 'peers', 'units.mjs');
    const module = (await import(pathToFileURL(path).href)) as {
      unitBytes(n: number): Buffer;
      readUnit(bytes: Uint8Array): { n: number };
      inBulks(how: object, add: (numbers: number[]) => Promise<void>): Promise<void>;
    };
    for (const n of [0, 9, 10, 123_456]) {
      assert.equal(module.unitBytes(n).toString(), unitText(n));
      assert.equal(module.readUnit(Uint8Array.from(module.unitBytes(n))).n, n);
    }
    const added: number[] = [];
    await module.inBulks({ units: 25, bulk: 10, ahead: 2 }, async (numbers) => {
      added.push(...numbers);
    });
    assert.deepEqual(
      added,
      Array.from({ length: 25 }, (_, n) => n),
    );
  });
});

test('CPU time is that of a process and all that it started', () => {
  const mine = treeCpuMs(process.pid);
  assert.ok(mine > 0);
  assert.ok(treeCpuMs(process.ppid) >= mine, 'a parent has at least what its child has');
  assert.equal(treeCpuMs(0x7fff_ffff), 0);
});
