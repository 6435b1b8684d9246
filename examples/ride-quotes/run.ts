/**
 * A city with everything it takes: phones, master, office and drivers; its customers, and what they and the drivers do. Each
 * scenario has an area of its own, whose drivers are in `DRIVERS`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Child } from '../../cli/children.ts';
import type { EpicStatus } from '../../client/index.ts';
import type { GatherAnswer } from '../../shared/protocol/api.ts';
import { Cluster } from '../cluster.ts';
import { type Told as Journal, toldOf } from '../journal.ts';
import type { Driver, DriversConfig } from './drivers.ts';
import { type Answer, type Http, http } from './http.ts';
import { type Manner, Phones, type Told } from './phones.ts';
import type { Quotes, Ride } from './quotes.ts';

export type City = {
  cluster: Cluster;
  phones: Phones;
  http: Http;
  start: (name: string, drivers: string[]) => Promise<Child>;
};
/** A ride that is over. */
export type Ended = {
  value: Quotes;
  complete: boolean;
  end: EpicStatus;
  /** How often each driver was asked about it. */
  asked: Record<string, number>;
  /** From its submit to its end, and from its deadline, as the master says. */
  ms: number;
  lateMs: number;
};
export type Answered = {
  /** The customer's four calls: the request, a look while it runs, one at its end, and the result. */
  calls: { post: Answer; running: Answer; done: Answer; result: Answer };
  /** What the customer was last told over the WebSocket. */
  pushed: EpicStatus;
  north: Ended;
  south: Ended;
  /** What the return address was told. */
  told: Told[];
};
export type Shown = {
  status: string;
  eta: string;
  'responses-received': number;
  id: string;
  links: { self: string };
};

/** What each driver does. Those of an area are asked at once. */
export const DRIVERS: Record<string, { area: string; manner: Manner }> = {
  'north-1': { area: 'north', manner: 'prompt' },
  'north-2': { area: 'north', manner: 'declining' },
  'north-3': { area: 'north', manner: 'waiting' },
  'south-1': { area: 'south', manner: 'prompt' },
  'south-2': { area: 'south', manner: 'prompt' },
  'harbour-1': { area: 'harbour', manner: 'prompt' },
  'harbour-2': { area: 'harbour', manner: 'waiting' },
  'harbour-3': { area: 'harbour', manner: 'prompt' },
  'station-1': { area: 'station', manner: 'prompt' },
  'station-2': { area: 'station', manner: 'silent' },
  'station-3': { area: 'station', manner: 'waiting' },
  'airport-1': { area: 'airport', manner: 'prompt' },
  'airport-2': { area: 'airport', manner: 'prompt' },
  'airport-3': { area: 'airport', manner: 'waiting' },
  'airport-4': { area: 'airport', manner: 'waiting' },
  'airport-5': { area: 'airport', manner: 'silent' },
};
/** Those whose process is killed, and who is there only afterwards. */
const GOING = ['harbour-2', 'station-3'];
const COMING = ['harbour-2', 'harbour-3'];
const STAYING = Object.keys(DRIVERS).filter((name) => !GOING.includes(name) && !COMING.includes(name));

const LEASE_MS = 3_000;
const LOOK_MS = 20;
const DRIVERS_STOP_MS = 10_000;
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Runs `body` with everything started, and ends all of it; `nats` is the server to meet over instead of WebSocket. */
export async function withCity<T>(nats: string | undefined, body: (city: City) => Promise<T>): Promise<T> {
  const manners = Object.entries(DRIVERS).map(([name, { manner }]) => [name, manner] as const);
  const phones = await Phones.start(new Map(manners));
  const children: Child[] = [];
  try {
    const office = { works: path('./works.ts'), workers: 1, slots: 4, leaseMs: LEASE_MS };
    const way = { tells: phones.host, ...(nats !== undefined && { nats }) };
    const cluster = await Cluster.start({ ...office, ...way });
    try {
      const start = async (name: string, drivers: string[]): Promise<Child> => {
        const child = startDrivers(cluster, phones, name, drivers);
        children.push(child);
        await child.line();
        await seen(cluster, drivers);
        return child;
      };
      return await body({ cluster, phones, http: http(), start });
    } finally {
      await Promise.all(children.map((child) => child.stop(DRIVERS_STOP_MS)));
      await cluster.close();
    }
  } finally {
    await phones.close();
  }
}

/**
 * Two customers ask at once; one of them is followed from its request to its result. `onAsked` is called while a driver is
 * still thinking.
 */
export async function answered(
  city: City,
  onAsked: (ride: string) => Promise<void> = async () => {},
): Promise<Answered> {
  const { cluster, phones, http } = city;
  const replyTo = phones.returnAddress;
  const post = await ask(city, { customer: 'Ada', from: 'north', to: 'opera' }, { replyTo });
  const south = shownOf(await ask(city, { customer: 'Bob', from: 'south', to: 'zoo' }, { replyTo }));
  const { id, links } = shownOf(post);
  const pushed = lastOf(cluster, id);
  const self = `${cluster.client.master}${links.self}`;
  const running = await until(
    () => http.call(self),
    (answer) => shownOf(answer)['responses-received'] === 2,
  );
  await onAsked(id);
  await phones.release('north-3');
  const last = await pushed;
  const done = await http.call(self);
  const result = await http.call(`${cluster.client.master}${done.headers.get('location')}`);
  const calls = { post, running, done, result };
  const ends = { north: await endOf(city, id), south: await endOf(city, south.id) };
  await phones.until(() => [id, south.id].every((ride) => phones.told.some((it) => it.id === ride)));
  return { calls, pushed: last, ...ends, told: [...phones.told] };
}

/**
 * While they think the process of two drivers is killed. One of the two comes back under its name, together with one that
 * was not there when the ride was asked for; the other is gone for good.
 */
export async function comeAndGo(
  city: City,
  going: Child,
  deadline: string,
): Promise<{ harbour: Ended; station: Ended }> {
  const { phones, start } = city;
  const harbour = shownOf(await ask(city, { customer: 'Cyd', from: 'harbour', to: 'zoo' }, {}));
  const station = shownOf(await ask(city, { customer: 'Dee', from: 'station', to: 'opera' }, { deadline }));
  const asked = (): number =>
    Object.keys({ ...phones.asked(harbour.id), ...phones.asked(station.id) }).length;
  await phones.until(() => asked() === 5);
  going.kill();
  await going.ended;
  await phones.release('harbour-2');
  await start('drivers that come', COMING);
  return { harbour: await endOf(city, harbour.id), station: await endOf(city, station.id) };
}

/** The master is killed when two drivers have answered; two more answer while it is dead, and one never. */
export async function masterKilled(city: City, deadline: string): Promise<Ended & { before: number }> {
  const { cluster, phones, http } = city;
  const { id, links } = shownOf(
    await ask(city, { customer: 'Eve', from: 'airport', to: 'north' }, { deadline }),
  );
  await phones.until(() => Object.keys(phones.asked(id)).length === 5);
  const self = `${cluster.client.master}${links.self}`;
  const shown = await until(
    () => http.call(self),
    (answer) => shownOf(answer)['responses-received'] === 2,
  );
  await cluster.killMaster();
  await phones.release('airport-3', 'airport-4');
  await cluster.startMaster();
  return { ...(await endOf(city, id)), before: shownOf(shown)['responses-received'] };
}

/** Starts those drivers that are there from the beginning; the process of those that will go is returned. */
export async function startAll({ start }: City): Promise<Child> {
  const [going] = await Promise.all([start('drivers that go', GOING), start('drivers', STAYING)]);
  return going;
}

/** What the journal has of these rides; it ends the cluster. */
export async function journalOf({ cluster }: City, rides: string[]): Promise<Journal[]> {
  await cluster.stop();
  const told: Journal[] = [];
  for (const ride of rides) told.push(await toldOf(cluster.dataDir, ride));
  return told;
}

export function shownOf({ body }: Answer): Shown {
  return body as Shown;
}

function startDrivers({ link }: Cluster, phones: Phones, name: string, drivers: string[]): Child {
  const here = drivers.map((it): Driver => ({ name: it, area: DRIVERS[it]?.area ?? '' }));
  const config: DriversConfig = { link, drivers: here, phones: phones.url, heartbeatMs: LEASE_MS / 10 };
  return new Child(name, path('./drivers.ts'), [JSON.stringify(config)]);
}

/** Waits until the master knows these drivers; one that was killed may still be among its workers for a lease. */
async function seen({ client }: Cluster, drivers: string[]): Promise<void> {
  await until(
    () => client.workers(),
    (workers) => drivers.every((name) => workers.some((it) => it.name === name && it.state === 'ready')),
  );
}

function ask({ cluster, http }: City, input: Ride, more: Record<string, unknown>): Promise<Answer> {
  return http.call(`${cluster.client.master}/v1/gathers/ride-quotes`, { input, ...more });
}

/** Its last state, as it is pushed. */
async function lastOf({ client }: Cluster, ride: string): Promise<EpicStatus> {
  let last: EpicStatus | undefined;
  for await (const status of (await client.epic(ride)).watch()) last = status;
  return last as EpicStatus;
}

async function endOf({ cluster: { client }, phones }: City, ride: string): Promise<Ended> {
  const end = await (await client.epic(ride)).wait();
  const { value, complete }: GatherAnswer<Quotes> = await client.result<Quotes>(ride);
  const finishedMs = Date.parse(end.finishedAt ?? '');
  const ms = finishedMs - Date.parse(end.submittedAt);
  const lateMs = finishedMs - Date.parse(end.gather?.deadlineAt ?? '');
  return { value, complete, end, asked: phones.asked(ride), ms, lateMs };
}

async function until<T>(look: () => Promise<T>, isSo: (found: T) => boolean): Promise<T> {
  for (;;) {
    const found = await look();
    if (isSo(found)) return found;
    await delay(LOOK_MS);
  }
}
