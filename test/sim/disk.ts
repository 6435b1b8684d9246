/**
 * The master's disk: what outlives its process. An append is there whole or not at all; it may be slow, it may
 * be refused while the disk is full, and the process may die before it is there or before it is told.
 */
import type { EpicRecord } from '../../master/core/records.ts';
import type { Store } from '../../master/io/store.ts';
import { Rows } from '../../master/io/stores/rows.ts';
import { GimmeError } from '../../shared/core/errors.ts';
import type { Dice } from './dice.ts';
import type { FaultCounts } from './faults.ts';
import type { Process } from './process.ts';
import type { Timeline } from './timeline.ts';

export type DiskParts = {
  timeline: Timeline;
  dice: Dice;
  faults: FaultCounts;
  /** Longest append. */
  appendMs: () => number;
  /** These records are durable from now on. */
  onDurable: (records: readonly EpicRecord[]) => void;
};

type Writing = { records: readonly EpicRecord[]; isThere: boolean };

export class Disk {
  /** Records that are durable. */
  readonly records: EpicRecord[] = [];
  /** What it has of units one by one. */
  readonly rows = new Rows();
  readonly #parts: DiskParts;
  #fullUntilMs = 0;
  #writing: Writing | undefined;
  #doom: (() => void) | undefined;

  constructor(parts: DiskParts) {
    this.#parts = parts;
  }

  fill(ms: number): void {
    this.#fullUntilMs = this.#parts.timeline.nowMs + ms;
  }

  mend(): void {
    this.#fullUntilMs = 0;
  }

  /** Whoever appends next dies by this while the append is under way. */
  doom(die: () => void): void {
    this.#doom = die;
  }

  /** The process that was appending died: what was under way is there, or is not. */
  crash(): void {
    const writing = this.#writing;
    this.#writing = undefined;
    if (!writing) return;
    const { dice, faults } = this.#parts;
    if (!writing.isThere && dice.chance(0.5)) return faults.add('torn append');
    if (!writing.isThere) this.#land(writing);
    faults.add('lost ack');
  }

  /**
   * The store as the journal of this process sees it. What it returns is no promise but something to wait for
   * in virtual time: the journal asks for `then` and for nothing else.
   */
  storeOf(process: Process): Pick<Store, 'append'> {
    const append = (records: readonly EpicRecord[]): Waiter => ({
      // oxlint-disable-next-line unicorn/no-thenable -- a promise would resolve outside virtual time
      then: (done, failed) => this.#append(process, records, done, failed),
    });
    return { append: append as unknown as Store['append'] };
  }

  #append(process: Process, records: readonly EpicRecord[], done: () => void, failed: Failed): void {
    const { timeline, dice, faults, appendMs } = this.#parts;
    const ms = dice.between(0, appendMs());
    if (timeline.nowMs < this.#fullUntilMs) {
      faults.add('failed append');
      return process.after(ms, () => failed(new GimmeError('disk_full', 'the disk is full')));
    }
    const writing: Writing = { records, isThere: false };
    this.#writing = writing;
    if (this.#doom) timeline.after(ms * dice.random(), this.#doom);
    this.#doom = undefined;
    // It may be there some time before the process is told.
    process.after(ms * dice.random(), () => this.#land(writing));
    process.after(ms, () => {
      this.#land(writing);
      this.#writing = undefined;
      done();
    });
  }

  #land(writing: Writing): void {
    if (writing.isThere) return;
    writing.isThere = true;
    this.records.push(...writing.records);
    for (const record of writing.records) this.rows.apply(record);
    this.#parts.onDurable(writing.records);
  }
}

type Failed = (error: unknown) => void;
type Waiter = { then: (done: () => void, failed: Failed) => void };
