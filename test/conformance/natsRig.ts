/** A nats-server with buses on it, for one test of its own. */
import { NatsBus, type NatsBusOptions } from '../../shared/io/bus/natsBus.ts';
import { createLog } from '../../shared/io/log.ts';
import { NatsServer } from '../tools/natsServer.ts';

export type NatsRig = {
  server: NatsServer;
  master: (options?: Partial<NatsBusOptions>) => NatsBus;
  worker: (id: string, options?: Partial<NatsBusOptions>) => NatsBus;
  /** What the buses logged. */
  lines: string[];
};

/** Starts a server, runs the body, ends the buses and the server. */
export async function withNats(
  path: string,
  settings: string,
  body: (rig: NatsRig) => Promise<void>,
): Promise<void> {
  const server = await NatsServer.start({ path, settings });
  const buses: NatsBus[] = [];
  const lines: string[] = [];
  const log = createLog({ level: 'debug', format: 'text', write: (line) => lines.push(line) });
  const made = (options: NatsBusOptions): NatsBus => {
    const bus = new NatsBus(options);
    buses.push(bus);
    return bus;
  };
  const servers = `127.0.0.1:${server.port}`;
  try {
    await body({
      server,
      master: (options) => made({ id: 'master-1', role: 'master', servers, log, ...options }),
      worker: (id, options) => made({ id, role: 'worker', servers, log, ...options }),
      lines,
    });
  } finally {
    server.resume();
    await Promise.all(buses.map((bus) => bus.close()));
    await server.end();
  }
}
