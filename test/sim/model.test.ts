/**
 * The two cores keep their promises whatever the network, the disk and the processes do; and a core with any one
 * rule broken is found out. `SEEDS=n` runs more seeds here, `npm run sim` many more, or one with its trace.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BREAKAGES } from './breakages.ts';
import { explain } from './explain.ts';
import { FAULT_KINDS } from './faults.ts';
import { type Result, Simulation, type SimulationOptions } from './simulation.ts';
import { Broken } from './story.ts';
import { Summary } from './summary.ts';

const SEEDS = Number(process.env.SEEDS ?? 50);
const BROKEN_SEEDS_MAX = 200;

function run(seed: number, options?: SimulationOptions): Result {
  const simulation = new Simulation(seed, options);
  try {
    return simulation.run();
  } catch (error) {
    throw new Error(explain(seed, simulation, error), { cause: error });
  }
}

test('promises hold under faults, and everything finishes once they end', { timeout: 3_600_000 }, () => {
  const seen: Record<string, number> = { expired: 0, lostGrants: 0, recalls: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { faults, outcomes, counters, records } = run(seed);
    const { leasesExpired: expired, grantsLost: lostGrants, recalls } = counters;
    const all = { ...faults, ...outcomes, ...records, expired, lostGrants, recalls };
    for (const [what, count] of Object.entries(all)) {
      seen[what] = (seen[what] ?? 0) + count;
    }
  }
  const wanted = [
    ...FAULT_KINDS,
    'succeeded',
    'failed',
    'unknown',
    'skipped',
    'cancelled',
    'missing',
    'expired',
    'lostGrants',
    'scattered',
    'source-failed',
    'folded',
    'late',
    'closing: missing',
    'epic-finished: quorum_missed',
    'saved',
    'unparked',
    'paused',
    'resumed',
    'purged',
  ];
  for (const what of wanted) assert.ok((seen[what] ?? 0) > 0, `the simulation never saw: ${what}`);
});

test('without faults nothing is lost, stale, expired or refused', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { counters, outcomes, faults } = run(seed, { profile: 'calm' });
    const { leasesExpired, grantsLost, refused, staleReports } = counters;
    assert.deepEqual(
      { seed, leasesExpired, grantsLost, refused, stale: [...staleReports], cancelled: outcomes.cancelled },
      { seed, leasesExpired: 0, grantsLost: 0, refused: 0, stale: [], cancelled: 0 },
    );
    const injected = FAULT_KINDS.filter((kind) => faults[kind] > 0 && kind !== 'overtaken on another link');
    assert.deepEqual(injected, []);
  }
});

test('the same seed gives the same trace, and another seed another', () => {
  const trace = run(1).trace;
  assert.equal(run(1).trace, trace);
  assert.notEqual(run(2).trace, trace);
});

describe('a broken core is found out by the history alone', () => {
  for (const [name, breakage] of Object.entries(BREAKAGES)) {
    test(name, () => {
      for (let seed = 1; seed <= BROKEN_SEEDS_MAX; seed++) if (isFoundOut(seed, breakage)) return;
      assert.fail(`it passed ${BROKEN_SEEDS_MAX} seeds`);
    });
  }
});

function isFoundOut(seed: number, breakage: NonNullable<SimulationOptions['breakage']>): boolean {
  const simulation = new Simulation(seed, { breakage });
  try {
    simulation.run();
    return false;
  } catch (error) {
    if (!(error instanceof Broken)) return false;
    const told = explain(seed, simulation, error);
    assert.match(told, new RegExp(`^✗ seed ${seed}: `));
    assert.ok(told.endsWith(`replay: npm run sim -- --seed ${seed}`));
    assert.ok(told.split('\n').length > 2, `no story: ${told}`);
    return true;
  }
}

describe('npm run sim', () => {
  test('runs seeds over several processes, and says what they came to', async () => {
    const { code, out } = await sim('--seeds', '12');
    assert.equal(code, 0, out);
    const alone = new Summary();
    for (let seed = 1; seed <= 12; seed++) alone.add({ seed, ...run(seed) });
    assert.match(out, /^seeds {2,}12$/m);
    assert.match(out, new RegExp(`^traces +${alone.digest()}$`, 'm'), 'the same traces in other processes');
    assert.match(out, /every promise held/);
  });

  test('replays one seed with its trace', async () => {
    const { code, out } = await sim('--seed', '3');
    assert.equal(code, 0, out);
    assert.match(out, /^ +\d+\.\d{3} s {2}w0-1 > masters {2}hello v:1/m);
  });

  for (const args of [['--seeds', '0'], ['--seed', 'x'], ['--sedes', '1'], ['more']]) {
    test(`${args.join(' ')} is a wrong command`, async () => {
      const { code, out } = await sim(...args);
      assert.equal(code, 2);
      assert.match(out, /--seeds N/);
    });
  }
});

/** Runs the command; `out` is all it printed. */
async function sim(...args: string[]): Promise<{ code: number; out: string }> {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number];
  return { code, out };
}
