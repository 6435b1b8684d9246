/** What workers told and may forget: only what they are told is settled, and only once that is durable (Y1). */
import { CONTROL_UNIT, type GrantReport, type Settled } from '../../shared/protocol/messages.ts';
import type { Account } from './account.ts';
import { Broken, each, type Story, tokenOf } from './story.ts';

export class SettledCheck {
  readonly #story: Story;
  /** Outcomes that each token told, by epic and token. */
  readonly #told = new Map<string, Set<number>>();

  constructor(story: Story) {
    this.#story = story;
  }

  /** A worker tells how units ended. A scatter or a fold has no outcome. */
  told(session: string, reports: readonly GrantReport[]): void {
    for (const { epic, term, n, ok, skipped, failed = [] } of reports) {
      const key = `${epic} ${tokenOf({ session, term, n })}`;
      const told = this.#told.get(key) ?? new Set();
      this.#told.set(key, told);
      for (const units of [ok, skipped]) each(units, (unit) => told.add(unit));
      for (const { unit } of failed) told.add(unit);
      told.delete(CONTROL_UNIT);
    }
  }

  /** A worker is told what it may forget. */
  leaves(session: string, { term, grants }: Settled, accounts: Iterable<Account>): void {
    for (const account of accounts) {
      for (const { n, units } of grants) {
        const token = tokenOf({ session, term, n });
        const told = this.#told.get(`${account.epic} ${token}`);
        if (told === undefined) continue;
        this.#story.add(account.epic, units, `${token} is told that it is settled`);
        each(units, (unit) => void (told.has(unit) && this.#mayForget(account, unit, token)));
      }
    }
  }

  #mayForget({ epic, outcomes, begun }: Account, unit: number, token: string): void {
    // A stale token's word counts for nothing once another has begun.
    if (outcomes.has(unit) || (begun.get(unit) ?? token) !== token) return;
    throw new Broken('Y1', epic, unit, `is forgotten by ${token} and has no durable outcome`);
  }
}
