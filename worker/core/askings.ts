/**
 * Askings: the runs of one grant that wait for the master's leave to go on, because an at-most-once effect is
 * next, or because their state is to be durable first. They are told in Begin messages until answered.
 *
 * K1: an answer to a Begin sent before the run asked anew counts for nothing.
 * K2: an asking without an answer is told again after RESEND_MS, however many others ask meanwhile.
 * K3: what is told at once fits into one message.
 */
import { IntervalSet } from '../../shared/core/intervalSet.ts';
import { RESEND_MS } from '../../shared/core/limits.ts';
import type { Ranges, UnitSaved } from '../../shared/protocol/messages.ts';
import type { Run } from './held.ts';
import { type Listed, listed, NUMBER_BYTES, payloadOf, roomOf } from './outcomes.ts';

/** What a run waits for: leave for its next step's effect, and its state kept, or one of these. */
export type Want = { effect: boolean; state?: Uint8Array };

/** What one Begin says beside its token. */
export type Asked = { units: Ranges; saved: UnitSaved[]; payload: Uint8Array[] };

type Asking = {
  run: Run;
  want: Want;
  saved: Listed<UnitSaved> | undefined;
  /** `at` of the first Begin since it asked. */
  askedAt: number;
};

export class Askings {
  readonly #asking = new Map<number, Asking>();
  /** To be told in the next Begin message. */
  readonly #toAsk = new IntervalSet();
  #askedMonoMs = 0;

  add(run: Run, want: Want, key: string | undefined): void {
    const { unit, state } = run;
    const saved = want.state && listed({ unit, step: state?.index ?? 0 }, [run.bytes, want.state], key);
    this.#asking.set(unit, { run, want, saved, askedAt: Number.POSITIVE_INFINITY });
    this.#toAsk.add(unit, unit + 1);
  }

  forget(unit: number): void {
    if (this.#asking.delete(unit)) this.#toAsk.remove(unit, unit + 1);
  }

  /** The link was made again: all of them are told anew. */
  again(): void {
    this.#askedMonoMs = Number.NEGATIVE_INFINITY;
  }

  /** What the Begin numbered `at` tells: those not yet told, and all of them when the answer is overdue (K2). */
  take(at: number, nowMs: number): Asked | undefined {
    if (this.#asking.size > 0 && nowMs - this.#askedMonoMs >= RESEND_MS) {
      for (const unit of this.#asking.keys()) this.#toAsk.add(unit, unit + 1);
    }
    if (this.#toAsk.isEmpty) return undefined;
    // The time of the oldest without an answer: new ones must not put off its second telling.
    if (this.#toAsk.count === this.#asking.size) this.#askedMonoMs = nowMs;
    const units = new IntervalSet();
    const saved: Listed<UnitSaved>[] = [];
    const room = roomOf();
    for (let unit = this.#toAsk.first; unit !== undefined; unit = this.#toAsk.first) {
      const asking = this.#asking.get(unit) as Asking;
      const costs = (asking.saved?.bytes ?? 0) + (units.last === unit - 1 ? 0 : 2 * NUMBER_BYTES);
      if (costs > room.bytes || (asking.saved && room.listed === 0)) break; // K3
      room.bytes -= costs;
      if (asking.saved) room.listed -= 1;
      this.#toAsk.remove(unit, unit + 1);
      asking.askedAt = Math.min(asking.askedAt, at);
      if (asking.want.effect) units.add(unit, unit + 1);
      if (asking.saved) saved.push(asking.saved);
    }
    return { units: units.ranges(), saved: saved.map(({ said }) => said), payload: payloadOf(saved) };
  }

  /** Takes out a run that the answer to the Begin numbered `at` is for, as allowed or not. */
  answer(unit: number, at: number, allowed: boolean): Run | undefined {
    const asking = this.#asking.get(unit);
    if (!asking || at < asking.askedAt) return undefined; // K1
    this.forget(unit);
    const { run, want } = asking;
    // Where its state is durable, what was begun before is over: only what is begun now is in doubt after a crash.
    run.begun = allowed && want.effect;
    if (allowed && want.state) run.kept = { step: run.state?.index ?? 0, bytes: want.state };
    return run;
  }
}
