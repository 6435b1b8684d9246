/** What a killed master left behind, read from a copy of its journal as the next one will read it. */
import { copyFileSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Ledger } from '../master/core/ledger.ts';
import { SqliteStore } from '../master/io/stores/sqlite.ts';

export type Left = {
  /** Records that the next master replays. */
  records: number;
  /** Bytes of all that is on the disk: rows and history are most of it. */
  fileBytes: number;
  /** Bytes of the checkpoint that stands for these records. */
  checkpointBytes: number;
  /** Stretches of sources whose places are still needed: a cursor that waits for a unit keeps all after it. */
  extents: number;
  /** Parked units. */
  parked: number;
};

const FILES = ['journal.db', 'journal.db-wal'];

/** `copy` is an empty folder. To open the journal itself would do a part of what the next start is measured by. */
export async function readLeft(dataDir: string, copy: string): Promise<Left> {
  mkdirSync(copy, { recursive: true });
  let fileBytes = 0;
  for (const name of FILES) {
    const file = join(dataDir, name);
    if (!existsSync(file)) continue;
    fileBytes += statSync(file).size;
    copyFileSync(file, join(copy, name));
  }
  const store = new SqliteStore(copy);
  const { records } = await store.open();
  await store.close();
  const ledger = new Ledger();
  for (const record of records) ledger.apply(record);
  const left = { records: records.length, fileBytes, checkpointBytes: 0, extents: 0, parked: 0 };
  for (const record of ledger.checkpoint()) left.checkpointBytes += Buffer.byteLength(JSON.stringify(record));
  for (const { extents, parked } of ledger.epics.values()) {
    left.extents += extents.length;
    left.parked += parked.count;
  }
  return left;
}
