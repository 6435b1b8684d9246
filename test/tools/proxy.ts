/** A TCP proxy on loopback between a test's client and a server: it breaks connections and lets them stall. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #behind: Set<Socket> = new Set();
  /** Connections made through it so far. */
  count = 0;

  private constructor(toPort: () => number) {
    this.#server = createServer((front) => {
      const back = connect(toPort(), '127.0.0.1');
      this.count += 1;
      this.#behind.add(back);
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
      back.on('close', () => this.#behind.delete(back));
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

  /** Ends all its connections at once. */
  break(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Passes on nothing more of what the server says on the connections there are. */
  silence(): void {
    for (const back of this.#behind) {
      back.unpipe();
      back.resume();
    }
  }

  async end(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.break();
    await closed;
  }
}
