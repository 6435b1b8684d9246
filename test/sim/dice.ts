/** Chance from one seed, in the words of the model. */
import { type Rng, seededRng } from '../../shared/core/rng.ts';

export class Dice {
  readonly random: Rng;

  constructor(seed: number) {
    this.random = seededRng(seed);
  }

  chance(p: number): boolean {
    return this.random() < p;
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  whole(low: number, high: number): number {
    return Math.floor(this.between(low, high + 1));
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)] as T;
  }
}
