/** Runs of the example: an order whose items answer at once, one that cannot be split, and an empty one. */
import { fileURLToPath } from 'node:url';
import type { Epic, EpicStatus } from '../../client/index.ts';
import { Cluster } from '../cluster.ts';
import { type Told, toldOf } from '../journal.ts';
import { Gate } from './gate.ts';
import type { Order, Summary } from './order.ts';
import { orderItems } from './works.ts';

export type Answered = {
  summary: Summary;
  end: EpicStatus;
  /** From the moment the items are let through to the summary. */
  ms: number;
  /** Answers that this master refused, because their sender no longer held the item, and that came too late. */
  conflicts: number;
  /** Runs of an item beyond its first, for whatever reason. */
  retries: number;
  /** Times that whoever waits was told `order processed`. */
  events: number;
  /** The same order, sent again afterwards, is the same epic. */
  same: boolean;
  journal: Told;
  /** Answers that were durable when the master was killed, where it was. */
  killedAt?: number;
};
export type Refused = {
  broken: EpicStatus;
  sent: number;
  empty: EpicStatus;
  emptyMs: number;
  emptyValue: Summary | null;
};

export const WORKERS = 2;
const WORKS = fileURLToPath(new URL('./works.ts', import.meta.url));

/**
 * Has an order processed whose items all answer in the same moment. With `kill` one half of them answers, and the other
 * half just as the master is killed.
 */
export async function answerAtOnce(items: number, kill: boolean): Promise<Answered> {
  const gate = await Gate.start();
  // Any worker has room for all: all can wait at the gate, however they are divided.
  const cluster = await Cluster.start({ works: WORKS, workers: WORKERS, slots: items });
  try {
    const order: Order = { id: 'order-1', items, gate: gate.port };
    const epic = await ask(cluster, order);
    const ended = follow(epic);
    await gate.waiting(items);
    const startMs = performance.now();
    gate.open('even');
    let killedAt: number | undefined;
    if (kill) {
      killedAt = await half(epic, items);
      gate.open('odd');
      await cluster.killMaster();
      await cluster.startMaster();
    } else gate.open('odd');
    const { end, events } = await ended;
    const ms = performance.now() - startMs;
    const { value } = await cluster.client.result<Summary>(epic.id);
    const conflicts = (await staleReports(cluster)) + (end.gather?.late ?? 0);
    const same = (await ask(cluster, order)).id === epic.id;
    await cluster.stop();
    const journal = await toldOf(cluster.dataDir, epic.id);
    const run = { summary: value, end, ms, conflicts, retries: gate.repeated, events, same, journal };
    return { ...run, ...(killedAt !== undefined && { killedAt }) };
  } finally {
    await cluster.close();
    await gate.close();
  }
}

/** An order whose split fails half-way, and one without items. */
export async function allOrNothing(items: number): Promise<Refused> {
  const gate = await Gate.start();
  const cluster = await Cluster.start({ works: WORKS, workers: WORKERS, slots: items });
  try {
    const order: Order = { id: 'order-2', items, gate: gate.port, brokenAt: Math.floor(items / 2) };
    const broken = await (await ask(cluster, order)).wait();
    const startMs = performance.now();
    const epic = await ask(cluster, { id: 'order-3', items: 0, gate: gate.port });
    const empty = await epic.wait();
    const emptyMs = performance.now() - startMs;
    const { value } = await cluster.client.result<Summary | null>(epic.id);
    return { broken, sent: gate.came.size, empty, emptyMs, emptyValue: value };
  } finally {
    await cluster.close();
    await gate.close();
  }
}

function ask({ client }: Cluster, order: Order): Promise<Epic> {
  return client.gather(orderItems, order, { name: order.id, idempotencyKey: order.id });
}

/** The end of an epic, and how often it was told. */
async function follow(epic: Epic): Promise<{ end: EpicStatus; events: number }> {
  let end = epic.first;
  let events = 0;
  for await (const status of epic.watch()) {
    end = status;
    if (status.finishedAt !== undefined) events += 1;
  }
  return { end, events };
}

/** Waits until half of the answers are durable. */
async function half(epic: Epic, items: number): Promise<number> {
  for await (const { gather } of epic.watch()) {
    const responses = gather?.responses ?? 0;
    if (responses >= items / 2) return responses;
  }
  throw new Error('it was over before it could be interrupted');
}

async function staleReports({ client }: Cluster): Promise<number> {
  const answer = await fetch(`${client.master}/metrics`);
  const lines = (await answer.text()).matchAll(/^gimmework_stale_reports_total\S* (\d+)$/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}
