/**
 * The past of one epic: what was appended from its submit to its end, read page by page from the journal, which
 * keeps its entries after a checkpoint as long as there is room.
 */
import type { Epic } from '../core/epic.ts';
import type { EpicRecord } from '../core/records.ts';
import type { HistoryEntry, Store } from './store.ts';

/** Entries read at once. */
const PAGE_ENTRIES = 64;
/** What the clock may have been set back by between two entries. */
const CLOCK_MARGIN_MS = 60_000;

type Past = Pick<Store, 'history'>;
/** A record of an epic, and when it was appended. */
export type Happened = { wallMs: number; record: EpicRecord };

/**
 * Reads the records of an epic, the oldest first. What is no longer kept is missing at the beginning: then the first
 * of them is not its `epic-submitted`.
 */
export async function pastOf(store: Past, epic: Epic, each: (happened: Happened) => void): Promise<void> {
  const from = await before(store, epic.submittedWallMs - CLOCK_MARGIN_MS);
  const found = await read(store, epic, from, each);
  // A clock that was set back further hides the submit.
  if (!found && from > 0) await read(store, epic, 0, each);
}

/** Returns whether it found where the epic begins; without it nothing is told, but when all was read. */
async function read(
  store: Past,
  epic: Epic,
  from: number,
  each: (happened: Happened) => void,
): Promise<boolean> {
  let isBegun = from === 0;
  for (let after = from; ; ) {
    const entries = await store.history({ after, limit: PAGE_ENTRIES });
    for (const { wallMs, records } of entries) {
      for (const record of records) {
        if (record.epic !== epic.id) continue;
        isBegun ||= record.k === 'epic-submitted';
        if (!isBegun) return false;
        each({ wallMs, record });
        if (record.k === 'epic-finished') return true;
      }
    }
    const last: HistoryEntry | undefined = entries.at(-1);
    if (!last) return isBegun;
    after = last.seq;
  }
}

/** Number of an entry before which everything was appended before this time; entries ascend in time, nearly. */
async function before(store: Past, wallMs: number): Promise<number> {
  const isBefore = async (seq: number): Promise<boolean> => {
    const [next] = await store.history({ after: seq, limit: 1 });
    // Entries of long ago have no time.
    return next !== undefined && next.wallMs > 0 && next.wallMs < wallMs;
  };
  const [oldest] = await store.history({ after: 0, limit: 1 });
  if (!oldest || !(await isBefore(oldest.seq - 1))) return 0;
  let low = oldest.seq - 1;
  let step = 1;
  while (await isBefore(low + step)) {
    low += step;
    step *= 2;
  }
  for (let high = low + step; high - low > 1; ) {
    const middle = Math.floor((low + high) / 2);
    if (await isBefore(middle)) low = middle;
    else high = middle;
  }
  return low;
}
