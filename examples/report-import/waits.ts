/** What the API's log tells of reports that were told to come back later. */
import type { Asked } from './flakyApi.ts';

export type Waits = {
  /** Requests that came before they were to. */
  tooSoon: number;
  /** Most reports that waited at the same time. */
  most: number;
  /** Downloads that ended while at least one waited. */
  meanwhile: number;
};

export function waitsOf(log: readonly Asked[]): Waits {
  const waiting = new Map<string, Asked>();
  const changes: { atMs: number; by: number; isDownload: boolean }[] = [];
  let tooSoon = 0;
  for (const asked of log) {
    const told = waiting.get(asked.report);
    if (told) {
      if (asked.atMs < (told.againMs ?? 0)) tooSoon += 1;
      waiting.delete(asked.report);
      changes.push({ atMs: asked.atMs, by: -1, isDownload: false });
    }
    if (asked.ended === 'limited') {
      waiting.set(asked.report, asked);
      changes.push({ atMs: asked.atMs, by: 1, isDownload: false });
    }
    if (asked.ended === 'downloaded')
      changes.push({ atMs: asked.endMs ?? asked.atMs, by: 0, isDownload: true });
  }
  let [now, most, meanwhile] = [0, 0, 0];
  for (const { by, isDownload } of changes.sort((a, b) => a.atMs - b.atMs)) {
    now += by;
    most = Math.max(most, now);
    if (isDownload && now > 0) meanwhile += 1;
  }
  return { tooSoon, most, meanwhile };
}
