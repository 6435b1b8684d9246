/**
 * Ends of the WebSocket link made of bare sockets, so that no library is polite on their behalf: they read,
 * answer and send only what a test says. And an HTTP server whose connections a test can break.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { MASTER } from './bus.ts';

/** An HTTP server for a hub, which can be made to break connections and to die. */
export class LinkServer {
  readonly http: Server = createServer((_request, response) => response.end('not the link'));
  readonly #sockets = new Set<Duplex>();
  readonly #sessions = new Map<string, Duplex>();

  constructor() {
    this.http.on('connection', (socket) => this.#sockets.add(socket));
    this.http.on('upgrade', (request, socket) => {
      this.#sessions.set(new URLSearchParams(request.url?.split('?')[1]).get('session') ?? '', socket);
    });
  }

  /** Listens on loopback; returns the port. */
  async listen(port = 0): Promise<number> {
    this.http.listen(port, '127.0.0.1');
    await once(this.http, 'listening');
    return (this.http.address() as AddressInfo).port;
  }

  breakLink(session: string): void {
    this.#sessions.get(session)?.destroy();
  }

  async kill(): Promise<void> {
    if (!this.http.listening) return;
    const closed = once(this.http, 'close');
    this.http.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** A server that ends with the test. */
export function serverOf(t: TestContext): LinkServer {
  const server = new LinkServer();
  t.after(() => server.kill());
  return server;
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

export function handshake(path: string, headers: string[] = []): string {
  const fixed = ['Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13'];
  return [`GET ${path} HTTP/1.1`, ...fixed, `Sec-WebSocket-Key: ${KEY}`, ...headers, '', ''].join('\r\n');
}

/** Connects, asks for an upgrade and gives the socket with the status line of the answer. */
export async function bareUpgrade(port: number, path: string, headers?: string[]): Promise<[Socket, string]> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => socket.destroy());
  socket.write(handshake(path, headers));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return [socket, answer.toString().split('\r\n')[0] ?? ''];
}

/** A worker without a library: it is connected, and does nothing by itself, not even answer a ping. */
export async function bareWorker(port: number, session: string): Promise<Socket> {
  const [socket, status] = await bareUpgrade(port, `/v1/link?session=${session}`);
  assert.equal(status, 'HTTP/1.1 101 Switching Protocols');
  return socket;
}

/** A frame as RFC 6455, section 5.2, has it, masked with zeros as a client must. */
export function bareFrame(opcode: number, payload: Uint8Array): Buffer {
  const isShort = payload.length < 126;
  const header = Buffer.alloc(isShort ? 6 : 14);
  header.writeUInt8(0x80 | opcode, 0);
  header.writeUInt8(0x80 | (isShort ? payload.length : 127), 1);
  if (!isShort) header.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([header, payload]);
}

/** A master without a library: it answers the handshake, then what it does is up to the test. */
export async function bareMaster(
  t: TestContext,
  onLink: (socket: Duplex) => void,
  headers = [`X-Gimmework-Master: ${MASTER}`],
): Promise<number> {
  const server = serverOf(t);
  server.http.on('upgrade', (request, socket: Duplex) => {
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(key).digest('base64');
    const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
    socket.on('error', () => socket.destroy());
    socket.write([...head, `Sec-WebSocket-Accept: ${accept}`, ...headers, '', ''].join('\r\n'));
    onLink(socket);
  });
  return server.listen();
}
