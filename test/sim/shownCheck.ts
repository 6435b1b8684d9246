/** The arithmetic that a master shows of an epic is that of its records, always (G1) and after a crash (Y2). */
import type { Totals } from '../../shared/protocol/api.ts';
import type { Account } from './account.ts';
import { Broken } from './story.ts';

/** What the master shows of an epic. */
export type Shown = { state: string; totals: Totals };

export function checkShown(account: Account, shown: Shown | undefined, how: string): void {
  const { own, counts, outcomes, state, isPurged } = account;
  if (isPurged && !shown) return;
  const mine = { state, totals: { read: own, ...counts, outstanding: own - outcomes.size } };
  const theirs = { state: shown?.state, totals: { ...mine.totals, ...shown?.totals } };
  if (shown && !isPurged && JSON.stringify(mine) === JSON.stringify(theirs)) return;
  const what = `${how} ${JSON.stringify(shown)}, its records add up to ${JSON.stringify(mine)}`;
  throw new Broken(how === 'shows' ? 'G1' : 'Y2', account.epic, undefined, what);
}
