/**
 * The link of one worker with the master: two lanes, each in order by itself. Frames may be late, doubled
 * or lost, and all that is under way may be lost when the link is reset.
 */
import type { Dice } from './dice.ts';
import type { Timeline } from './timeline.ts';

export type Weather = {
  drop: number;
  double: number;
  /** Chance of a frame that is late by up to `lateMs`, and all behind it in its lane with it. */
  late: number;
  lateMs: number;
  delayMs: number;
};

export const CALM: Weather = { drop: 0, double: 0, late: 0, lateMs: 0, delayMs: 3 };

export type Lane = 'toMaster' | 'toWorker';

export class Link {
  isUp = false;
  readonly #timeline: Timeline;
  readonly #dice: Dice;
  readonly #weather: () => Weather;
  readonly #deliver: (lane: Lane, frame: Uint8Array) => void;
  readonly #lastMs: Record<Lane, number> = { toMaster: 0, toWorker: 0 };
  #connection = 0;

  constructor(
    timeline: Timeline,
    dice: Dice,
    weather: () => Weather,
    deliver: (lane: Lane, frame: Uint8Array) => void,
  ) {
    this.#timeline = timeline;
    this.#dice = dice;
    this.#weather = weather;
    this.#deliver = deliver;
  }

  up(): void {
    this.isUp = true;
  }

  /** Loses all that is under way, unless it `keeps` it, as a server between the two does. */
  down(keeps: boolean): void {
    this.isUp = false;
    if (keeps) return;
    this.#connection += 1;
    this.#lastMs.toMaster = 0;
    this.#lastMs.toWorker = 0;
  }

  send(lane: Lane, frame: Uint8Array): void {
    if (!this.isUp) return;
    const { drop, double, late, lateMs, delayMs } = this.#weather();
    if (this.#dice.chance(drop)) return;
    const copies = this.#dice.chance(double) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const lateBy = this.#dice.chance(late) ? this.#dice.between(0, lateMs) : 0;
      const dueMs = this.#timeline.nowMs + this.#dice.between(0, delayMs) + lateBy;
      const atMs = Math.max(dueMs, this.#lastMs[lane]);
      this.#lastMs[lane] = atMs;
      const connection = this.#connection;
      this.#timeline.at(atMs, () => {
        if (connection === this.#connection) this.#deliver(lane, frame);
      });
    }
  }
}
