/** Finishing: when an epic has nothing left to wait for. */
import { finish } from './closing.ts';
import { startFold } from './gathering.ts';
import type { LiveEpic } from './live.ts';
import type { MasterState } from './state.ts';

/** Finishes the epic if its source is drained and nothing is outstanding; a gather is folded first. */
export function finishIfDone(s: MasterState, live: LiveEpic): void {
  const { epic } = live;
  if (!epic.active) return;
  live.prune();
  if (!epic.drained || epic.outstanding > 0) return;
  const isCancelled = epic.closing !== undefined && epic.closingAs === 'cancelled';
  const { gather } = epic;
  if (gather && !isCancelled && gather.items !== 0 && !gather.result) return startFold(s, live);
  const { fault } = epic; // Of its source: what had been read before is done.
  if (fault && !isCancelled) return finish(s, live, { outcome: 'failed', fault });
  finish(s, live, { outcome: isCancelled ? 'cancelled' : 'finished' });
}
