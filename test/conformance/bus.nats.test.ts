/** The Bus over NATS keeps what a Bus promises, over each real nats-server that is to be tested with. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { NatsBus } from '../../shared/io/bus/natsBus.ts';
import { natsSubjects } from '../../shared/io/bus/natsSubjects.ts';
import type { BusRole } from '../../shared/io/bus.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { Proxy } from '../tools/proxy.ts';
import { natsServers } from '../tools.ts';
import { type BusRig, busConformance, MASTER } from './bus.ts';

/** The server cuts who lets it buffer more than a master would (B3). */
const SETTINGS = 'max_pending: 8MB\nwrite_deadline: "1s"';

for (const { path, version } of natsServers()) busConformance(`nats ${version}`, () => setup(path));

async function setup(path: string): Promise<BusRig> {
  const server = await NatsServer.start({ path, settings: SETTINGS });
  const proxies = new Map<string, Proxy>();
  const buses: NatsBus[] = [];
  const stalled: { destroy(): void }[] = [];
  const proxy = await Proxy.start(() => server.port);
  const bus = (role: BusRole, id: string, port: number): NatsBus => {
    const made = new NatsBus({ id, role, servers: `127.0.0.1:${port}` });
    buses.push(made);
    return made;
  };
  const end = async (): Promise<void> => {
    await Promise.all(buses.map((made) => made.close()));
    for (const socket of stalled) socket.destroy();
    await Promise.all([...proxies.values(), proxy].map((made) => made.end()));
    await server.end();
  };
  return {
    master: () => bus('master', MASTER, server.port),
    worker: (id) => bus('worker', id, id === 'w' ? proxy.port : server.port),
    breakLink: () => proxy.break(),
    async stopHub() {
      await server.kill();
      await Promise.all(buses.filter(({ role }) => role === 'master').map((made) => made.close()));
    },
    startHub: () => server.restart(),
    async stalledWorker(id) {
      const socket = connect(server.port, '127.0.0.1');
      stalled.push(socket);
      socket.on('error', () => {});
      const subscriptions = natsSubjects('gimmework', 'worker', id).listen;
      socket.write('CONNECT {"verbose":false}\r\n');
      for (const [i, subject] of subscriptions.entries()) socket.write(`SUB ${subject} ${i + 1}\r\n`);
      socket.write('PING\r\n');
      let said = '';
      while (!said.includes('PONG')) said += String((await once(socket, 'data'))[0]);
      socket.pause();
    },
    seesPeers: false,
    hasCut: () => server.lines.some((line) => line.includes('Slow Consumer')),
    // The server's own buffer, and what the system buffers of a loopback connection, at most, on both sides.
    outsideBufferBytes: (8 + 16) * 1024 * 1024,
    end,
  };
}
