/**
 * The master's end of the WebSocket link: a hub to which workers connect, on the master's HTTP server.
 * Owns the workers' connections. It does not own the HTTP server, and leaves all paths but its own to others.
 *
 * A worker connects to `/v1/link?session=<id>`; the answer names the master in the header MASTER_HEADER.
 * A connection is a *peer* while it is its session's current one, then *leaving* until its socket is closed.
 *
 * H1: one peer per session, the newest; what an older connection still says is not heard.
 * H2: a connection that does not answer, or does not leave when told, is terminated by the third sweep.
 * H3: a peer never has more than PEER_BUFFER_BYTES_MAX waiting that it has not read (B3).
 */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { assert, GimmeError, unreachable } from '../../core/errors.ts';
import { isId } from '../../core/ids.ts';
import {
  LINK_CLOSE_MS,
  LINK_PING_MS,
  MESSAGE_BYTES_MAX,
  PEER_BUFFER_BYTES_MAX,
  SESSIONS_MAX,
} from '../../core/limits.ts';
import { type Address, assertFrame, type Bus, type BusHandlers } from '../bus.ts';
import { type Clock, systemClock } from '../clock.ts';
import { type Log, silentLog } from '../log.ts';
import { CLOSE_REPLACED, LINK_PATH, MASTER_HEADER } from './wsLink.ts';

export type WsHubOptions = {
  id: string;
  /** The caller's: it makes it listen, and closes it after the hub. */
  server: Server;
  /** Defaults to LINK_PATH. */
  path?: string;
  log?: Log;
  clock?: Clock;
  /** Defaults to LINK_PING_MS. */
  pingMs?: number;
};

type Peer = {
  readonly session: string;
  readonly ws: WebSocket;
  /** Sweeps since it was last heard. */
  missed: number;
};

type State =
  | { at: 'idle' }
  | { at: 'opening'; cancel(): void }
  | { at: 'open'; handlers: BusHandlers; cancelSweep(): void }
  | { at: 'closed'; done: Promise<void> };

export class WsHub implements Bus {
  readonly kind = 'ws';
  readonly role = 'master';
  readonly id: string;
  readonly #server: Server;
  readonly #path: string;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #pingMs: number;
  readonly #peers = new Map<string, Peer>();
  readonly #leaving = new Set<Peer>();
  #state: State = { at: 'idle' };

  /** Makes the handshakes. The library turns TCP_NODELAY on for each connection. */
  readonly #handshake = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
  });

  constructor(options: WsHubOptions) {
    assert(isId(options.id), `a hub needs a valid id, got ${JSON.stringify(options.id)}`);
    this.id = options.id;
    this.#server = options.server;
    this.#path = options.path ?? LINK_PATH;
    this.#log = options.log ?? silentLog;
    this.#clock = options.clock ?? systemClock;
    this.#pingMs = options.pingMs ?? LINK_PING_MS;
    this.#handshake.on('headers', (headers: string[]) => headers.push(`${MASTER_HEADER}: ${this.id}`));
  }

  /** Workers connected now. */
  peers(): number {
    return this.#peers.size;
  }

  /** Waits until the server listens; that it cannot is for the server's owner to see and to report. */
  async open(handlers: BusHandlers): Promise<void> {
    assert(this.#state.at === 'idle', `a hub is opened once; it is ${this.#state.at}`);
    await new Promise<void>((resolve) => {
      const cancel = (): void => {
        this.#server.off('listening', resolve);
        resolve();
      };
      this.#state = { at: 'opening', cancel };
      if (this.#server.listening) resolve();
      else this.#server.once('listening', resolve);
    });
    // `close` may have come meanwhile.
    if ((this.#state as State).at !== 'opening') {
      throw new GimmeError('link_down', `hub ${this.id} was closed before its server listened`);
    }
    this.#server.on('upgrade', this.#onUpgrade);
    this.#state = { at: 'open', handlers, cancelSweep: this.#sweepLater() };
    handlers.onUp();
  }

  send(address: Address, frame: Uint8Array): boolean {
    assertFrame(frame);
    if (this.#state.at !== 'open') return false;
    switch (address.to) {
      case 'worker': {
        const peer = this.#peers.get(address.id);
        return peer !== undefined && this.#sendTo(peer, frame);
      }
      case 'workers':
        for (const peer of this.#peers.values()) this.#sendTo(peer, frame);
        return true;
      case 'master':
      case 'masters':
        return false;
      default:
        return unreachable(address);
    }
  }

  buffered(): number {
    let bytes = 0;
    for (const peer of this.#peers.values()) bytes += peer.ws.bufferedAmount;
    for (const peer of this.#leaving) bytes += peer.ws.bufferedAmount;
    return bytes;
  }

  close(): Promise<void> {
    const before = this.#state;
    if (before.at === 'closed') return before.done;
    const done = this.#closeAll();
    this.#state = { at: 'closed', done };
    if (before.at === 'opening') before.cancel();
    if (before.at === 'open') before.cancelSweep();
    return done;
  }

  #sendTo(peer: Peer, frame: Uint8Array): boolean {
    if (peer.ws.readyState !== WebSocket.OPEN) return false;
    // H3
    if (peer.ws.bufferedAmount + frame.length > PEER_BUFFER_BYTES_MAX) {
      this.#log.warn('worker cut: it does not read', { session: peer.session, code: 'peer_too_slow' });
      this.#cut(peer);
      return false;
    }
    peer.ws.send(frame);
    return true;
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const [path, query = ''] = (request.url ?? '').split('?', 2);
    if (path !== this.#path) return;
    const session = new URLSearchParams(query).get('session');
    // A browser always sends an Origin, and no page has business here, whichever host served it.
    if (request.headers.origin !== undefined) refuse(socket, 403);
    else if (!isId(session)) refuse(socket, 400);
    else if (this.#peers.size >= SESSIONS_MAX && !this.#peers.has(session)) refuse(socket, 503);
    else this.#handshake.handleUpgrade(request, socket, head, (ws) => this.#join(session, ws));
  };

  #join(session: string, ws: WebSocket): void {
    const peer: Peer = { session, ws, missed: 0 };
    const older = this.#peers.get(session);
    // H1
    if (older) this.#part(older, CLOSE_REPLACED, 'replaced');
    this.#peers.set(session, peer);
    ws.on('message', (data, isBinary) => this.#onMessage(peer, data as Buffer, isBinary));
    ws.on('pong', () => {
      // A leaving connection cannot put off its end by pongs (H2).
      if (this.#isCurrent(peer)) peer.missed = 0;
    });
    ws.on('error', (error) => {
      // Too large or malformed; the library has begun to close it.
      this.#log.warn('worker cut: not a frame', { session, code: 'bad_message', reason: error.message });
      this.#leave(peer);
    });
    ws.on('close', () => {
      this.#leave(peer);
      this.#leaving.delete(peer);
    });
  }

  #onMessage(peer: Peer, frame: Buffer, isBinary: boolean): void {
    // H1, B5
    if (this.#state.at !== 'open' || !this.#isCurrent(peer)) return;
    if (!isBinary || frame.length === 0) {
      this.#log.warn('worker cut: frames are binary', { session: peer.session, code: 'bad_message' });
      this.#part(peer, 1003, 'binary frames only');
      return;
    }
    peer.missed = 0;
    this.#state.handlers.onFrame(peer.session, frame);
  }

  #isCurrent(peer: Peer): boolean {
    return this.#peers.get(peer.session) === peer;
  }

  #leave(peer: Peer): void {
    if (!this.#isCurrent(peer)) return;
    this.#peers.delete(peer.session);
    this.#leaving.add(peer);
  }

  /** Ends a connection with a goodbye, which the worker is given time to answer. */
  #part(peer: Peer, code: number, reason: string): void {
    this.#leave(peer);
    peer.ws.close(code, reason);
  }

  /** Ends a connection at once. */
  #cut(peer: Peer): void {
    this.#leave(peer);
    peer.ws.terminate();
  }

  #sweepLater(): () => void {
    return this.#clock.setTimer(this.#pingMs, () => {
      if (this.#state.at !== 'open') return;
      for (const peer of this.#leaving) this.#sweep(peer);
      for (const peer of this.#peers.values()) this.#sweep(peer);
      this.#state.cancelSweep = this.#sweepLater();
    });
  }

  /** H2. It counts sweeps, not time: a master that stood still does not take its workers for dead. */
  #sweep(peer: Peer): void {
    if (peer.missed >= 2) {
      this.#log.warn('worker cut: it does not answer', { session: peer.session, code: 'link_down' });
      this.#cut(peer);
      return;
    }
    peer.missed += 1;
    if (peer.ws.readyState === WebSocket.OPEN) peer.ws.ping();
  }

  async #closeAll(): Promise<void> {
    this.#server.off('upgrade', this.#onUpgrade);
    const all = [...this.#peers.values(), ...this.#leaving].map((peer) => peer.ws);
    const closed = all.map(
      (ws) =>
        new Promise((resolve) => {
          ws.once('close', resolve);
        }),
    );
    for (const ws of all) ws.close(1001, 'the master closes');
    const cancel = this.#clock.setTimer(LINK_CLOSE_MS, () => {
      for (const ws of all) ws.terminate();
    });
    await Promise.all(closed);
    cancel();
  }
}

/** Answers an upgrade request with a plain HTTP error and ends the connection. */
function refuse(socket: Duplex, status: number): void {
  // The HTTP server no longer hears this socket's errors once it handed it over.
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
