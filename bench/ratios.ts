/**
 * Ratios between systems that took turns, and what was promised of them.
 *
 * R1: a ratio is taken between neighbours, ours and theirs of the same round; its spread is that of the rounds.
 * R2: a promise over several peers holds for the best of them; what was not measured was not kept.
 */
import { type Spread, spreadOf } from './spread.ts';
import { fixed } from './table.ts';

/** System → its units/s of each round. */
export type Rates = ReadonlyMap<string, readonly number[]>;

export type Claim = {
  ours: string;
  theirs: readonly string[];
  /** So many times their rate. */
  min: number;
};

export type ClaimResult = {
  claim: Claim;
  /** R2: the peer that comes closest to us, and the ratio to it; nothing where one was not measured. */
  closest: { name: string; ratio: Spread } | undefined;
  unmeasured: readonly string[];
};

/** How many times their rate ours was. Nothing where one was not measured, or not as often. */
export function ratioOf(rates: Rates, ours: string, theirs: string): Spread | undefined {
  const [mine, others] = [rates.get(ours), rates.get(theirs)];
  if (!mine || !others || mine.length === 0 || mine.length !== others.length) return undefined;
  return spreadOf(mine.map((rate, round) => rate / (others[round] as number)));
}

export function resultOf(rates: Rates, claim: Claim): ClaimResult {
  const found = claim.theirs.map((name) => ({ name, ratio: ratioOf(rates, claim.ours, name) }));
  const unmeasured = found.flatMap(({ name, ratio }) => (ratio === undefined ? [name] : []));
  const measured = found.flatMap(({ name, ratio }) => (ratio === undefined ? [] : [{ name, ratio }]));
  measured.sort((a, b) => a.ratio.median - b.ratio.median);
  return { claim, closest: unmeasured.length > 0 ? undefined : measured[0], unmeasured };
}

/** One line for each promise that was not kept. */
export function brokenBy(results: readonly ClaimResult[]): string[] {
  return results.flatMap(({ claim: { ours, min }, closest, unmeasured }) => {
    if (closest === undefined) return [`${ours}: not measured beside ${unmeasured.join(', ')}`];
    const { name, ratio } = closest;
    return ratio.median < min ? [`${ours}: ${times(ratio.median)} the rate of ${name}, not ${min}x`] : [];
  });
}

export function times(ratio: number): string {
  return `${fixed(ratio, ratio < 10 ? 2 : 1)}x`;
}
