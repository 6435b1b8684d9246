/** A work that tells when each of its units is run, in microseconds of the clock that all processes of a machine share. */
import { defineWork } from '../../shared/core/work.ts';
import { clockUs } from '../clock.ts';

export const begun = defineWork('begun').step('tell', (_, { epic }) => {
  process.send?.({ epic, atUs: clockUs() });
});
