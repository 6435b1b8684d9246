/**
 * The two cores keep their promises whatever the network, the disk and the processes do. `SEEDS=n` runs more
 * seeds; `npm run sim` runs many, or one with its trace.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Result, Simulation, type SimulationOptions } from './simulation.ts';

const SEEDS = Number(process.env.SEEDS ?? 50);

function run(seed: number, options?: SimulationOptions): Result {
  const simulation = new Simulation(seed, options);
  try {
    return simulation.run();
  } catch (cause) {
    throw new Error(`seed ${seed}: ${(cause as Error).message}; replay: npm run sim -- --seed ${seed}`, {
      cause,
    });
  }
}

test('promises hold under faults, and everything finishes once they end', { timeout: 3_600_000 }, () => {
  for (let seed = 1; seed <= SEEDS; seed++) run(seed);
});
