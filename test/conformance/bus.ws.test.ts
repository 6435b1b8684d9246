/** The Bus over WebSocket keeps what a Bus promises, over real sockets on loopback. */

import { WsClient } from '../../shared/io/bus/wsClient.ts';
import { WsHub } from '../../shared/io/bus/wsHub.ts';
import type { Bus } from '../../shared/io/bus.ts';
import { bareWorker, LinkServer } from './barePeers.ts';
import { type BusRig, busConformance, MASTER } from './bus.ts';

busConformance('ws', setup);

async function setup(): Promise<BusRig> {
  let server = new LinkServer();
  const port = await server.listen();
  const clients: Bus[] = [];
  const hubs: Bus[] = [];
  return {
    master() {
      const hub = new WsHub({ id: MASTER, server: server.http });
      hubs.push(hub);
      return hub;
    },
    worker(id) {
      const client = new WsClient({ id, url: `ws://127.0.0.1:${port}` });
      clients.push(client);
      return client;
    },
    breakLink: (id) => server.breakLink(id),
    stopHub: () => server.kill(),
    async startHub() {
      server = new LinkServer();
      await server.listen(port);
    },
    async stalledWorker(id) {
      const socket = await bareWorker(port, id);
      socket.pause();
    },
    seesPeers: true,
    // What the system buffers of a loopback connection, at most, on both sides.
    outsideBufferBytes: 16 * 1024 * 1024,
    async end() {
      await Promise.all(clients.map((client) => client.close()));
      await server.kill();
      await Promise.all(hubs.map((hub) => hub.close()));
    },
  };
}
