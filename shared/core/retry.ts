/** How long to wait before a unit's step is tried again. Owns the delay; who waits is the worker's business. */
import type { Backoff } from './work.ts';

/**
 * Milliseconds to wait after attempt number `attempt` (from 1) failed: exponential backoff with full
 * jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): any time from 0 up to, not including,
 * min(max, first · factor^(attempt − 1)). `random` is from 0 up to, not including, 1.
 */
export function backoffMs(backoff: Backoff, attempt: number, random: number): number {
  if (backoff.firstMs <= 0) return 0;
  // The power may overflow to Infinity; the least of the three never does.
  const grown = backoff.firstMs * backoff.factor ** Math.max(0, attempt - 1);
  return random * Math.max(0, Math.min(grown, backoff.maxMs, Number.MAX_SAFE_INTEGER));
}
