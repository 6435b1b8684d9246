/** What every benchmark is given and gives back. */
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';

export type Verdict = {
  /** The table for people. */
  lines: string[];
  /** What goes into the JSON of the run. */
  results: unknown;
  /** Promises that were not kept, one line each; with --assert they are a failure. */
  broken: string[];
};

export type Benchmark = (
  place: Place,
  options: BenchOptions,
  say: (line: string) => void,
) => Promise<Verdict>;
