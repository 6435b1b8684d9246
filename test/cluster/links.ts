/** The links over which a cluster within one process is tested. One more kind of link is one more function here. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MemoryNetwork } from '../../shared/io/bus/memory.ts';
import { WsClient } from '../../shared/io/bus/wsClient.ts';
import { WsHub } from '../../shared/io/bus/wsHub.ts';
import type { Bus } from '../../shared/io/bus.ts';

export type Link = {
  master(id: string): Bus;
  worker(id: string): Bus;
  /** Called after all its buses are closed. */
  end(): Promise<void>;
};

export type MakeLink = () => Promise<Link>;

export async function memoryLink(): Promise<Link> {
  const network = new MemoryNetwork();
  return { master: (id) => network.master(id), worker: (id) => network.worker(id), end: async () => {} };
}

/** WebSocket on loopback, on a free port. */
export async function wsLink(): Promise<Link> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    master: (id) => new WsHub({ id, server }),
    worker: (id) => new WsClient({ id, url: `ws://127.0.0.1:${port}` }),
    async end() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
