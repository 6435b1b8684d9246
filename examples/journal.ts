/** What the journal of a stopped master tells of one epic. */
import type { EpicRecord } from '../master/core/records.ts';
import { SqliteStore } from '../master/io/stores/sqlite.ts';
import { eachOf } from '../shared/core/intervalSet.ts';

export type Told = {
  /** Appends in which answers became durable, each with many. */
  appends: number;
  /** Answers that became durable, and how many of them were of an item that had one. */
  answered: number;
  twice: number;
  /** Times that the answers were folded, and that the epic was finished. */
  folded: number;
  finished: number;
};

const HISTORY_PAGE = 1_000;

export async function toldOf(dataDir: string, epic: string): Promise<Told> {
  const told: Told = { appends: 0, answered: 0, twice: 0, folded: 0, finished: 0 };
  const units = new Set<number>();
  for await (const records of appends(dataDir)) {
    let count = 0;
    for (const record of records) {
      if (record.k !== 'settled' || record.epic !== epic) continue;
      eachOf(record.succeeded ?? [], (unit) => {
        count += 1;
        if (units.has(unit)) told.twice += 1;
        units.add(unit);
      });
    }
    if (count > 0) told.appends += 1;
    told.answered += count;
    told.folded += records.filter((it) => it.k === 'folded' && it.epic === epic).length;
    told.finished += records.filter((it) => it.k === 'epic-finished' && it.epic === epic).length;
  }
  return told;
}

async function* appends(dataDir: string): AsyncGenerator<readonly EpicRecord[]> {
  const store = new SqliteStore(dataDir);
  await store.open();
  try {
    for (let after = 0; ; ) {
      const page = await store.history({ after, limit: HISTORY_PAGE });
      for (const { records } of page) yield records;
      const last = page.at(-1);
      if (!last) return;
      after = last.seq;
    }
  } finally {
    await store.close();
  }
}
