/** The benchmarks measure what they say they do: whole epics by real processes, and nothing is left behind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type CpuProfile, costsOf } from '../../bench/profile.ts';
import { spreadOf } from '../../bench/spread.ts';
import { ndjsonUnits, UNIT_BYTES } from '../../bench/units.ts';
import { HELD_UNITS_MAX } from '../../shared/core/limits.ts';
import { bench, leftBy, ROOT, resultsIn, start } from '../processes/bench.ts';

const LIMIT = { timeout: 200_000 };

type Depth = { depth: number; max: number; limit: number };
type EpicRun = {
  units: number;
  totalMs: number;
  settlingMs: number;
  cpuMs: Record<string, number>;
  totals: { read: number; succeeded: number; outstanding: number };
};
type ScaleRun = {
  phases: { workers: number; mails: number; ms: number }[];
  counts: { accepted: number; distinct: number; duplicates: number };
  left: number;
  link: string;
};
type SessionsRun = EpicRun & {
  sessions: number;
  link: string;
  grants: number;
  rounds: number;
  roundsMax: number;
  heldMax: number;
  queues: Record<string, Depth>;
};
type SessionsResults = { few: SessionsRun[]; many: SessionsRun[]; ratio: { run: { median: number } } };
type MemoryRun = EpicRun & { masterBytes: number; workerBytes: number[]; queues: Record<string, Depth> };

describe('dispatch', () => {
  test('runs whole epics on fresh processes and says rate and cost', LIMIT, async () => {
    const { code, stdout, stderr } = await bench('dispatch', '--units', '2000', '--runs', '2');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^units\/s +median +min +max$/m);
    assert.match(stdout, /^gimmework( +[\d,]+){3}$/m);
    for (const name of ['master', 'worker 1', 'worker 2', 'client', 'all']) {
      assert.match(stdout, new RegExp(`^${name}( +\\d+\\.\\d\\d){3}$`, 'm'));
    }
    assert.match(stdout, /^store \w.*, link websocket$/m);
    const { ours } = resultsIn(stderr) as { ours: EpicRun[] };
    assert.equal(ours.length, 2);
    for (const run of ours) {
      assert.equal(run.totals.succeeded, 2_000);
      assert.equal(run.totals.read, 2_000);
      assert.ok(
        run.settlingMs > 0 && run.settlingMs <= run.totalMs,
        `${run.settlingMs} of ${run.totalMs} ms`,
      );
      assert.ok((run.cpuMs['master'] ?? 0) > 0, 'the master used no CPU');
    }
  });

  test('leaves nothing when it is interrupted', LIMIT, async () => {
    const child = start('dispatch', '--units', '1000', '--runs', '1000');
    let said = '';
    for await (const chunk of child.stderr ?? []) {
      said += String(chunk);
      if (said.includes('gimmework 1/1000')) break;
    }
    assert.match(said, /gimmework 1\/1000/);
    assert.notDeepEqual(leftBy(child), [], 'there was nothing to leave');
    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 130);
    // The kernel takes a moment to end what was killed.
    for (let i = 0; i < 500 && leftBy(child).length > 0; i++) await pause(10);
    assert.deepEqual(leftBy(child), []);
  });
});

describe('limit', () => {
  test('puts dispatch beside the bare pull loop over both links', LIMIT, async () => {
    const { code, stdout, stderr } = await bench('limit', '--units', '5000', '--runs', '1');
    assert.equal(code, 0, stderr);
    const { turns } = resultsIn(stderr) as {
      turns: { link: string; bare: { units: number; totalMs: number }; ours: EpicRun }[];
    };
    assert.deepEqual(
      turns.map(({ link }) => link),
      ['nats', 'ws'],
    );
    for (const { link, bare, ours } of turns) {
      assert.deepEqual([bare.units, ours.totals.succeeded], [5_000, 5_000]);
      const rate = Math.round((bare.units * 1_000) / bare.totalMs).toLocaleString('en-US');
      assert.match(stdout, new RegExp(`^${link}: bare pull loop( +${rate}){3}$`, 'm'));
      assert.match(stdout, new RegExp(`^${link}: of the bare loop( +[\\d.]+%){3}$`, 'm'));
    }
  });
});

describe('latency', () => {
  test('puts the beginning of work beside the round trip of a frame', LIMIT, async () => {
    const { code, stdout, stderr } = await bench('latency', '--units', '3', '--runs', '1', '--link', 'ws');
    assert.equal(code, 0, stderr);
    const { all } = resultsIn(stderr) as {
      all: { roundTripsMs: number[]; numbers: Record<string, number>[]; uploads: Record<string, number>[] }[];
    };
    assert.equal(all.length, 1);
    for (const { roundTripsMs, numbers, uploads } of all) {
      assert.equal(roundTripsMs.length, 3);
      assert.ok(roundTripsMs.every((ms) => ms > 0));
      for (const samples of [numbers, uploads]) {
        assert.equal(samples.length, 3);
        for (const { fromSubmitMs = 0, fromDurableMs = 0 } of samples) {
          assert.ok(fromDurableMs > 0, `work began ${-fromDurableMs} ms before its epic was durable`);
          assert.ok(fromSubmitMs > fromDurableMs, 'an epic was durable before it was submitted');
        }
      }
    }
    assert.match(stdout, /^ws: durable to doWork, an upload( +\d+\.\d{3}){3} +\d+\.\d\d$/m);
  });
});

describe('costs', () => {
  test('compares what a unit costs as epics and crowds grow', LIMIT, async () => {
    const { code, stdout, stderr } = await bench('costs', '--units', '120000', '--runs', '1');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^120,000 units to fewer( +\d+\.\d\dx){3}$/m);
    assert.match(stdout, /^64 sessions to 1( +\d+\.\d\dx){3}$/m);
    assert.match(stdout, /^master peak with 120,000 units: \d+\.\d MB$/m);
    const { crowds } = resultsIn(stderr) as { crowds: { few: SessionsRun; many: SessionsRun }[] };
    assert.deepEqual(
      crowds.map(({ few, many }) => [few.sessions, few.units, many.sessions, many.units]),
      [[1, 120_000, 64, 120_000]],
    );
  });
});

describe('memory', () => {
  test('compares the peaks of few and many units and shows every queue beside its limit', LIMIT, async () => {
    const { code, stdout, stderr } = await bench(
      'memory',
      '--base',
      '500',
      '--units',
      '10000',
      '--runs',
      '1',
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^500 .+ MB .+ MB .+ MB .+ s$/m);
    assert.match(stdout, /^10,000 .+ MB .+ MB .+ MB .+ s$/m);
    assert.match(stdout, /^ratio \d+\.\d\dx$/m);
    const { few, many, ratio } = resultsIn(stderr) as { few: MemoryRun; many: MemoryRun; ratio: number };
    assert.equal(few.totals.succeeded, 500);
    assert.equal(many.totals.succeeded, 10_000);
    assert.ok(few.masterBytes > 20 * 1024 * 1024, `a master of ${few.masterBytes} bytes`);
    assert.equal(ratio, many.masterBytes / few.masterBytes);
    for (const [name, { max, limit }] of Object.entries(many.queues)) {
      assert.match(stdout, new RegExp(`^${name} +[\\d,]+ +[\\d,]+ +[\\d,]+$`, 'm'));
      assert.ok(max <= limit, `${name}: ${max} of ${limit}`);
    }
    assert.ok((many.queues['ready_units']?.max ?? 0) > 0, 'no unit was ever ready');
    assert.ok((many.queues['leased_units']?.max ?? 0) > 0, 'no unit was ever leased');
  });
});

describe('scale', () => {
  test(
    'sends each mail once while workers join and leave, and says what each number of them sent',
    LIMIT,
    async () => {
      const args = ['--units', '240', '--workers', '3', '--slots', '2', '--latency', '50'];
      const { code, stdout, stderr } = await bench('scale', ...args);
      assert.equal(code, 0, stderr);
      const { phases, counts, left, link } = resultsIn(stderr) as ScaleRun;
      assert.deepEqual(
        phases.map(({ workers }) => workers),
        [1, 3, 2],
      );
      for (const { workers } of phases)
        assert.match(stdout, new RegExp(`^${workers}( +[\\d.]+){5} +\\S+x$`, 'm'));
      assert.ok((phases[0]?.mails ?? 0) >= 240 / 6, 'the first worker had its share to send alone');
      assert.deepEqual([counts.accepted, counts.distinct, counts.duplicates], [240, 240, 0]);
      assert.equal(left, 3, 'all left by SIGTERM');
      assert.equal(link, 'nats');
    },
  );

  test('says so when the rate did not follow the workers', LIMIT, async () => {
    const args = ['--units', '60', '--workers', '1', '--slots', '1', '--latency', '10', '--link', 'ws'];
    const { code, stdout, stderr } = await bench('scale', ...args, '--assert');
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^✗ workers 1: \d+\.\d\dx the rate of one, not 5x$/m);
    assert.match(stdout, /link websocket, 1 slots each$/m);
  });
});

describe('sessions', () => {
  for (const link of ['ws', 'nats']) {
    test(`compares the cost of a unit with many sessions and with few, over ${link}`, LIMIT, async () => {
      const args = ['--sessions', '6', '--workers', '2', '--units', '6000', '--runs', '1', '--link', link];
      const { code, stdout, stderr } = await bench('sessions', ...args);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^ratio of the run \d+\.\d\dx/m);
      const { few, many, ratio } = resultsIn(stderr) as SessionsResults;
      for (const [run, sessions] of [[few[0], 2] as const, [many[0], 6] as const]) {
        assert.equal(run?.sessions, sessions);
        assert.equal(run.totals.succeeded, 6_000);
        assert.equal(run.link, link === 'ws' ? 'websocket' : 'nats');
        assert.ok(run.grants >= sessions, `${run.grants} grants`);
        assert.ok(run.rounds <= run.roundsMax, `${run.rounds} rounds of ${run.roundsMax}`);
        assert.ok(run.heldMax > 0 && run.heldMax <= HELD_UNITS_MAX, `${run.heldMax} held`);
        for (const [name, { max, limit }] of Object.entries(run.queues)) assert.ok(max <= limit, name);
      }
      const cost = (run?: SessionsRun): number => run?.cpuMs['master'] ?? 0;
      // Each is a sum of its own, with the last bit of a float.
      assert.ok(Math.abs(ratio.run.median * cost(few[0]) - cost(many[0])) < 1e-6 * cost(many[0]));
    });
  }
});

describe('the command', () => {
  test('refuses what it does not know', LIMIT, async () => {
    const wrong = [
      ['nothing'],
      ['--units', '5'],
      ['dispatch', '--fast'],
      ['memory', '--units', '0'],
      ['memory', '--source', 'x'],
      ['scale', '--link', 'tcp'],
      ['sessions', '--sessions', '7', '--workers', '2'],
    ];
    for (const args of wrong) {
      const { code, stdout, stderr } = await bench(...args);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
      assert.equal(stdout, '');
    }
  });
});

describe('what it measures with', () => {
  test('units are numbered values of exactly 150 bytes', async () => {
    let text = '';
    for await (const chunk of ndjsonUnits(1_001)) text += Buffer.from(chunk).toString();
    const lines = text.trimEnd().split('\n');
    assert.equal(lines.length, 1_001);
    for (const [n, line] of lines.entries()) {
      assert.equal(Buffer.byteLength(line), UNIT_BYTES);
      assert.equal((JSON.parse(line) as { n: number }).n, n);
    }
  });

  test('a spread has the middle and the ends', () => {
    assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, min: 1, max: 3 });
    assert.deepEqual(spreadOf([4, 1, 2, 10]), { median: 3, min: 1, max: 10 });
    assert.throws(() => spreadOf([]), RangeError);
  });

  test('a profile is read as self time by function within the window, idle time apart', () => {
    const frame = (functionName: string) => ({ functionName, url: '', lineNumber: 0, columnNumber: 0 });
    const profile: CpuProfile = {
      nodes: [
        { id: 1, callFrame: frame('(idle)') },
        { id: 2, callFrame: frame('busy') },
        { id: 3, callFrame: frame('busier') },
        { id: 4, callFrame: frame('busy') },
      ],
      startTime: 1_000,
      // Sampled at 1000, 1100, 1300, 1600 and 2000.
      samples: [2, 3, 1, 4, 3],
      timeDeltas: [0, 100, 200, 300, 400],
    };
    const { windowUs, busyUs, top } = costsOf(profile, { fromUs: 1_050, toUs: 1_700 }, ROOT);
    assert.equal(windowUs, 650);
    assert.equal(busyUs, 350);
    assert.deepEqual(
      top.map(({ name, selfUs }) => [name, selfUs]),
      [
        ['busier', 200],
        ['busy', 150],
      ],
    );
  });
});
