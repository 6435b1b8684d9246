/**
 * What control runs (a scatter, a fold, a read) exchange with the master while they run: parts that they give, pages of
 * answers that they want. Owns what is under way and when it is said again; what is in it is the runs' own.
 *
 * E1: one thing is under way for a run at a time, and a part has the next number only once the one before is taken.
 * E2: it is said again after RESEND_MS, and when the link was made again, until it is answered.
 * E3: an answer to something else than what is under way is passed over.
 * E4: a run whose grant is over, or of which SAYINGS_MAX times nothing was heard, waits for nothing: it is told to
 *     stop, and goes back to the master. What is not said, since the link is down, does not count.
 */
import { CONTROL_TIMEOUT_MS, RESEND_MS } from '../../shared/core/limits.ts';
import { prefixed } from '../../shared/protocol/codec.ts';
import type { Part, WantAnswers } from '../../shared/protocol/messages.ts';
import type { Held, Run } from './held.ts';

/** A part as a run gives it: its number and its token come with the sending. */
export type Given = Pick<Part, 'last' | 'to' | 'labels' | 'cursor' | 'end' | 'bad'> & {
  items: readonly Uint8Array[];
};

type Said = { message: Part | WantAnswers; payload: readonly Uint8Array[] };
type Exchange = { parts: number; said: Said | undefined; saidMonoMs: number; sayings: number };

/** How often a thing is said before nobody is thought to listen. */
const SAYINGS_MAX = CONTROL_TIMEOUT_MS / RESEND_MS;

const NEVER = Number.NEGATIVE_INFINITY;

export class Exchanges {
  readonly #open = new Map<Run, Exchange>();

  /** Has the next part of a run sent; it is there once `took` says so. */
  give(run: Run, { items, ...told }: Given): void {
    const exchange = this.#of(run);
    const { epic, term, n } = run.held;
    const message: Part = { t: 'part', epic, term, n, part: exchange.parts, ...told };
    this.#say(exchange, { message, payload: items.map(prefixed) });
  }

  /** Has the answers of units above `after` asked for. */
  want(run: Run, after: number): void {
    const { epic, term, n } = run.held;
    this.#say(this.#of(run), { message: { t: 'want-answers', epic, term, n, after }, payload: [] });
  }

  /** The parts of a grant up to `part` are there. Returns its run, where that waited for just this. */
  took(held: Held | undefined, part: number): Run | undefined {
    const [run, exchange] = this.#under(held);
    if (exchange?.said?.message.t !== 'part' || part !== exchange.said.message.part) return undefined; // E3
    exchange.said = undefined;
    exchange.parts += 1; // E1
    return run;
  }

  /** Answers above `after` came for a grant. Returns its run, where that waited for just these. */
  answered(held: Held | undefined, after: number): Run | undefined {
    const [run, exchange] = this.#under(held);
    if (exchange?.said?.message.t !== 'want-answers' || after !== exchange.said.message.after)
      return undefined; // E3
    exchange.said = undefined;
    return run;
  }

  /** The link was made again: what is under way is said anew. */
  again(): void {
    for (const exchange of this.#open.values()) exchange.saidMonoMs = NEVER;
  }

  /** What is to be said now: what was not yet, and what is overdue (E2). */
  take(nowMs: number): Said[] {
    const due: Said[] = [];
    for (const exchange of this.#open.values()) {
      if (!exchange.said || nowMs < exchange.saidMonoMs + RESEND_MS) continue;
      exchange.saidMonoMs = nowMs;
      exchange.sayings += 1;
      due.push(exchange.said);
    }
    return due;
  }

  /** When something is to be said again. */
  get dueMs(): number | undefined {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { said, saidMonoMs } of this.#open.values())
      if (said) dueMs = Math.min(dueMs, saidMonoMs + RESEND_MS);
    return dueMs === Number.POSITIVE_INFINITY ? undefined : dueMs;
  }

  /** Takes out the runs that nobody will answer (E4). */
  over(nowMs: number): Run[] {
    const over: Run[] = [];
    for (const [run, { said, sayings, saidMonoMs }] of this.#open) {
      const isUnheard = said && sayings >= SAYINGS_MAX && nowMs >= saidMonoMs + RESEND_MS;
      if (isUnheard || run.held.units.isEmpty) over.push(run);
    }
    for (const run of over) this.forget(run);
    return over;
  }

  forget(run: Run): void {
    this.#open.delete(run);
  }

  #of(run: Run): Exchange {
    const exchange = this.#open.get(run) ?? { parts: 0, said: undefined, saidMonoMs: NEVER, sayings: 0 };
    this.#open.set(run, exchange);
    return exchange;
  }

  #say(exchange: Exchange, said: Said): void {
    exchange.said = said;
    exchange.saidMonoMs = NEVER;
    exchange.sayings = 0;
  }

  #under(held: Held | undefined): [Run, Exchange] | [undefined, undefined] {
    for (const [run, exchange] of this.#open) if (run.held === held) return [run, exchange];
    return [undefined, undefined];
  }
}
