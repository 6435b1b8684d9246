/** What many seeds came to: added up seed by seed, in any order. */
import { createHash } from 'node:crypto';
import { FAULT_KINDS, FaultCounts } from './faults.ts';
import type { Result } from './simulation.ts';

/** What of a result crosses from process to process. */
export type SeedResult = { seed: number } & Pick<Result, 'trace' | 'steps' | 'messages' | 'units' | 'faults'>;

export class Summary {
  readonly #traces = new Map<number, string>();
  readonly #faults = new FaultCounts().counts;
  #steps = 0;
  #messages = 0;
  #units = 0;

  add({ seed, trace, steps, messages, units, faults }: SeedResult): void {
    this.#traces.set(seed, trace);
    this.#steps += steps;
    this.#messages += messages;
    this.#units += units;
    for (const kind of FAULT_KINDS) this.#faults[kind] += faults[kind];
  }

  get seeds(): number {
    return this.#traces.size;
  }

  /** A hash over all traces, in the order of their seeds. */
  digest(): string {
    const hash = createHash('sha256');
    for (const [seed, trace] of [...this.#traces].sort(([a], [b]) => a - b))
      hash.update(`${seed} ${trace}\n`);
    return hash.digest('hex');
  }

  rows(wallMs: number): [string, string][] {
    const faults = FAULT_KINDS.map((kind): [string, string] => [`  ${kind}`, number(this.#faults[kind])]);
    return [
      ['seeds', number(this.seeds)],
      ['units', number(this.#units)],
      ['steps of masters', number(this.#steps)],
      ['lines of trace', number(this.#messages)],
      ['faults injected', number(Object.values(this.#faults).reduce((sum, count) => sum + count, 0))],
      ...faults,
      ['wall time', `${(wallMs / 1_000).toFixed(1)} s`],
      ['traces', this.digest()],
    ];
  }
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
