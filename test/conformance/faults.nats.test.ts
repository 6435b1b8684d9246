/** The faults of the pattern's first implementation do not come back over NATS, on each server that is tested with. */
import { NatsBus } from '../../shared/io/bus/natsBus.ts';
import type { BusRole } from '../../shared/io/bus.ts';
import type { Link } from '../cluster/links.ts';
import { NatsServer } from '../tools/natsServer.ts';
import { natsServers } from '../tools.ts';
import { faultsConformance } from './faults.ts';

for (const { path, version } of natsServers()) faultsConformance(`nats ${version}`, () => natsLink(path));

async function natsLink(path: string): Promise<Link> {
  const server = await NatsServer.start({ path });
  const bus = (role: BusRole) => (id: string) =>
    new NatsBus({ id, role, servers: `127.0.0.1:${server.port}` });
  return { master: bus('master'), worker: bus('worker'), end: () => server.end() };
}
