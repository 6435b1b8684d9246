/** The Bus over NATS keeps what a Bus promises, over each real nats-server that is to be tested with. */
import { NatsBus } from '../../shared/io/bus/natsBus.ts';
import { natsSubjects } from '../../shared/io/bus/natsSubjects.ts';
import type { BusRole } from '../../shared/io/bus.ts';
import { BareNats } from '../tools/bareNats.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { Proxy } from '../tools/proxy.ts';
import { natsServers } from '../tools.ts';
import { type BusRig, busConformance, MASTER } from './bus.ts';

/** The server cuts who lets it buffer more than a master would (B3). */
const SETTINGS = 'max_pending: 8MB\nwrite_deadline: "1s"';

for (const { path, version } of natsServers()) busConformance(`nats ${version}`, () => setup(path));

async function setup(path: string): Promise<BusRig> {
  const server = await NatsServer.start({ path, settings: SETTINGS });
  const buses: NatsBus[] = [];
  const stalled: BareNats[] = [];
  const proxy = await Proxy.start(() => server.port);
  const bus = (role: BusRole, id: string, port: number): NatsBus => {
    const made = new NatsBus({ id, role, servers: `127.0.0.1:${port}` });
    buses.push(made);
    return made;
  };
  const end = async (): Promise<void> => {
    await Promise.all(buses.map((made) => made.close()));
    for (const bare of stalled) bare.end();
    await proxy.end();
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
      const bare = await BareNats.connect(server.port);
      stalled.push(bare);
      for (const subject of natsSubjects('gimmework', 'worker', id).listen) bare.subscribe(subject);
      await bare.said();
      bare.stall();
    },
    seesPeers: false,
    hasCut: () => server.lines.some((line) => line.includes('Slow Consumer')),
    // The server's own buffer, and what the system buffers of a loopback connection, at most, on both sides.
    outsideBufferBytes: (8 + 16) * 1024 * 1024,
    end,
  };
}
