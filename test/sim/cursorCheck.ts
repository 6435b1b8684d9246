/** What must be true of a source that workers read: Y7: its units and the cursor after them are recorded together. */
import type { EpicRecordOf } from '../../master/core/records.ts';
import type { Source } from './sources.ts';
import { Broken } from './story.ts';

/** The cursor of the simulation is the number of the last unit. */
export function checkCursor(
  { epic, to, cursor }: EpicRecordOf<'horizon'>,
  before: number,
  source: Source | undefined,
): void {
  const wanted = source?.spec.type === 'named' && to > before ? String(to - 1) : undefined;
  if (cursor === wanted) return;
  throw new Broken('Y7', epic, undefined, `is read to ${to} with the cursor ${cursor}, not ${wanted}`);
}
