/**
 * Demand: how many units this worker is willing to hold. A slot each, and ahead of them as much as its
 * measured speed works off in AHEAD_MS: one unit for second-long ones, thousands for microsecond ones.
 *
 * Units that wait for a short retry take no slot. A few of them take no place either, or they would keep the others from
 * what could go on meanwhile; more than `waitingMax` are the master's to keep.
 */
import { AHEAD_MS, HELD_UNITS_MAX, LOCAL_DELAYED_MAX } from '../../shared/core/limits.ts';

/** Busy time over which one measurement is taken, in milliseconds. */
const WINDOW_MS = 20;
/** Waiting units that take no place, for each slot. */
const WAITING_PER_SLOT = 4;
/** Weight of a new measurement. */
const NEW_WEIGHT = 0.4;

export class Demand {
  readonly #slots: number;
  #unitsPerMs = 0;
  #done = 0;
  #busyMs = 0;

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** Units to hold at most. */
  get capacity(): number {
    const ahead = Math.max(1, Math.floor(this.#unitsPerMs * AHEAD_MS));
    return Math.min(HELD_UNITS_MAX, this.#slots + ahead);
  }

  /** Units that may wait here for a short retry. */
  get waitingMax(): number {
    return Math.min(LOCAL_DELAYED_MAX, Math.max(WAITING_PER_SLOT * this.#slots, this.capacity >> 1));
  }

  /** How many more fit beside these, so many of which wait for a retry. */
  level(held: number, waiting: number): number {
    const most = this.capacity + Math.min(waiting, WAITING_PER_SLOT * this.#slots);
    return Math.max(0, Math.min(HELD_UNITS_MAX, most) - held);
  }

  /** Takes a measurement: units finished during `elapsedMs` of which the worker was never idle. */
  measure(done: number, elapsedMs: number): void {
    this.#done += done;
    this.#busyMs += elapsedMs;
    if (this.#busyMs < WINDOW_MS) return;
    const now = this.#done / this.#busyMs;
    this.#unitsPerMs = this.#unitsPerMs === 0 ? now : this.#unitsPerMs * (1 - NEW_WEIGHT) + now * NEW_WEIGHT;
    this.#done = 0;
    this.#busyMs = 0;
  }
}
