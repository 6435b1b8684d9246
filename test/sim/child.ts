/** One process of many simulations: runs the seeds that it is given and tells what each came to. */
import { explain } from './explain.ts';
import { Simulation } from './simulation.ts';
import type { SeedResult } from './summary.ts';

/** To a child: seeds from `from` on, `to` not included. */
export type Wanted = { from: number; to: number };
export type Answer = { results: SeedResult[]; failure: string | undefined };

function answer({ from, to }: Wanted): Answer {
  const results: SeedResult[] = [];
  for (let seed = from; seed < to; seed++) {
    const simulation = new Simulation(seed);
    try {
      const { trace, steps, messages, units, faults } = simulation.run();
      results.push({ seed, trace, steps, messages, units, faults });
    } catch (error) {
      return { results, failure: explain(seed, simulation, error) };
    }
  }
  return { results, failure: undefined };
}

process.on('message', (wanted: Wanted) => process.send?.(answer(wanted)));
