/**
 * The two cores keep their promises whatever the network and the processes do. `SEEDS=n` runs more seeds,
 * `SEED=n` one of them, `TRACE=1` with it prints every message.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Model, type Result } from './model.ts';

const SEEDS = Number(process.env.SEEDS ?? 150);
const FIRST = Number(process.env.SEED ?? 1);
const LAST = process.env.SEED === undefined ? SEEDS : FIRST;

function run(seed: number, options?: { faults: boolean }): Result {
  try {
    return new Model(seed, options).run();
  } catch (cause) {
    const replay = `SEED=${seed} TRACE=1 node --import tsx --test test/sim/model.test.ts`;
    throw new Error(`seed ${seed}: ${(cause as Error).message}; replay: ${replay}`, { cause });
  }
}

test('promises hold under faults, and everything finishes once they end', { timeout: 3_600_000 }, () => {
  const seen = { succeeded: 0, failed: 0, unknown: 0, cancelled: 0, expired: 0, lost: 0, recalls: 0 };
  for (let seed = FIRST; seed <= LAST; seed++) {
    const { outcomes, counters } = run(seed);
    seen.succeeded += outcomes.succeeded ?? 0;
    seen.failed += outcomes.failed ?? 0;
    seen.unknown += outcomes.unknown ?? 0;
    seen.cancelled += outcomes.cancelled ?? 0;
    seen.expired += counters.leasesExpired;
    seen.lost += counters.grantsLost;
    seen.recalls += counters.recalls;
  }
  if (LAST - FIRST < 100) return;
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `the model never saw ${what}`);
});

test('without faults nothing is lost, stale, expired or refused', () => {
  for (let seed = FIRST; seed <= Math.min(LAST, FIRST + 29); seed++) {
    const { counters, outcomes } = run(seed, { faults: false });
    const { leasesExpired, grantsLost, refused, staleReports } = counters;
    assert.deepEqual(
      { seed, leasesExpired, grantsLost, refused, stale: [...staleReports] },
      {
        seed,
        leasesExpired: 0,
        grantsLost: 0,
        refused: 0,
        stale: [],
      },
    );
    assert.equal(outcomes.cancelled, 0);
  }
});

test('the same seed gives the same trace', () => {
  assert.equal(run(FIRST).trace, run(FIRST).trace);
  assert.notEqual(run(FIRST).trace, run(FIRST + 1).trace);
});
