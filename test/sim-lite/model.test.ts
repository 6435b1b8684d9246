/**
 * The two cores keep their promises whatever the network and the processes do. `SEEDS=n` runs more seeds,
 * `SEED=n` one of them, `TRACE=1` with it prints every message.
 */
import { test } from 'node:test';
import { Model } from './model.ts';

const SEEDS = Number(process.env.SEEDS ?? 150);
const FIRST = Number(process.env.SEED ?? 1);
const LAST = process.env.SEED ? FIRST : SEEDS;

test('promises hold under faults, and everything finishes once they end', () => {
  for (let seed = FIRST; seed <= LAST; seed++) {
    try {
      new Model(seed).run();
    } catch (cause) {
      const replay = `SEED=${seed} TRACE=1 node --import tsx --test test/sim-lite/model.test.ts`;
      throw new Error(`seed ${seed}: ${(cause as Error).message}; replay: ${replay}`, { cause });
    }
  }
});
