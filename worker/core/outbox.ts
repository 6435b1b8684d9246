/**
 * What this worker has to report: collects grants with fresh outcomes, cuts them into messages, and keeps
 * them for another sending until the master says Settled.
 */
import { REPORT_AFTER_MS, REPORTS_MAX } from '../../shared/core/limits.ts';
import type { GrantReport } from '../../shared/protocol/messages.ts';
import type { Held } from './held.ts';
import { LISTED_MAX, NUMBERS_MAX } from './outcomes.ts';

export class Outbox {
  readonly #fresh = new Set<Held>();
  #count = 0;
  #sinceMs = 0;
  #urgent = false;

  /** Units with something to say, about: forgetting one does not lower it before the next sending. */
  get count(): number {
    return this.#count;
  }

  /** When the oldest of them must be sent. */
  get dueMs(): number | undefined {
    if (this.#urgent) return this.#sinceMs;
    return this.#count > 0 ? this.#sinceMs + REPORT_AFTER_MS : undefined;
  }

  /** Notes that `count` units of a grant have something to say. */
  add(held: Held, count: number, nowMs: number): void {
    if (this.#count === 0) this.#sinceMs = nowMs;
    this.#count += count;
    this.#fresh.add(held);
  }

  /** The next Begin waits for this: what was cleared must be told before it begins again. */
  hurry(): void {
    this.#urgent = true;
  }

  /** Has what was sent of a grant sent again. */
  again(held: Held, nowMs: number): void {
    if (held.sent.count === 0) return;
    held.fresh.addAll(held.sent.take(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
    this.add(held, held.fresh.count, nowMs);
  }

  forget(held: Held): void {
    this.#fresh.delete(held);
    if (this.#fresh.size === 0) this.#count = 0;
  }

  /** Takes the reports of one message; `more` when another must follow. */
  take(nowMs: number): { reports: GrantReport[]; more: boolean } {
    const reports: GrantReport[] = [];
    let room = LISTED_MAX;
    let numbers = NUMBERS_MAX;
    for (const held of this.#fresh) {
      const part = held.fresh.take(room, numbers);
      room -= part.listed;
      numbers -= part.numbers;
      reports.push(part.report(held));
      held.sent.addAll(part);
      held.sentMonoMs = nowMs;
      if (held.fresh.count > 0) break;
      this.#fresh.delete(held);
      if (room <= 0 || numbers <= 0 || reports.length >= REPORTS_MAX) break;
    }
    const more = this.#fresh.size > 0;
    if (!more) {
      this.#count = 0;
      this.#urgent = false;
    }
    return { reports, more };
  }
}
