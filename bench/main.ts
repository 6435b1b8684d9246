/**
 * `npm run bench -- [name] [options]`: measures Gimmework by its own processes over real links on this
 * machine. Owns which benchmarks there are, the exit code and the JSON of a run; docs/BENCHMARKS.md says
 * how to read what it prints. Without a name all of ours are run, one after another; other queues are beside us only
 * where `peers` is asked for, since they must be installed.
 *
 * B1: exit 0 only if all was measured and, with --assert, every promise was kept; 2 for a wrong command,
 *     130 if it was interrupted.
 * B2: of several, one that cannot be measured does not keep the others from it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { onStop, type Stop } from '../cli/signals.ts';
import { GimmeError } from '../shared/core/errors.ts';
import { VERSION } from '../shared/io/version.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { costs } from './costs.ts';
import { dispatch } from './dispatch.ts';
import { formats } from './formats.ts';
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

const OURS = {
  costs,
  dispatch,
  formats,
  latency,
  limit,
  memory,
  newsletter,
  parked,
  recovery,
  scale,
  sessions,
};
const BENCHMARKS: ReadonlyMap<string, Benchmark> = new Map(Object.entries({ ...OURS, peers }));

async function main(args: readonly string[]): Promise<number> {
  const { name, options } = readOptions(args);
  if (name !== undefined && !BENCHMARKS.has(name))
    throw new GimmeError('usage', `there is no benchmark ${name}\n${USAGE}`);
  mkdirSync(options.out, { recursive: true });
  const place = new Place();
  process.once('exit', () => place.leave());
  const interrupted = new Promise<Stop>((resolve) => {
    onStop(resolve);
  });
  place.build();
  const measured = name === undefined ? all(place, options) : one(name, place, options);
  const outcome = await Promise.race([measured, interrupted]);
  if (typeof outcome === 'string') throw new GimmeError('detached', `stopped by ${outcome}; nothing is left`);
  return outcome.isMeasured && (outcome.areKept || !options.assert) ? 0 : 1;
}

type Outcome = { isMeasured: boolean; areKept: boolean };

async function all(place: Place, options: BenchOptions): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const name of Object.keys(OURS)) {
    console.log(`\n== ${name}`);
    // B2
    const outcome = await one(name, place, options).catch((error: unknown) => {
      console.error(`✗ ${name} cannot be measured: ${messageOf(error)}`);
      return { isMeasured: false, areKept: false };
    });
    outcomes.push(outcome);
  }
  return {
    isMeasured: outcomes.every(({ isMeasured }) => isMeasured),
    areKept: outcomes.every(({ areKept }) => areKept),
  };
}

async function one(name: string, place: Place, options: BenchOptions): Promise<Outcome> {
  const benchmark = BENCHMARKS.get(name) as Benchmark;
  const verdict = await benchmark(place, options, (line) => console.error(line));
  for (const line of verdict.lines) console.log(line);
  const file = keep(name, options, verdict);
  for (const line of verdict.broken) console.error(`✗ ${line}`);
  console.error(`the run as JSON: ${file}`);
  return { isMeasured: true, areKept: verdict.broken.length === 0 };
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
  console.error(`bench: ${messageOf(error)}`);
  return error instanceof GimmeError ? error.exitCode : 1;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

process.exit(await main(process.argv.slice(2)).catch(exitCodeOf));
