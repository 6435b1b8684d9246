/**
 * The deadline of an epic that is no gather, followed from its records: it takes nothing more in once that has passed, also
 * where it passed while no master was there, and gives nothing up as missing before.
 */
import type { EpicRecord } from '../../master/core/records.ts';
import type { Account } from './account.ts';
import { Broken } from './story.ts';

export class DeadlineCheck {
  readonly #epic: string;
  readonly #atWallMs: number;
  readonly #decided: () => Account;

  constructor(epic: string, atWallMs: number, decided: () => Account) {
    this.#epic = epic;
    this.#atWallMs = atWallMs;
    this.#decided = decided;
  }

  recorded(record: EpicRecord): void {
    if (record.k !== 'closing' || record.as !== 'missing' || record.wallMs >= this.#atWallMs) return;
    throw new Broken('Y7', this.#epic, undefined, `is closed ${this.#atWallMs - record.wallMs} ms too early`);
  }

  /** After a step of the master. */
  stepped(wallMs: number, isTick: boolean): void {
    const { isClosing, state } = this.#decided();
    const lateMs = wallMs - this.#atWallMs;
    if (!isTick || lateMs < 0 || isClosing || state !== 'running') return;
    throw new Broken('Y7', this.#epic, undefined, `is given out ${lateMs} ms after its deadline`);
  }
}
