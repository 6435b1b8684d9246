/**
 * From the call that submits one unit to the start of its work, on a system that idles: by us, with the epic durable
 * before it is granted, by BullMQ and by graphile-worker. All processes read one clock, the machine's monotonic one.
 *
 * F1: the next is submitted only when the last has begun and a while has passed, so that nothing is on its way.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { units } from '../client/index.ts';
import type { Child } from './child.ts';
import { clockUs } from './clock.ts';
import { Cluster, type Link } from './cluster.ts';
import { startPeer } from './peer.ts';
import type { Peer, Tuning } from './peerList.ts';
import { OURS } from './peersReport.ts';
import type { Place } from './place.ts';
import { type Spread, spreadOf } from './spread.ts';

export type Waiting = { name: string; isOurs: boolean; run: (count: number) => Promise<Spread> };

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
  const cluster = await Cluster.start(place, { link, works: place.built('bench/works/begun.js') });
  const begun = new Told<{ epic: string; atUs: number }>(cluster.workers, ({ epic }) => epic);
  const wait = async (n: number): Promise<number> => {
    const fromUs = clockUs();
    const { id } = await cluster.client.submit({ work: 'begun', source: units([{ n }]) });
    return (await begun.of(id)).atUs - fromUs;
  };
  const found = await cluster.whileUp(oneByOne(count, wait));
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
  const numberOf = ({ n }: { n: number }): number => n;
  const submitted = new Told<{ n: number; submittedAtUs: number }>([first], numberOf);
  const started = new Told<{ n: number; startedAtUs: number }>(consumers, numberOf);
  const wait = async (n: number): Promise<number> => {
    first.send({ n });
    const { startedAtUs } = await started.of(n);
    return startedAtUs - (await submitted.of(n)).submittedAtUs;
  };
  const found = await orFail(oneByOne(count, wait));
  await stop();
  return found;
}

/** F1; `wait` is in microseconds. */
async function oneByOne(count: number, wait: (n: number) => Promise<number>): Promise<Spread> {
  const waitsMs: number[] = [];
  for (let n = 0; n < WARM_UP + count; n++) {
    const us = await wait(n);
    if (n >= WARM_UP) waitsMs.push(us / 1_000);
    await pause(IDLE_MS);
  }
  return spreadOf(waitsMs);
}

/** What children tell of each unit, by its key, whether it is told before it is asked for or after. */
class Told<M> {
  readonly #messages = new Map<string | number, M>();
  #look = (): void => {};

  constructor(children: readonly Child[], keyOf: (message: M) => string | number) {
    for (const child of children) {
      child.onMessage((message) => {
        this.#messages.set(keyOf(message as M), message as M);
        this.#look();
      });
    }
  }

  /** Asked for one at a time. */
  of(key: string | number): Promise<M> {
    return new Promise((resolve) => {
      this.#look = () => {
        const message = this.#messages.get(key);
        if (message === undefined) return;
        this.#messages.delete(key);
        resolve(message);
      };
      this.#look();
    });
  }
}
