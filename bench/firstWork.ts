/**
 * From the call that submits one unit to the start of its work, on a system that idles: by us, with the epic durable
 * before it is granted, by BullMQ and by graphile-worker. All processes read one clock, the machine's monotonic one.
 *
 * F1: the next is submitted only when the last has begun and a while has passed, so that nothing is on its way.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { units } from '../client/index.ts';
import type { Child } from './child.ts';
import { Cluster, type Link } from './cluster.ts';
import { startPeer } from './peer.ts';
import type { Peer, Tuning } from './peerList.ts';
import { OURS } from './peersReport.ts';
import type { Place } from './place.ts';
import { type Spread, spreadOf } from './spread.ts';

export type Waiting = { name: string; isOurs: boolean; run: (count: number) => Promise<Spread> };

type Stamp = { n: number; submittedAtUs?: number; startedAtUs?: number };

/** Not measured: connections are made, code is compiled. */
const WARM_UP = 20;
const IDLE_MS = 15;
const CONSUMERS = 2;
/** Without batching, which would only make a unit that comes alone wait. */
const PEERS: readonly (Pick<Peer, 'name' | 'script' | 'server'> & { tuning: Tuning })[] = [
  { name: 'bullmq', script: 'bullmq', server: 'redis', tuning: { concurrency: 50 } },
  { name: 'graphile-worker', script: 'graphile', server: 'postgres', tuning: { concurrency: 24 } },
];

/** Who is measured; each run has fresh processes and gives the spread of `count` waits in milliseconds. */
export function waitings(place: Place): Waiting[] {
  const links = ['nats', 'ws'] as const;
  return [
    ...links.map((link) => ({
      name: OURS[link],
      isOurs: true,
      run: (count: number) => waitForUs(place, link, count),
    })),
    ...PEERS.map((peer) => ({
      name: peer.name,
      isOurs: false,
      run: (count: number) => waitForThem(place, peer, count),
    })),
  ];
}

async function waitForUs(place: Place, link: Link, count: number): Promise<Spread> {
  const cluster = await Cluster.start(place, { link, works: place.built('bench/works/stamp.js') });
  const stamps = stampsOf(cluster.workers);
  const submit = async (n: number): Promise<number> => {
    const atUs = Number(process.hrtime.bigint() / 1_000n);
    await cluster.client.submit({ work: 'stamp', source: units([{ n }]) });
    return atUs;
  };
  const found = await cluster.whileUp(oneByOne(count, submit, async (n) => (await stamps(n)).startedAtUs));
  await cluster.stop();
  return found;
}

async function waitForThem(place: Place, peer: (typeof PEERS)[number], count: number): Promise<Spread> {
  const config = { stamps: true, tuning: peer.tuning };
  const { first, consumers, orFail, stop } = await startPeer(place, peer, {
    role: 'submitter',
    consumers: CONSUMERS,
    config,
  });
  const [submitted, started] = [stampsOf([first]), stampsOf(consumers)];
  const submit = async (n: number): Promise<number | undefined> => {
    const stamp = submitted(n);
    first.send({ n });
    return (await stamp).submittedAtUs;
  };
  const found = await orFail(oneByOne(count, submit, async (n) => (await started(n)).startedAtUs));
  await stop();
  return found;
}

type AtUs = (n: number) => Promise<number | undefined>;

/** F1 */
async function oneByOne(count: number, submitted: AtUs, started: AtUs): Promise<Spread> {
  const waitsMs: number[] = [];
  for (let n = 0; n < WARM_UP + count; n++) {
    const [toUs = 0, fromUs = 0] = await Promise.all([started(n), submitted(n)]);
    if (n >= WARM_UP) waitsMs.push((toUs - fromUs) / 1_000);
    await pause(IDLE_MS);
  }
  return spreadOf(waitsMs);
}

/** What one of the children says of a unit, once it does; asked for before it can be said. */
function stampsOf(children: readonly Child[]): (n: number) => Promise<Stamp> {
  const awaited = new Map<number, (stamp: Stamp) => void>();
  for (const child of children) {
    child.onMessage((message) => {
      const stamp = message as Stamp;
      awaited.get(stamp.n)?.(stamp);
      awaited.delete(stamp.n);
    });
  }
  return (n) => new Promise((resolve) => awaited.set(n, resolve));
}
