/** The one line of arithmetic that every surface shows of an epic (promise G1). */
import type { Totals } from '../protocol/api.ts';

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** A whole number as a person reads it: `10,000`. */
export function count(n: number): string {
  return WHOLE.format(n);
}

export function arithmetic(t: Totals): string {
  return (
    `read ${count(t.read)} = succeeded ${count(t.succeeded)} + failed ${count(t.failed)}` +
    ` + unknown ${count(t.unknown)} + skipped ${count(t.skipped)} + cancelled ${count(t.cancelled)}` +
    ` + missing ${count(t.missing)} + outstanding ${count(t.outstanding)}`
  );
}
