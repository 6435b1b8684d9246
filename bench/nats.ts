/** A nats-server of a benchmark's own, on a free port of loopback: a child, so that its CPU time can be read. */
import { foundNatsServer } from '../cli/natsServer.ts';
import type { Child } from './child.ts';
import type { Place } from './place.ts';

const GET_IT = 'no nats-server: install one (apt-get install nats-server) and run again';

export type Nats = { child: Child; url: string };

/** Starts a server, with JetStream on files in `jetStream` if given; resolves once it takes connections. Throws with one line that says how to get one. */
export async function startNats(place: Place, jetStream?: string): Promise<Nats> {
  const program = foundNatsServer();
  if (program === undefined) throw new Error(GET_IT);
  // It logs on stderr; what is on stderr counts as a complaint.
  const args = ['-c', 'exec "$0" "$@" 2>&1', program, '-a', '127.0.0.1', '-p', '-1'];
  if (jetStream !== undefined) args.push('-js', '-sd', jetStream);
  const child = place.start({ name: 'nats', command: '/bin/sh', args });
  let port = '';
  for (let line = ''; !line.includes('Server is ready'); ) {
    line = await child.line();
    port = /client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? port;
  }
  return { child, url: `nats://127.0.0.1:${port}` };
}
