/**
 * The link of one worker with the master: two lanes, each in order by itself, as the Bus promises. Frames may
 * be late, doubled or lost, one lane may be cut while the other goes on, and all that is under way may be lost
 * when the link is reset. Frames of different links overtake each other.
 */
import type { Dice } from './dice.ts';
import type { FaultCounts } from './faults.ts';
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

/** What all links have in common. */
export type Network = {
  timeline: Timeline;
  dice: Dice;
  faults: FaultCounts;
  weather: () => Weather;
  /** Frames sent so far, and the number of the newest that arrived. */
  sent: number;
  arrived: number;
};

export class Link {
  isUp = false;
  readonly #network: Network;
  readonly #lastMs: Record<Lane, number> = { toMaster: 0, toWorker: 0 };
  readonly #cutUntilMs: Record<Lane, number> = { toMaster: 0, toWorker: 0 };
  #connection = 0;

  constructor(network: Network) {
    this.#network = network;
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

  /** Loses all frames of one lane for a time; neither side is told. */
  cut(lane: Lane, ms: number): void {
    this.#cutUntilMs[lane] = this.#network.timeline.nowMs + ms;
  }

  mend(): void {
    this.#cutUntilMs.toMaster = 0;
    this.#cutUntilMs.toWorker = 0;
  }

  /** Has a frame arrive, or not. */
  send(lane: Lane, arrive: () => void): void {
    const { timeline, dice, faults, weather } = this.#network;
    if (!this.isUp || timeline.nowMs < this.#cutUntilMs[lane]) return;
    const { drop, double } = weather();
    if (dice.chance(drop)) return faults.add('drop');
    this.#carry(lane, arrive);
    if (!dice.chance(double)) return;
    faults.add('duplicate');
    this.#carry(lane, arrive);
  }

  #carry(lane: Lane, arrive: () => void): void {
    const { timeline, dice, faults, weather } = this.#network;
    const { late, lateMs, delayMs } = weather();
    const isLate = dice.chance(late);
    if (isLate) faults.add('delay');
    const dueMs = timeline.nowMs + dice.between(0, delayMs) + (isLate ? dice.between(0, lateMs) : 0);
    const atMs = Math.max(dueMs, this.#lastMs[lane]);
    this.#lastMs[lane] = atMs;
    const connection = this.#connection;
    const number = ++this.#network.sent;
    timeline.at(atMs, () => {
      if (connection !== this.#connection) return;
      if (number < this.#network.arrived) faults.add('overtaken on another link');
      this.#network.arrived = Math.max(number, this.#network.arrived);
      arrive();
    });
  }
}
