/**
 * One writer of the versioned aggregation, as a process: its share of the items. Its one argument is JSON; it writes a
 * line when it is ready, begins once the order is there, and writes a second line when it is done.
 *
 * V1: it handles LANES answers at a time, and between reading and writing a row lies a turn of the loop: what a server does
 * that handles requests and waits for its database.
 */
import { setImmediate as turn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { print } from '../../cli/output.ts';
import { add, itemOf, process as processed, type Summary } from './order.ts';

export type WriterConfig = { path: string; order: string; items: number; writer: number; writers: number };
export type Written = {
  /** Writes refused because the row had changed since it was read. */
  conflicts: number;
  /** Reads and writes done again for that. */
  retries: number;
  /** Times that a writer found the order to be complete. */
  events: number;
};
type Row = { version: number; summary: string };

const LOOK_MS = 1;
const LANES = 4;
const { path, order, items, writer, writers } = JSON.parse(process.argv[2] ?? '') as WriterConfig;
const db = new Database(path);
db.pragma('synchronous = FULL');
db.pragma('busy_timeout = 60000');
const read = db.prepare('SELECT version, summary FROM orders WHERE id = ?');
const write = db.prepare('UPDATE orders SET version = version + 1, summary = ? WHERE id = ? AND version = ?');
const written: Written = { conflicts: 0, retries: 0, events: 0 };
const never = new Int32Array(new SharedArrayBuffer(4));

print('ready');
while (!read.get(order)) Atomics.wait(never, 0, 0, LOOK_MS);
await Promise.all(Array.from({ length: LANES }, (_, lane) => addFrom(writer * LANES + lane)));
db.close();
print(JSON.stringify(written));

/** Adds every item of one lane. */
async function addFrom(first: number): Promise<void> {
  for (let number = first; number < items; number += writers * LANES) {
    for (; !(await addItem(number)); written.retries += 1) written.conflicts += 1;
  }
}

/** Reads, adds, writes back. False where somebody else wrote in between. */
async function addItem(number: number): Promise<boolean> {
  const { version, summary } = read.get(order) as Row;
  await turn();
  const sum = JSON.parse(summary) as Summary;
  add(sum, processed(itemOf(number)));
  if (write.run(JSON.stringify(sum), order, version).changes === 0) return false;
  if (sum.items === items) written.events += 1;
  return true;
}
