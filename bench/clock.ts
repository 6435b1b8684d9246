/** Time that two processes of one machine can compare. */

/** Microseconds on the monotonic clock; CPU profiles have the same. */
export function clockUs(): number {
  return Number(process.hrtime.bigint()) / 1_000;
}
