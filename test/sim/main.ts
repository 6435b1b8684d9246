/**
 * `npm run sim`: whole clusters of the real cores on virtual time, many seeds or one. Exit 0 when every promise
 * held, 1 when one broke, 2 for a wrong command.
 */
import { parseArgs } from 'node:util';
import { explain } from './explain.ts';
import { runSeeds } from './fleet.ts';
import { Simulation } from './simulation.ts';
import { Summary } from './summary.ts';

const USAGE = `npm run sim -- [options]
  --seeds N   runs the seeds from 1 to N (200)
  --seed S    runs one seed and prints its trace`;
const SEEDS_MAX = 10_000_000;
const PROGRESS_MS = 2_000;

async function main(args: readonly string[]): Promise<number> {
  const { seed, seeds } = readOptions(args);
  return seed === undefined ? runMany(seeds) : runOne(seed);
}

async function runMany(seeds: number): Promise<number> {
  const startedMs = performance.now();
  let toldMs = startedMs;
  const { summary, failure } = await runSeeds(seeds, (done) => {
    if (performance.now() - toldMs < PROGRESS_MS) return;
    toldMs = performance.now();
    console.error(`sim: ${done} of ${seeds} seeds`);
  });
  print(summary, performance.now() - startedMs, failure);
  return failure === undefined ? 0 : 1;
}

function runOne(seed: number): number {
  const summary = new Summary();
  const startedMs = performance.now();
  const simulation = new Simulation(seed, { print: (line) => console.log(line) });
  let failure: string | undefined;
  try {
    summary.add({ seed, ...simulation.run() });
  } catch (error) {
    failure = explain(seed, simulation, error);
  }
  print(summary, performance.now() - startedMs, failure);
  return failure === undefined ? 0 : 1;
}

function print(summary: Summary, wallMs: number, failure: string | undefined): void {
  for (const [name, value] of summary.rows(wallMs)) console.log(`${name.padEnd(28)}${value}`);
  console.log(failure ?? '✓ every promise held');
}

function readOptions(args: readonly string[]): { seed: number | undefined; seeds: number } {
  try {
    const options = { seeds: { type: 'string', default: '200' }, seed: { type: 'string' } } as const;
    const { seed, seeds } = parseArgs({ args: [...args], options }).values;
    return { seed: seed === undefined ? undefined : count('seed', seed), seeds: count('seeds', seeds) };
  } catch (error) {
    console.error(`sim: ${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

function count(name: string, text: string): number {
  const n = Number(text);
  if (Number.isInteger(n) && n >= 1 && n <= SEEDS_MAX) return n;
  throw new Error(`--${name} ${text} is not a whole number from 1 to ${SEEDS_MAX}`);
}

process.exitCode = await main(process.argv.slice(2));
