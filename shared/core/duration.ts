/** Durations as people write them. */

/** Durations are numbers in milliseconds or texts such as `250ms`, `60s`, `2m`, `2h`, `7d`. */
export type Duration = number | string;

const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/;
const DURATION_UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a duration; a bare number is milliseconds. Throws a TypeError on anything else. */
export function durationMs(duration: Duration): number {
  const match = DURATION.exec(String(duration).trim());
  if (!match)
    throw new TypeError(`${JSON.stringify(duration)} is not a duration such as 250ms, 60s, 2m, 2h or 7d`);
  const unit = (match[2] ?? 'ms') as keyof typeof DURATION_UNIT_MS;
  return Math.round(Number(match[1]) * DURATION_UNIT_MS[unit]);
}
