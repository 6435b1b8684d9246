/**
 * At which step each outstanding unit of an epic goes on, as far as that is durable: a worker may be further with
 * it, and who takes over begins here. Owns the count by step; how a unit goes on is told by its row and its resume.
 *
 * S1: only units beyond their first step are listed, as intervals: an epic whose units are kept nowhere costs nothing.
 * S2: a unit is at one step.
 */
import { ScatteredSet } from '../../shared/core/scatteredSet.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';

export class Stages {
  /** By index of a step, from 1 on. */
  readonly #units = new Map<number, ScatteredSet>();

  move(unit: number, step: number): void {
    for (const [at, units] of this.#units) if (at !== step) units.removeAll([unit, unit + 1]); // S2
    if (step === 0) return; // S1
    const units = this.#units.get(step) ?? new ScatteredSet();
    units.addAll([unit, unit + 1]);
    this.#units.set(step, units);
  }

  /** These units are settled. */
  leave(units: Ranges): void {
    for (const at of this.#units.values()) at.removeAll(units);
  }

  /** How many are at each of `steps` steps, where `outstanding` have no outcome yet. */
  counts(steps: number, outstanding: number): number[] {
    const counts = Array.from({ length: steps }, (_, step) => this.#units.get(step)?.count ?? 0);
    counts[0] = outstanding - counts.reduce((sum, count) => sum + count, 0);
    return counts;
  }

  /** Step and units, by step: what a checkpoint keeps. */
  entries(): [number, Ranges][] {
    const kept = [...this.#units].filter(([, units]) => !units.isEmpty);
    return kept.sort(([a], [b]) => a - b).map(([step, units]) => [step, units.ranges()]);
  }

  restore(entries: readonly [number, Ranges][]): void {
    for (const [step, ranges] of entries) {
      const units = new ScatteredSet();
      units.addAll(ranges);
      this.#units.set(step, units);
    }
  }
}
