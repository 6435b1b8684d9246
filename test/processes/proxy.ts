/**
 * A TCP proxy between a worker and its master: the network, and what it does to people. It can cut all its
 * connections, and it can swallow what they carry while both ends take them for alive.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Proxy = {
  /** What the worker is given as its master. */
  readonly url: string;
  /** Connections that were made through it. */
  readonly made: number;
  /** Breaks off all connections; new ones go through. */
  cut(): void;
  /** Swallows everything that today's connections carry, both ways, and keeps them open; new ones go through. */
  swallow(): void;
  close(): Promise<void>;
};

/** A swallowed pair is half-open: the end of one side is not told to the other. */
type Pair = { near: Socket; far: Socket; swallowed: boolean };

/** Starts a proxy to the port of `master`, an `http://host:port`. */
export async function startProxy(master: string): Promise<Proxy> {
  const { hostname, port } = new URL(master);
  const pairs = new Set<Pair>();
  let made = 0;
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const pair: Pair = { near, far, swallowed: false };
    pairs.add(pair);
    made += 1;
    near.pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.once('close', () => {
        if (pair.swallowed) return;
        pairs.delete(pair);
        near.destroy();
        far.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get made() {
      return made;
    },
    cut() {
      for (const { near, far, swallowed } of pairs) {
        if (swallowed) continue;
        near.resetAndDestroy();
        far.resetAndDestroy();
      }
    },
    swallow() {
      for (const pair of pairs) {
        const { near, far } = pair;
        pair.swallowed = true;
        near.unpipe(far);
        far.unpipe(near);
        near.resume();
        far.resume();
      }
    },
    async close() {
      for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
