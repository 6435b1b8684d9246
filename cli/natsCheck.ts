/** What can be said of NATS servers before a node uses them: whether they answer, what they are, whom they let in. */
import { connect } from 'node:net';
import { LINK_PING_MS, MESSAGE_BYTES_MAX } from '../shared/core/limits.ts';
import { dialNats } from '../shared/io/bus/nats.ts';
import { type NatsAddress, natsAddresses, shown } from '../shared/io/bus/natsServers.ts';
import { systemClock } from '../shared/io/clock.ts';
import { silentLog } from '../shared/io/log.ts';
import { type Finding, failed } from './checks.ts';
import type { NatsSettings } from './natsSettings.ts';
import { count, nextOf } from './output.ts';

const ANSWER_MS = 5_000;
const INFO_BYTES_MAX = 64 * 1024;
/** The oldest version that the tests run with. */
const VERSION_LEAST = [2, 9] as const;

type Info = { version: string; maxPayload: number };

/** One finding for each server. */
export async function checkNats(settings: NatsSettings): Promise<Finding[]> {
  return Promise.all(natsAddresses(settings.servers).map((address) => checkServer(address, settings)));
}

async function checkServer(address: NatsAddress, { auth, tls }: NatsSettings): Promise<Finding> {
  const about = { name: 'nats' } as const;
  let info: Info;
  try {
    info = await infoOf(address);
  } catch (error) {
    const what = `no NATS server answers at ${shown(address)} (${(error as Error).message})`;
    return { ...about, level: 'fail', what, todo: nextOf('nats_unreachable') };
  }
  const options = {
    address,
    name: 'gimmework doctor',
    subjects: [],
    auth: auth ?? { type: 'none' as const },
    tls,
    bufferMax: MESSAGE_BYTES_MAX,
    pingMs: LINK_PING_MS,
    clock: systemClock,
    log: silentLog,
    onMessage: () => {},
    onDenied: () => {},
  };
  try {
    const link = await dialNats(options, AbortSignal.timeout(ANSWER_MS));
    await link.close();
  } catch (error) {
    return failed(about.name, error, 'nats_unreachable');
  }
  const limits = `max_payload ${count(info.maxPayload)}`;
  const what = `nats-server ${info.version} at ${shown(address)} lets this node in, ${limits}`;
  if (isOld(info.version)) {
    const todo = `Use nats-server ${VERSION_LEAST.join('.')} or newer; older ones are not tested.`;
    return { ...about, level: 'warn', what, todo };
  }
  return { ...about, level: 'ok', what };
}

function isOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < VERSION_LEAST[0] || (major === VERSION_LEAST[0] && minor < VERSION_LEAST[1]);
}

/** Reads the server's first line, which tells what it is; a client need say nothing for it. */
function infoOf({ host, port }: NatsAddress): Promise<Info> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal: AbortSignal.timeout(ANSWER_MS) });
    let text = '';
    let fault = new Error('it closed the connection');
    socket.setEncoding('utf8');
    socket.on('data', (data: string) => {
      text += data;
      const line = /^INFO (.*)\r\n/.exec(text)?.[1];
      const isBegun = text.startsWith('INFO '.slice(0, text.length)) && text.length < INFO_BYTES_MAX;
      if (line === undefined && isBegun) return;
      try {
        const { version, max_payload } = JSON.parse(line ?? '') as Record<string, unknown>;
        resolve({ version: String(version), maxPayload: Number(max_payload) });
      } catch {
        fault = new Error('what answers there is not a NATS server');
      }
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // An error of several addresses tried (localhost) has no message of its own, only a code.
      fault = error.name === 'AbortError' ? new Error('no answer') : new Error(error.message || error.code);
    });
    socket.on('close', () => reject(fault));
  });
}
