/**
 * Ratios between systems that took turns, and what was promised of them.
 *
 * R1: a ratio is taken between neighbours, ours and theirs of the same round; its spread is that of the rounds.
 * R2: a promise over several peers holds for the best of them; what was not measured was not kept.
 */
import { type Spread, spreadOf } from './spread.ts';
import { fixed } from './table.ts';

/** System → what was measured of it in each round. */
export type Rounds = ReadonlyMap<string, readonly number[]>;

export type Claim = {
  /** A rate is to be at least so many times theirs, a wait at most. */
  kind: 'rate' | 'wait';
  ours: string;
  theirs: readonly string[];
  times: number;
};

export type ClaimResult = {
  claim: Claim;
  /** R2: the best of the peers and the ratio to it; nothing where one was not measured. */
  best: { name: string; ratio: Spread } | undefined;
  isKept: boolean;
  unmeasured: readonly string[];
};

/** How many times theirs ours was. Nothing where one was not measured, or not as often. */
export function ratioOf(rounds: Rounds, ours: string, theirs: string): Spread | undefined {
  const [mine, others] = [rounds.get(ours), rounds.get(theirs)];
  if (!mine || !others || mine.length === 0 || mine.length !== others.length) return undefined;
  return spreadOf(mine.map((value, round) => value / (others[round] as number)));
}

export function resultOf(rounds: Rounds, claim: Claim): ClaimResult {
  const found = claim.theirs.map((name) => ({ name, ratio: ratioOf(rounds, claim.ours, name) }));
  const unmeasured = found.flatMap(({ name, ratio }) => (ratio === undefined ? [name] : []));
  if (unmeasured.length > 0) return { claim, best: undefined, isKept: false, unmeasured };
  const measured = found.flatMap(({ name, ratio }) => (ratio === undefined ? [] : [{ name, ratio }]));
  const sign = claim.kind === 'rate' ? 1 : -1;
  const [best] = measured.sort((a, b) => sign * (a.ratio.median - b.ratio.median));
  const isKept = best !== undefined && sign * (best.ratio.median - claim.times) >= 0;
  return { claim, best, isKept, unmeasured };
}

/** One line for each promise that was not kept. */
export function brokenBy(results: readonly ClaimResult[]): string[] {
  return results.flatMap(({ claim: { kind, ours, times: bound }, best, isKept, unmeasured }) => {
    if (isKept) return [];
    if (best === undefined) return [`${ours}: not measured beside ${unmeasured.join(', ')}`];
    return [`${ours}: ${times(best.ratio.median)} the ${kind} of ${best.name}, not ${bound}x`];
  });
}

export function times(ratio: number): string {
  return `${fixed(ratio, ratio < 10 ? 2 : 1)}x`;
}
