/**
 * The worker's end of the WebSocket link: one connection to one master's hub, made again for ever.
 * Owns the connection and the wait between attempts.
 *
 * `idle` → `connecting` → `up`, and from either by way of `waiting` back to `connecting`. It ends as
 * `replaced` (a newer connection of this session took over), `refused` (before it was ever up) or `closed`.
 *
 * C1: one connection at a time: the next is made only once the last one's socket is closed.
 * C2: a connection on which three ping intervals bring nothing is terminated.
 * C3: nothing waits while the link is not up (B2).
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { WebSocket } from 'ws';
import { assert, GimmeError, unreachable } from '../../core/errors.ts';
import { isId } from '../../core/ids.ts';
import {
  LINK_CLOSE_MS,
  LINK_HANDSHAKE_MS,
  LINK_PING_MS,
  LINK_RECONNECT_FIRST_MS,
  LINK_RECONNECT_MAX_MS,
  MESSAGE_BYTES_MAX,
  PEER_BUFFER_BYTES_MAX,
} from '../../core/limits.ts';
import { backoffMs } from '../../core/retry.ts';
import { type Address, assertFrame, type Bus, type BusHandlers } from '../bus.ts';
import { type Clock, systemClock } from '../clock.ts';
import { CLOSE_REPLACED, LINK_PATH, MASTER_HEADER } from './wsLink.ts';

export type WsClientOptions = {
  /** The session. */
  id: string;
  /** `ws://host:port` or `http://…` (or `wss:`, `https:`), with a path if a proxy stands before the master. */
  url: string;
  clock?: Clock;
  /** From 0 up to, not including, 1; spreads the attempts of many workers. Defaults to Math.random. */
  random?: () => number;
  /** Defaults to LINK_PING_MS. */
  pingMs?: number;
};

type Connection = {
  readonly ws: WebSocket;
  /** The HTTP status with which the handshake was refused. */
  status: number | undefined;
  /** The master's id, once its answer gave it. */
  master: string | undefined;
  /** Why it ended, where this end knows better than the close code. */
  reason: string | undefined;
  /** Ping intervals since anything was heard. */
  silent: number;
};

type State =
  | { at: 'idle' }
  | { at: 'connecting'; connection: Connection }
  | { at: 'up'; connection: Connection; master: string; cancelCheck(): void }
  | { at: 'waiting'; cancel(): void }
  | { at: 'replaced' }
  | { at: 'refused' }
  | { at: 'closed'; done: Promise<void> };

/** The statuses with which a master says that this worker is not welcome; waiting does not change it. */
const REFUSALS: ReadonlySet<number | undefined> = new Set([400, 401, 403]);

const BACKOFF = { firstMs: LINK_RECONNECT_FIRST_MS, factor: 2, maxMs: LINK_RECONNECT_MAX_MS };

export class WsClient implements Bus {
  readonly kind = 'ws';
  readonly role = 'worker';
  readonly id: string;
  readonly #url: URL;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #pingMs: number;
  #state: State = { at: 'idle' };
  #handlers: BusHandlers | undefined;
  /** Settles what `open` returned; undefined again once it is settled. */
  #opening: { resolve(): void; reject(error: GimmeError): void } | undefined;
  /** Attempts since a connection last carried something. */
  #attempts = 0;
  /** `onDown` was called and no `onUp` since. */
  #isDownSaid = false;

  constructor(options: WsClientOptions) {
    assert(isId(options.id), `a session needs a valid id, got ${JSON.stringify(options.id)}`);
    this.id = options.id;
    this.#url = linkUrl(options.url, options.id);
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#pingMs = options.pingMs ?? LINK_PING_MS;
  }

  open(handlers: BusHandlers): Promise<void> {
    assert(this.#state.at === 'idle', `a link is opened once; it is ${this.#state.at}`);
    this.#handlers = handlers;
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.#connect();
    });
  }

  send(address: Address, frame: Uint8Array): boolean {
    assertFrame(frame);
    const state = this.#state;
    // C3
    if (state.at !== 'up' || state.connection.ws.readyState !== WebSocket.OPEN) return false;
    switch (address.to) {
      case 'masters':
        return this.#write(state.connection, frame);
      case 'master':
        return address.id === state.master && this.#write(state.connection, frame);
      case 'worker':
      case 'workers':
        return false;
      default:
        return unreachable(address);
    }
  }

  buffered(): number {
    return this.#state.at === 'up' ? this.#state.connection.ws.bufferedAmount : 0;
  }

  close(): Promise<void> {
    const before = this.#state;
    if (before.at === 'closed') return before.done;
    const hasConnection = before.at === 'connecting' || before.at === 'up';
    const done = hasConnection ? this.#part(before.connection.ws) : Promise.resolve();
    this.#state = { at: 'closed', done };
    if (before.at === 'up') before.cancelCheck();
    if (before.at === 'waiting') before.cancel();
    this.#reject(new GimmeError('link_down', `the link to ${this.#url.host} was closed before it came up`));
    return done;
  }

  #write(connection: Connection, frame: Uint8Array): boolean {
    const { ws } = connection;
    // B3
    if (ws.bufferedAmount + frame.length > PEER_BUFFER_BYTES_MAX) {
      connection.reason = 'the master does not read';
      ws.terminate();
      return false;
    }
    ws.send(frame);
    return true;
  }

  #connect(): void {
    const ws = new WebSocket(this.#url, {
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
      handshakeTimeout: LINK_HANDSHAKE_MS,
    });
    const connection: Connection = { ws, status: undefined, master: undefined, reason: undefined, silent: 0 };
    this.#state = { at: 'connecting', connection };
    ws.on('upgrade', (response) => {
      const master = response.headers[MASTER_HEADER];
      if (isId(master)) connection.master = master;
    });
    ws.on('unexpected-response', (_request, response) => {
      connection.status = response.statusCode;
      connection.reason = `the master answered ${response.statusCode}${phraseOf(response)}`;
      ws.terminate();
    });
    ws.on('open', () => this.#onOpen(connection));
    ws.on('message', (data, isBinary) => this.#onMessage(connection, data as Buffer, isBinary));
    ws.on('ping', () => this.#onHeard(connection));
    // An error of several addresses tried (localhost) has no message of its own, only a code.
    ws.on('error', (error: NodeJS.ErrnoException) => {
      connection.reason ??= error.message || (error.code ?? 'the connection failed');
    });
    ws.on('close', (code) => this.#onClose(connection, code));
  }

  #onOpen(connection: Connection): void {
    if (this.#state.at !== 'connecting') return;
    const { master } = connection;
    if (master === undefined) {
      connection.reason = 'what answers there is not a Gimmework master';
      connection.ws.terminate();
      return;
    }
    this.#state = { at: 'up', connection, master, cancelCheck: this.#checkLater(connection) };
    this.#isDownSaid = false;
    this.#handlers?.onUp();
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  #onMessage(connection: Connection, frame: Buffer, isBinary: boolean): void {
    if (this.#state.at !== 'up') return;
    if (!isBinary || frame.length === 0) {
      connection.reason = 'the master sent what is not a frame';
      connection.ws.terminate();
      return;
    }
    this.#onHeard(connection);
    this.#handlers?.onFrame(this.#state.master, frame);
  }

  #onHeard(connection: Connection): void {
    connection.silent = 0;
    this.#attempts = 0;
  }

  /** C2. It counts intervals, not time: a worker that stood still does not take its master for dead. */
  #checkLater(connection: Connection): () => void {
    return this.#clock.setTimer(this.#pingMs, () => {
      if (this.#state.at !== 'up') return;
      connection.silent += 1;
      if (connection.silent >= 3) {
        connection.reason = 'the master does not answer';
        connection.ws.terminate();
        return;
      }
      this.#state.cancelCheck = this.#checkLater(connection);
    });
  }

  #onClose(connection: Connection, code: number): void {
    const before = this.#state;
    if (before.at !== 'connecting' && before.at !== 'up') return;
    if (before.at === 'up') before.cancelCheck();
    if (code === CLOSE_REPLACED) {
      this.#state = { at: 'replaced' };
      this.#sayDown('replaced by another connection of this session');
      return;
    }
    const reason = connection.reason ?? `the connection ended (${code})`;
    if (this.#opening && REFUSALS.has(connection.status)) {
      this.#state = { at: 'refused' };
      this.#reject(new GimmeError('link_refused', `${this.#url.host} refused this worker: ${reason}`));
      return;
    }
    this.#attempts += 1;
    // C1
    const delayMs = backoffMs(BACKOFF, this.#attempts, this.#random());
    this.#state = { at: 'waiting', cancel: this.#clock.setTimer(delayMs, () => this.#connect()) };
    this.#sayDown(reason);
  }

  #sayDown(reason: string): void {
    if (this.#isDownSaid) return;
    this.#isDownSaid = true;
    this.#handlers?.onDown(reason);
  }

  #reject(error: GimmeError): void {
    this.#opening?.reject(error);
    this.#opening = undefined;
  }

  async #part(ws: WebSocket): Promise<void> {
    const closed = new Promise((resolve) => {
      ws.once('close', resolve);
    });
    if (ws.readyState === WebSocket.CONNECTING) ws.terminate();
    else ws.close(1000, 'the worker closes');
    const cancel = this.#clock.setTimer(LINK_CLOSE_MS, () => ws.terminate());
    await closed;
    cancel();
  }
}

/** What a master that refuses says beside the status: why. */
function phraseOf({ statusCode = 0, statusMessage = '' }: IncomingMessage): string {
  const saysMore = statusMessage !== '' && statusMessage !== STATUS_CODES[statusCode];
  return saysMore && REFUSALS.has(statusCode) ? ` (${statusMessage})` : '';
}

/** The address of a master's link; throws bad_config for what is not one. */
function linkUrl(text: string, session: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^(ws|http)s?:$/.test(url.protocol)) {
    throw new GimmeError(
      'bad_config',
      `${JSON.stringify(text)} is not an address such as ws://127.0.0.1:7171`,
    );
  }
  url.protocol = url.protocol.replace('http', 'ws');
  url.pathname = url.pathname.replace(/\/*$/, LINK_PATH);
  url.search = new URLSearchParams({ session }).toString();
  url.hash = '';
  return url;
}
