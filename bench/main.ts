/**
 * `npm run bench -- <name> [options]`: measures Gimmework by its own processes over real links on this
 * machine. Owns which benchmarks there are, the exit code and the JSON of a run; docs/BENCHMARKS.md says
 * how to read what it prints.
 *
 * B1: exit 0 only if it was measured and, with --assert, every promise was kept; 2 for a wrong command,
 *     130 if it was interrupted.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { onStop, type Stop } from '../cli/signals.ts';
import { GimmeError } from '../shared/core/errors.ts';
import { VERSION } from '../shared/io/version.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { dispatch } from './dispatch.ts';
import { latency } from './latency.ts';
import { limit } from './limit.ts';
import { memory } from './memory.ts';
import { newsletter } from './newsletter.ts';
import { type BenchOptions, readOptions, USAGE } from './options.ts';
import { parked } from './parked.ts';
import { peers } from './peers.ts';
import { Place } from './place.ts';
import { recovery } from './recovery.ts';
import { scale } from './scale.ts';
import { sessions } from './sessions.ts';

const BENCHMARKS: ReadonlyMap<string, Benchmark> = new Map(
  Object.entries({ dispatch, latency, limit, memory, newsletter, parked, peers, recovery, scale, sessions }),
);

async function main(args: readonly string[]): Promise<number> {
  const { name, options } = readOptions(args);
  const benchmark = BENCHMARKS.get(name);
  if (!benchmark) throw new GimmeError('usage', `there is no benchmark ${name}\n${USAGE}`);
  mkdirSync(options.out, { recursive: true });
  const place = new Place();
  process.once('exit', () => place.leave());
  const interrupted = new Promise<Stop>((resolve) => {
    onStop(resolve);
  });
  const measured = measure(benchmark, place, options);
  const outcome = await Promise.race([measured, interrupted]);
  if (typeof outcome === 'string') throw new GimmeError('detached', `stopped by ${outcome}; nothing is left`);
  for (const line of outcome.lines) console.log(line);
  const file = keep(name, options, outcome);
  for (const line of outcome.broken) console.error(`✗ ${line}`);
  console.error(`the run as JSON: ${file}`);
  return options.assert && outcome.broken.length > 0 ? 1 : 0;
}

async function measure(benchmark: Benchmark, place: Place, options: BenchOptions): Promise<Verdict> {
  place.build();
  return benchmark(place, options, (line) => console.error(line));
}

/** Writes the run as JSON and returns the file's path. */
function keep(name: string, options: BenchOptions, { results, broken }: Verdict): string {
  const at = new Date().toISOString();
  const file = join(options.out, `${name}-${at.replace(/[:.]/g, '-')}.json`);
  const machine = { cores: availableParallelism(), node: process.version };
  const { out: _, ...asked } = options;
  const run = { benchmark: name, at, version: VERSION, machine, options: asked, broken, results };
  writeFileSync(file, `${JSON.stringify(run, null, 2)}\n`);
  return file;
}

/** B1 */
function exitCodeOf(error: unknown): number {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  return error instanceof GimmeError ? error.exitCode : 1;
}

process.exit(await main(process.argv.slice(2)).catch(exitCodeOf));
