/** What `npm run example:ride-quotes` claims: over WebSocket, and over a real nats-server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { http } from '../../examples/ride-quotes/http.ts';
import { termsOf } from '../../examples/ride-quotes/phones.ts';
import {
  answered,
  type City,
  comeAndGo,
  type Ended,
  journalOf,
  masterKilled,
  shownOf,
  startAll,
  withCity,
} from '../../examples/ride-quotes/run.ts';
import type { ShownEpic } from '../../master/io/epicShown.ts';
import type { EventMessage } from '../../shared/protocol/api.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { type FoundTool, natsServers } from '../tools.ts';

const DEADLINE = '10s';
/** A deadline that was forgotten would be 5 minutes. */
const LATE_MS_MAX = 10_000;

describe('rides', { concurrency: 2 }, () => {
  test('drivers by WebSocket: quotes in time and at the deadline, and through kill -9 of the master', async () => {
    await withCity(undefined, ridesOf);
  });

  test('the same with drivers, office and master over NATS', async (t) => {
    const { path } = natsServers().at(-1) as FoundTool;
    const server = await NatsServer.start({ path });
    t.after(() => server.end());
    await withCity(server.url, ridesOf);
  });
});

test('calls are the same by curl and by fetch', async (t) => {
  const server = createServer((request, response) => {
    void (async () => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      const { method, headers } = request;
      response.writeHead(303, { location: '/there', 'content-type': 'application/json' });
      response.end(JSON.stringify({ method, type: headers['content-type'] ?? '', body }));
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/here`;
  for (const by of new Set([http().by, 'fetch'] as const)) {
    const { call } = http(by);
    const [got, posted] = [await call(url), await call(url, { from: 'north' })];
    assert.deepEqual([got.status, got.headers.get('location')], [303, '/there'], by);
    assert.deepEqual(got.body, { method: 'GET', type: '', body: '' }, by);
    const body = { method: 'POST', type: 'application/json', body: '{"from":"north"}' };
    assert.deepEqual(posted.body, body, by);
  }
});

async function ridesOf(city: City): Promise<void> {
  const going = await startAll(city);
  await assertInTime(city);

  const { harbour, station } = await comeAndGo(city, going, DEADLINE);
  assert.deepEqual(harbour.asked, { 'harbour-1': 1, 'harbour-2': 2 });
  assertQuotes(harbour, ['harbour-1', 'harbour-2'], { asked: 2, declined: 0, silent: 0 });
  assert.ok(harbour.complete && harbour.lateMs < 0, 'it ends with the last answer');
  assertQuotes(station, ['station-1'], { asked: 3, declined: 0, silent: 2 });
  assert.deepEqual([station.complete, station.end.totals.missing], [false, 2]);
  assertOnTime(station);

  const airport = await masterKilled(city, DEADLINE);
  assert.equal(airport.before, 2);
  const drivers = ['airport-1', 'airport-2', 'airport-3', 'airport-4'];
  assertQuotes(airport, drivers, { asked: 5, declined: 0, silent: 1 });
  assert.deepEqual(Object.values(airport.asked), [1, 1, 1, 1, 1]);
  assertOnTime(airport);
  const journals = await journalOf(city, [harbour.end.id, station.end.id, airport.end.id]);
  const told = journals.map((it) => [it.answered, it.twice, it.folded, it.finished]);
  assert.deepEqual(told, [
    [2, 0, 1, 1],
    [1, 0, 1, 1],
    [4, 0, 1, 1],
  ]);
}

/** A ride is asked for and followed by curl, and by a WebSocket of our own; another goes on beside it. */
async function assertInTime(city: City): Promise<void> {
  const pushed: ShownEpic[] = [];
  let ended: Promise<void> | undefined;
  const { calls, north, south, told } = await answered(city, async (ride) => {
    const url = `${city.cluster.client.master.replace('http', 'ws')}/v1/events?epic=${ride}`;
    const socket = new WebSocket(url);
    ended = new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the WebSocket was closed')));
      socket.on('message', (data) => {
        const { epics } = JSON.parse((data as Buffer).toString()) as EventMessage;
        pushed.push(...(epics as ShownEpic[]));
        if (pushed.at(-1)?.state === 'finished') resolve();
      });
    });
    await once(socket, 'message');
  });
  await ended;
  const { post, running, done, result } = calls;
  assert.deepEqual(
    [post, running, done, result].map(({ status }) => status),
    [202, 200, 303, 200],
  );
  const { id, links, status, eta } = shownOf(post);
  assert.deepEqual([status, links.self, post.headers.get('location')], ['running', links.self, links.self]);
  assert.equal(Date.parse(eta) - Date.parse(north.end.submittedAt), 300_000, 'five minutes unless told');
  assert.deepEqual([shownOf(running).status, shownOf(running)['responses-received']], ['running', 2]);
  const at = done.headers.get('location');
  assert.equal(at, `/v1/epics/${id}/result`);
  const [first, last] = [pushed[0] as ShownEpic, pushed.at(-1) as ShownEpic];
  assert.deepEqual([first.status, first['responses-received']], ['running', 2]);
  assert.deepEqual([last.status, last['responses-received'], last.links.result], ['finished', 3, at]);

  assert.deepEqual((result.body as { value: unknown }).value, north.value);
  assertQuotes(north, ['north-1', 'north-3'], { asked: 3, declined: 1, silent: 0 });
  assertQuotes(south, ['south-1', 'south-2'], { asked: 2, declined: 0, silent: 0 });
  for (const { asked, complete, lateMs } of [north, south]) {
    assert.ok(complete && lateMs < 0);
    assert.deepEqual(new Set(Object.values(asked)), new Set([1]));
  }
  for (const { end } of [north, south]) {
    const { reply } = told.find((it) => it.id === end.id) ?? {};
    assert.deepEqual([reply?.type, reply?.data.id], ['gather.finished', end.id]);
  }
}

/** Its quotes are those of these drivers, each once and under its own number, the cheapest first. */
function assertQuotes(
  { value, end }: Ended,
  drivers: string[],
  counts: { asked: number; declined: number; silent: number },
): void {
  const quotes = drivers.map((driver) => ({ ride: end.id, driver, ...termsOf(driver) }));
  quotes.sort((a, b) => a.cents - b.cents);
  assert.deepEqual(value.quotes, quotes);
  const { asked, declined, silent } = value;
  assert.deepEqual({ asked, declined, silent }, counts);
}

function assertOnTime({ lateMs }: Ended): void {
  assert.ok(lateMs >= 0 && lateMs <= LATE_MS_MAX, `${lateMs} ms after its deadline`);
}
