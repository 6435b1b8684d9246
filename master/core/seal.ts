/**
 * A seal is the master's signature on a grant. The worker keeps it and shows it with every claim, so that also a
 * master that has forgotten the grant believes only who was given it.
 */
import type { Ranges } from '../../shared/protocol/messages.ts';

/**
 * Signs a text: nobody without the secret can make the answer. Same text, same answer, also after a restart. The
 * answer is an id.
 */
export type Seal = (text: string) => string;

/** The seal of a grant of these units to this session. No part of the text can hold what parts it from the next. */
export function sealOf(
  seal: Seal,
  session: string,
  { epic, term, n }: { epic: string; term: number; n: number },
  granted: Ranges,
): string {
  return seal(`${epic} ${session} ${term} ${n} ${granted.join()}`);
}
