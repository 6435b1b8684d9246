/** A TCP proxy on loopback between a test's client and a server, which can break their connections. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Connections made through it so far. */
  count = 0;

  private constructor(toPort: () => number) {
    this.#server = createServer((front) => {
      const back = connect(toPort(), '127.0.0.1');
      this.count += 1;
      for (const [socket, other] of [
        [front, back],
        [back, front],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
  }

  static async start(toPort: () => number): Promise<Proxy> {
    const proxy = new Proxy(toPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size / 2;
  }

  /** Ends all its connections at once. */
  break(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async end(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.break();
    await closed;
  }
}
