/**
 * The outside world: counts how often each effect of each unit happened, and holds that to what was promised.
 *
 * O1: an at-most-once effect happens once at most, and only after the begin of the very token is durable.
 * O2: an at-least-once effect happens again only where a lapsed lease or a later try says so (G3, G4).
 * O3: in the end a succeeded unit had its effects. Where nothing comes after an at-most-once effect and nothing
 *     before it has any, one that failed, was skipped or cancelled had none.
 * O4: what is cancelled or missing had no at-most-once effect, wherever that stands.
 */
import type { Effect } from '../../shared/protocol/messages.ts';
import type { Account } from './account.ts';
import { Broken, type Story } from './story.ts';

/** The effect of a step, and which step of its work that is. */
export type StepEffect = { effect: Effect; index: number };

export class World {
  readonly #story: Story;
  readonly #counts = new Map<string, number>();
  /** Times that a unit was taken from whoever ran it, in any record decided, also in one that was lost. */
  readonly #released = new Map<string, number>();

  constructor(story: Story) {
    this.#story = story;
  }

  /** A record was decided that takes a unit from whoever runs it. */
  released(epic: string, unit: number): void {
    const key = `${epic}.${unit}`;
    this.#released.set(key, (this.#released.get(key) ?? 0) + 1);
  }

  /** An effect of a unit happens, by a worker that holds this token. */
  effect({ epic, begun }: Account, unit: number, token: string, { effect, index }: StepEffect): void {
    const key = `${epic}.${unit}`;
    const count = this.#count(epic, unit, index) + 1;
    this.#counts.set(`${key} ${index}`, count);
    this.#story.add(epic, [unit, unit + 1], `${token} has the effect happen, ${effect}, time ${count}`);
    if (effect === 'at-most-once') {
      if (count > 1) throw new Broken('O1', epic, unit, `has its effect ${count} times`);
      if (begun.get(unit) === token) return;
      throw new Broken('O1', epic, unit, `has its effect by ${token} without a durable begin`);
    }
    if (count <= 1 + (this.#released.get(key) ?? 0)) return;
    throw new Broken('O2', epic, unit, `has its effect ${count} times and no record says why`);
  }

  /** What is true of the effects once all is over. */
  over({ epic, outcomes, released }: Account, effects: readonly Effect[]): void {
    const isCertain = effects.filter((effect) => effect !== 'none').join() === 'at-most-once';
    const isLast = effects.at(-1) === 'at-most-once';
    for (const [unit, outcome] of outcomes) {
      for (const [index, effect] of effects.entries()) {
        const count = this.#count(epic, unit, index);
        if (outcome === 'succeeded' && effect !== 'none' && count === 0) {
          throw new Broken('O3', epic, unit, `succeeded and its effect, ${effect}, never happened`);
        }
        if (effect === 'at-least-once' && count > 1 + (released.get(unit) ?? 0)) {
          throw new Broken(
            'O2',
            epic,
            unit,
            `had its effect ${count} times and the journal does not say why`,
          );
        }
        if (effect === 'at-most-once' && count > 0 && (outcome === 'cancelled' || outcome === 'missing')) {
          throw new Broken('O4', epic, unit, `is ${outcome}, as if nobody had begun it: step ${index} has`);
        }
        if (!isCertain || !isLast || outcome === 'succeeded' || outcome === 'unknown' || count === 0)
          continue;
        throw new Broken('O3', epic, unit, `is ${outcome} and its effect happened ${count} times`);
      }
    }
  }

  #count(epic: string, unit: number, step: number): number {
    return this.#counts.get(`${epic}.${unit} ${step}`) ?? 0;
  }
}
