/**
 * The other way to aggregate, for comparison: every writer reads the order's row, adds its item and writes the row back
 * if nobody has meanwhile (optimistic concurrency by a version column), else it does it again. SQLite, several processes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { Child } from '../../cli/children.ts';
import { type Summary, summaryOf } from './order.ts';
import type { WriterConfig, Written } from './versionedWriter.ts';

export type Versioned = Written & { writers: number; ms: number; summary: Summary };

const WRITER = fileURLToPath(new URL('./versionedWriter.ts', import.meta.url));

/** Has this many writers process an order's items, each its share of them, from the same moment on. */
export async function aggregateVersioned(order: string, items: number, writers: number): Promise<Versioned> {
  const folder = await mkdtemp(join(tmpdir(), 'gimmework-versioned-'));
  const path = join(folder, 'orders.db');
  const db = new Database(path);
  const children: Child[] = [];
  try {
    db.pragma('journal_mode = WAL');
    db.exec('CREATE TABLE orders (id TEXT PRIMARY KEY, version INTEGER NOT NULL, summary TEXT NOT NULL)');
    for (let writer = 0; writer < writers; writer++) {
      const config: WriterConfig = { path, order, items, writer, writers };
      children.push(new Child(`writer ${writer + 1}`, WRITER, [JSON.stringify(config)]));
    }
    await Promise.all(children.map((child) => child.line()));
    const startMs = performance.now();
    // They begin once the order is there.
    const none = JSON.stringify(summaryOf(order, []));
    db.prepare('INSERT INTO orders VALUES (?, 0, ?)').run(order, none);
    const written = (await Promise.all(children.map(writtenBy))).reduce((a, b) => ({
      conflicts: a.conflicts + b.conflicts,
      retries: a.retries + b.retries,
      events: a.events + b.events,
    }));
    const ms = performance.now() - startMs;
    const row = db.prepare('SELECT summary FROM orders WHERE id = ?').get(order) as { summary: string };
    return { ...written, writers, ms, summary: JSON.parse(row.summary) as Summary };
  } finally {
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.ended));
    db.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function writtenBy(child: Child): Promise<Written> {
  return JSON.parse(await child.line()) as Written;
}
