/** A work that tells the process which started its worker when each unit began. */
import { defineWork } from '../../shared/core/work.ts';

export const stamp = defineWork<{ n: number }>('stamp').step('stamp', ({ n }) => {
  process.send?.({ n, startedAtUs: Number(process.hrtime.bigint() / 1_000n) });
});
