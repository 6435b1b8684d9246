/**
 * `/v1/events`: pushes the state of epics to those who watch. Owns its subscribers and every upgrade
 * that is not the worker link; it changes nothing and answers nothing that is asked over it.
 *
 * E1: a subscriber first gets a snapshot, then the epics that changed since, each at its newest state.
 * E2: changes that a subscriber has not been sent yet are a set of ids, not a queue of messages.
 * E3: one who does not read is cut at EVENTS_BUFFER_BYTES_MAX, or when a ping stays unanswered.
 */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { GimmeError } from '../../shared/core/errors.ts';
import { isId } from '../../shared/core/ids.ts';
import {
  EVENTS_BUFFER_BYTES_MAX,
  EVENTS_EPICS_MAX,
  EVENTS_SUBSCRIBERS_MAX,
} from '../../shared/core/limits.ts';
import type { Log } from '../../shared/io/log.ts';
import type { EpicStatus, EventMessage } from '../../shared/protocol/api.ts';
import type { MasterApi } from './api.ts';
import { shownEpic } from './epicShown.ts';
import { PROBLEM_TYPE, problemOf } from './problem.ts';

/** Upgrades of this path belong to the worker link's own listener. */
const LINK_PATH = '/v1/link';
const EVENTS_PATH = '/v1/events';
const PING_MS = 10_000;
/** Subscribers send nothing but control frames. */
const MESSAGE_FROM_SUBSCRIBER_BYTES_MAX = 1_024;

type Parts = { server: Server; api: MasterApi; log: Log };
type Subscriber = { socket: WebSocket; epic: string | undefined; pending: Set<string>; answered: boolean };
type Refusal = { status: number; error: GimmeError };

/** Takes the upgrades of `server`. `close` cuts all subscribers and stops. */
export function serveEvents({ server, api, log }: Parts): { close(): void } {
  const subscribers = new Set<Subscriber>();
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_FROM_SUBSCRIBER_BYTES_MAX,
  });

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const url = urlOf(request);
    if (url?.pathname === LINK_PATH) return;
    const refusal = refusalOf(request, url, api, subscribers.size);
    if (refusal) return refuse(socket, refusal);
    const asked = url?.searchParams.get('epic') ?? undefined;
    sockets.handleUpgrade(request, socket, head, (ws) => subscribe(ws, asked));
  };

  const subscribe = (socket: WebSocket, asked: string | undefined): void => {
    const epic = asked === undefined ? undefined : api.epic(asked)?.id;
    const subscriber: Subscriber = { socket, epic, pending: new Set(), answered: true };
    subscribers.add(subscriber);
    socket.on('close', () => subscribers.delete(subscriber));
    socket.on('error', (error) => log.debug('events subscriber failed', { error: error.message }));
    socket.on('pong', () => {
      subscriber.answered = true;
    });
    push(subscriber, api, { type: 'snapshot', epics: snapshotOf(api, epic) });
  };

  const unsubscribe = api.onChange((changed) => {
    for (const subscriber of subscribers) {
      for (const id of changed) {
        if (subscriber.epic === undefined || subscriber.epic === id) subscriber.pending.add(id);
      }
      if (subscriber.socket.bufferedAmount < EVENTS_BUFFER_BYTES_MAX) pump(subscriber, api);
      else cut(subscriber, log, 'does not read');
    }
  });
  const pinging = setInterval(() => {
    for (const subscriber of subscribers) {
      if (!subscriber.answered) cut(subscriber, log, 'does not answer');
      subscriber.answered = false;
      subscriber.socket.ping();
    }
  }, PING_MS);
  pinging.unref();

  server.on('upgrade', onUpgrade);
  return {
    close() {
      unsubscribe();
      clearInterval(pinging);
      for (const { socket } of subscribers) socket.terminate();
    },
  };
}

function urlOf(request: IncomingMessage): URL | undefined {
  return URL.canParse(request.url ?? '', 'http://localhost')
    ? new URL(request.url ?? '', 'http://localhost')
    : undefined;
}

function refusalOf(
  request: IncomingMessage,
  url: URL | undefined,
  api: MasterApi,
  subscribers: number,
): Refusal | undefined {
  if (url?.pathname !== EVENTS_PATH) {
    return { status: 404, error: new GimmeError('not_found', 'no WebSocket is served here; /v1/events is') };
  }
  if (!sameOrigin(request.headers.origin, request.headers.host)) {
    return {
      status: 403,
      error: new GimmeError('bad_request', 'the Origin is another site; open it from this one'),
    };
  }
  if (subscribers >= EVENTS_SUBSCRIBERS_MAX) {
    return {
      status: 503,
      error: new GimmeError('peer_too_slow', 'too many subscribers; poll GET /v1/epics instead'),
    };
  }
  const stray = [...url.searchParams.keys()].find((name) => name !== 'epic');
  if (stray !== undefined || url.searchParams.getAll('epic').length > 1) {
    const message = `query parameter ${JSON.stringify((stray ?? 'epic').slice(0, 64))} is not known, or is given twice`;
    return { status: 400, error: new GimmeError('bad_request', message) };
  }
  const epic = url.searchParams.get('epic');
  if (epic !== null && !(isId(epic) && api.epic(epic))) {
    return { status: 404, error: new GimmeError('not_found', 'no epic has this id or name') };
  }
  return undefined;
}

/** Programs send no Origin; a page may only watch the master it came from. */
function sameOrigin(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}

function refuse(socket: Duplex, { status, error }: Refusal): void {
  const body = JSON.stringify({ ...problemOf(error), status });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function snapshotOf(api: MasterApi, epic: string | undefined): EpicStatus[] {
  if (epic === undefined) return api.epics({ limit: EVENTS_EPICS_MAX });
  const status = api.epic(epic);
  return status ? [status] : [];
}

/** Sends what is pending, newest state first read now, until the subscriber's buffer is full (E2). */
function pump(subscriber: Subscriber, api: MasterApi): void {
  const { socket, pending } = subscriber;
  while (
    pending.size > 0 &&
    socket.bufferedAmount < EVENTS_BUFFER_BYTES_MAX &&
    socket.readyState === socket.OPEN
  ) {
    const epics: EpicStatus[] = [];
    for (const id of pending) {
      pending.delete(id);
      const status = api.epic(id);
      if (status) epics.push(status);
      if (epics.length === EVENTS_EPICS_MAX) break;
    }
    if (epics.length > 0) push(subscriber, api, { type: 'changed', epics });
  }
}

function push(subscriber: Subscriber, api: MasterApi, message: EventMessage): void {
  const epics = message.epics.map((epic) => shownEpic(epic, Date.now()));
  subscriber.socket.send(JSON.stringify({ ...message, epics }), (error) => {
    // A failed send is followed by 'close', which removes the subscriber.
    if (!error) pump(subscriber, api);
  });
}

function cut(subscriber: Subscriber, log: Log, why: string): void {
  log.warn('events subscriber cut', { why, bufferedBytes: subscriber.socket.bufferedAmount });
  subscriber.socket.terminate();
}
