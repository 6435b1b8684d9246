/**
 * A process of the simulation: what reaches it waits while it is stopped (as by SIGSTOP) and is gone once it
 * is dead. It may be doomed: then it dies in the middle of a step, after so many moves more.
 */
import type { Timeline } from './timeline.ts';

export class Process {
  isDead = false;
  readonly #timeline: Timeline;
  #stoppedUntilMs = 0;
  #waiting: (() => void)[] = [];
  #doom: { movesLeft: number; die: () => void } | undefined;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Runs this now, or when the process goes on, in the order of the calls. */
  run(what: () => void): void {
    if (this.isDead) return;
    if (this.#timeline.nowMs < this.#stoppedUntilMs || this.#waiting.length > 0) this.#waiting.push(what);
    else what();
  }

  /** Runs this in the process after a time. */
  after(ms: number, what: () => void): void {
    this.#timeline.after(ms, () => this.run(what));
  }

  stop(ms: number): void {
    this.#stoppedUntilMs = Math.max(this.#stoppedUntilMs, this.#timeline.nowMs + ms);
    this.#timeline.at(this.#stoppedUntilMs, () => this.#goOn());
  }

  /** It dies by `die` once it has made so many moves: a move is a message sent, a read made, a step begun. */
  doom(movesLeft: number, die: () => void): void {
    this.#doom = { movesLeft, die };
  }

  /** Makes a move. False when the process is dead or dies just before it. */
  move(): boolean {
    if (this.isDead) return false;
    const doom = this.#doom;
    if (!doom || doom.movesLeft-- > 0) return true;
    this.#doom = undefined;
    doom.die();
    return !this.isDead;
  }

  #goOn(): void {
    if (this.#timeline.nowMs < this.#stoppedUntilMs) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const what of waiting) if (!this.isDead) what();
  }
}
