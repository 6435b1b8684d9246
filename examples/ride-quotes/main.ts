/**
 * `npm run example:ride-quotes`: customers ask the drivers near them for a ride, while drivers decline, think, vanish and come
 * back, and the master is killed. Exit 0 only if every claim holds.
 */
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { print, say, span } from '../../cli/output.ts';
import type { Told as Journal } from '../journal.ts';
import { termsOf } from './phones.ts';
import type { Quotes } from './quotes.ts';
import {
  answered,
  type City,
  comeAndGo,
  DRIVERS,
  type Ended,
  journalOf,
  masterKilled,
  shownOf,
  startAll,
  withCity,
} from './run.ts';

const LATE_MS_MAX = 2_000;

const { values } = parseArgs({
  options: {
    /** Such as nats://127.0.0.1:4222. */
    nats: { type: 'string' },
    'deadline-seconds': { type: 'string', default: '8' },
  },
});
const deadlineMs = Number(values['deadline-seconds']) * 1_000;
const deadline = `${deadlineMs}ms`;

const faults = await withCity(values.nats, async (city) => {
  const going = await startAll(city);
  const link = values.nats === undefined ? 'WebSocket' : 'NATS';
  print(`city      ${Object.keys(DRIVERS).length} drivers over ${link}; customers call by ${city.http.by}`);
  const first = await inTime(city);
  const second = await gone(city, going);
  const third = await killed(city);
  return [...first, ...second, ...third.faults, ...(await inJournal(city, third.ride))];
});
for (const fault of faults) say(`✗ ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);

async function inTime(city: City): Promise<string[]> {
  const { calls, pushed, north, south, told } = await answered(city);
  const { post, running, done, result } = calls;
  const statuses = [post, running, done, result].map((it) => it.status);
  const shown = shownOf(running);
  print(
    `customer  ${statuses.join(' → ')}: ${shownOf(post).status}, responses-received ${shown['responses-received']}, ` +
      `${done.headers.get('location')}`,
  );
  tell('north', north);
  tell('south', south);
  print(`told      over the WebSocket ${pushed.links.result}; ${told.length} return addresses by webhook`);
  return failing('in time', {
    'the customer sees 202, 200, 303, 200': isDeepStrictEqual(statuses, [202, 200, 303, 200]),
    'the first answer has a link, a status and an eta':
      post.headers.get('location') === shownOf(post).links.self && Date.parse(shownOf(post).eta) > Date.now(),
    'both are complete before their deadline': [north, south].every((it) => it.complete && it.lateMs < 0),
    'one declined': north.value.declined === 1,
    'every quote is of its ride and its area': [north, south].every((it) => isOwn(it.value)),
    'all near were asked, once': asksEach(north, 3) && asksEach(south, 2),
    'the WebSocket has the link of the result': pushed.links.result === done.headers.get('location'),
    'each return address was told under the number of its ride': isDeepStrictEqual(
      new Set(told.map(({ id }) => id)),
      new Set([north.end.id, south.end.id]),
    ),
  });
}

async function gone(city: City, going: Awaited<ReturnType<typeof startAll>>): Promise<string[]> {
  const { harbour, station } = await comeAndGo(city, going, deadline);
  tell('harbour', harbour);
  tell('station', station);
  return failing('come and go', {
    'one that came back was asked again': harbour.asked['harbour-2'] === 2,
    'one that came later was not asked':
      harbour.asked['harbour-3'] === undefined && harbour.value.asked === 2,
    'both quotes are there, once':
      harbour.complete && harbour.value.quotes.length === 2 && isOwn(harbour.value),
    'the silent and the gone are waited for until the deadline': isOnTime(station),
    'they are told': !station.complete && station.value.silent === 2 && station.value.quotes.length === 1,
  });
}

async function killed(city: City): Promise<{ ride: string; faults: string[] }> {
  const airport = await masterKilled(city, deadline);
  print(`killed    master at ${airport.before} answers; two more came while it was dead`);
  tell('airport', airport);
  const faults = failing('killed', {
    'the deadline holds': isOnTime(airport),
    'no quote is lost, none counts twice': airport.value.quotes.length === 4 && isOwn(airport.value),
    'nobody was asked again': asksEach(airport, 5),
    'the silent one is told': airport.value.silent === 1 && airport.end.totals.missing === 1,
  });
  return { ride: airport.end.id, faults };
}

async function inJournal(city: City, ride: string): Promise<string[]> {
  const [journal] = await journalOf(city, [ride]);
  const { answered, twice, folded, finished } = journal as Journal;
  print(
    `journal   ${answered} quotes, ${twice} of them twice; folded ${folded} time, finished ${finished} time`,
  );
  const isOnce = isDeepStrictEqual([answered, twice, folded, finished], [4, 0, 1, 1]);
  return failing('journal', { 'each quote is in it once': isOnce });
}

function tell(area: string, { value, ms }: Ended): void {
  const { ride, quotes, declined, silent, asked } = value;
  const cheapest = quotes[0] ? `, from ${(quotes[0].cents / 100).toFixed(2)} EUR by ${quotes[0].driver}` : '';
  print(
    `ride      ${area} (${ride}) after ${span(ms)}: ${asked} asked, ${quotes.length} quotes, ` +
      `${declined} declined, ${silent} silent${cheapest}`,
  );
}

/** Each quote is of this ride, by a driver of its area, as that driver gave it, and the only one of that driver. */
function isOwn({ ride, from, quotes }: Quotes): boolean {
  const drivers = new Set(quotes.map(({ driver }) => driver));
  return (
    drivers.size === quotes.length &&
    quotes.every((it) => DRIVERS[it.driver]?.area === from) &&
    quotes.every((it) => isDeepStrictEqual(it, { ride, driver: it.driver, ...termsOf(it.driver) }))
  );
}

function asksEach({ asked }: Ended, count: number): boolean {
  return isDeepStrictEqual(
    Object.values(asked),
    Array.from({ length: count }, () => 1),
  );
}

function isOnTime({ lateMs }: Ended): boolean {
  return lateMs >= 0 && lateMs <= LATE_MS_MAX;
}

function failing(where: string, claims: Record<string, boolean>): string[] {
  return Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [`${where}: ${claim}`]));
}
