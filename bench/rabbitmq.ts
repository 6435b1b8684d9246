/**
 * A RabbitMQ server for the peers: Debian's packages and their Erlang, unpacked beside the sources (the installed
 * one insists on the folders and the user of the system). Two processes: the server, and the port mapper that
 * Erlang wants, which would else outlive it.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { freePort, libraryPath, unpacked } from './debian.ts';
import type { Place } from './place.ts';

const GET_IT = 'no rabbitmq-server: it is fetched by apt-get download and unpacked by dpkg -x, which failed';
const ERLANG = [
  'asn1 base crypto eldap ftp inets mnesia os-mon parsetools public-key runtime-tools snmp ssl',
  'syntax-tools tftp tools xmerl',
].flatMap((line) => line.split(' ').map((name) => `erlang-${name}`));
const PACKAGES = ['rabbitmq-server', 'libsctp1', 'libtinfo6', ...ERLANG];
/** Its start script calls `erl`, which looks where Debian puts it; this one looks where it was unpacked. */
const ERL = `#!/bin/sh
BINDIR=$(echo "$ROOTDIR"/erts-*/bin) EMU=beam PROGNAME=erl
export BINDIR EMU PROGNAME
exec "$BINDIR"/erlexec "$@"
`;

export type RabbitMq = { children: Child[]; port: number };

/** Starts a server on free ports, with nothing in it; resolves once it takes connections. */
export async function startRabbitMq(place: Place): Promise<RabbitMq> {
  const files = unpacked('rabbitmq', PACKAGES, GET_IT);
  const data = place.newFolder();
  const [port, distPort, mapperPort] = [await freePort(), await freePort(), await freePort()];
  const erlang = join(files, 'usr/lib/erlang');
  const env = environment(files, erlang, data, { distPort, mapperPort });
  const settings = [`listeners.tcp.local = 127.0.0.1:${port}`, 'log.console = true', 'log.file = false'];
  writeFileSync(join(data, 'rabbitmq.conf'), `${settings.join('\n')}\n`);
  const mapper = place.start({
    name: 'epmd',
    command: join(only(erlang, 'erts-'), 'bin/epmd'),
    args: [],
    env,
  });
  const home = only(join(files, 'usr/lib/rabbitmq/lib'), 'rabbitmq_server-');
  // What it warns of at its start is on stderr, and would count as a complaint.
  const args = ['-c', 'exec "$0" 2>&1', join(home, 'sbin/rabbitmq-server')];
  const server = place.start({ name: 'rabbitmq', command: '/bin/sh', args, env, cwd: data });
  while (!(await server.line()).includes('Server startup complete'));
  return { children: [server, mapper], port };
}

type Ports = { distPort: number; mapperPort: number };

function environment(files: string, erlang: string, data: string, ports: Ports): Record<string, string> {
  mkdirSync(join(data, 'bin'));
  writeFileSync(join(data, 'bin/erl'), ERL, { mode: 0o755 });
  return {
    PATH: `${join(data, 'bin')}:${process.env['PATH'] ?? ''}`,
    HOME: data,
    ROOTDIR: erlang,
    LD_LIBRARY_PATH: libraryPath(files),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(ports.mapperPort),
    RABBITMQ_CONFIG_FILE: join(data, 'rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: join(data, 'none'),
    RABBITMQ_MNESIA_BASE: join(data, 'mnesia'),
    RABBITMQ_LOG_BASE: join(data, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(data, 'plugins'),
    RABBITMQ_SCHEMA_DIR: join(data, 'schema'),
    RABBITMQ_PID_FILE: join(data, 'pid'),
    RABBITMQ_NODENAME: `bench-${ports.distPort}@localhost`,
    RABBITMQ_DIST_PORT: String(ports.distPort),
    // The script becomes the server, as under systemd, instead of minding it.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}',
  };
}

/** The one folder of that name and some version. */
function only(folder: string, prefix: string): string {
  const name = readdirSync(folder).find((it) => it.startsWith(prefix));
  if (name === undefined) throw new Error(GET_IT);
  return join(folder, name);
}
