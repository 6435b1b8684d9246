/** Purging: finished epics are forgotten once they are old enough, or too many, the first to end first. */
import { EPICS_FINISHED_KEPT_MAX } from '../../shared/core/limits.ts';
import type { MasterState } from './state.ts';

export function purge(s: MasterState): void {
  const { finished, epics } = s.ledger;
  for (const id of finished) {
    const endedWallMs = epics.get(id)?.finishedWallMs ?? s.now.wallMs;
    const old = s.now.wallMs - endedWallMs >= s.settings.retentionMs;
    if (!old && finished.size <= EPICS_FINISHED_KEPT_MAX) return;
    s.record({ k: 'purged', epic: id });
  }
}
