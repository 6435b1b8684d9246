/** Stretches of a source as they were read: ascending, without gaps between those that are kept. */
import type { Extent } from './records.ts';

/** The one that a unit was read in; undefined where it is kept no more. */
export function extentAt(extents: readonly Extent[], unit: number): Extent | undefined {
  let low = 0;
  let high = extents.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const extent = extents[middle] as Extent;
    if (unit < extent.first) high = middle - 1;
    else if (unit >= extent.end) low = middle + 1;
    else return extent;
  }
  return undefined;
}
