/**
 * What this worker has to report: collects grants with fresh outcomes, cuts them into messages, and keeps
 * them for another sending until the master says Settled.
 */
import { REPORT_AFTER_MS, REPORTS_MAX } from '../../shared/core/limits.ts';
import type { GrantReport } from '../../shared/protocol/messages.ts';
import type { Held } from './held.ts';
import { roomOf } from './outcomes.ts';

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
    held.fresh.addAll(held.sent);
    held.sent.forget(held.units.ranges());
    this.add(held, held.fresh.count, nowMs);
  }

  forget(held: Held): void {
    this.#fresh.delete(held);
    if (this.#fresh.size === 0) this.#count = 0;
  }

  /** Takes the reports of one message and what they bring; `more` when another must follow. */
  take(nowMs: number): { reports: GrantReport[]; payload: Uint8Array[]; more: boolean } {
    const reports: GrantReport[] = [];
    const payload: Uint8Array[] = [];
    const room = roomOf();
    for (const held of this.#fresh) {
      const part = held.fresh.take(room);
      if (part) {
        reports.push(part.report(held));
        payload.push(...part.payload());
        held.sent.addAll(part);
        held.sentMonoMs = nowMs;
      }
      if (held.fresh.count > 0) break;
      this.#fresh.delete(held);
      if (room.listed <= 0 || room.numbers <= 0 || reports.length >= REPORTS_MAX) break;
    }
    const more = this.#fresh.size > 0;
    if (!more) {
      this.#count = 0;
      this.#urgent = false;
    }
    return { reports, payload, more };
  }
}
