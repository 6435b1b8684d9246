/**
 * Addresses of NATS servers: reads them, keeps the list in which a bus looks for one, and tells whether a
 * NATS server answers at one. It does not speak NATS beyond the server's first word.
 */
import { connect, isIP, isIPv6 } from 'node:net';
import { GimmeError } from '../../core/errors.ts';

export type NatsAddress = {
  host: string;
  port: number;
  /** Whether only TLS will do. */
  isTls: boolean;
  /** Whom the server's certificate must name. */
  name: string;
};

const PORT = 4222;
const FIRST_WORD = 'INFO ';

/** Reads `nats://host:port`, `tls://host:port`, `host:port` or `host`; several with commas between them. */
export function natsAddresses(servers: string | readonly string[]): NatsAddress[] {
  const texts = typeof servers === 'string' ? servers.split(',') : servers;
  return texts.map((text) => addressOf(text.trim()));
}

/** `host:port`, as people write it. */
export function shown({ host, port }: NatsAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

function addressOf(text: string): NatsAddress {
  const full = text.includes('://') ? text : `nats://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (!url || !/^(nats|tls):$/.test(url.protocol) || url.hostname === '' || /[/?#]./.test(afterHost(full))) {
    throw new GimmeError(
      'bad_config',
      `${JSON.stringify(text)} is not an address such as nats://127.0.0.1:4222`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    // Not shown: it holds a password.
    throw new GimmeError(
      'bad_config',
      `the NATS address of ${url.host} holds a user; give the user apart from it`,
    );
  }
  const port = url.port === '' ? PORT : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, port, isTls: url.protocol === 'tls:', name: host };
}

const afterHost = (url: string): string => url.replace(/^[a-z]+:\/\/[^/?#]*/, '');

/** The servers that a bus may connect to, in turn: those given, then those that the servers tell of. */
export class NatsServers {
  readonly #given: readonly NatsAddress[];
  #told: NatsAddress[] = [];
  #turn: number;

  constructor(given: readonly NatsAddress[], random: () => number) {
    if (given.length === 0) throw new GimmeError('bad_config', 'no address of a NATS server is given');
    this.#given = given;
    // So that many who start at once do not all go to the first one.
    this.#turn = Math.floor(random() * given.length);
  }

  get count(): number {
    return this.#given.length + this.#told.length;
  }

  next(): NatsAddress {
    return [...this.#given, ...this.#told][this.#turn++ % this.count] as NatsAddress;
  }

  /** Takes `connect_urls` of a server, which names the others of its cluster. */
  learn(from: NatsAddress, urls: readonly string[]): void {
    const known = new Set(this.#given.map(shown));
    this.#told = urls
      .flatMap((url) => {
        try {
          return natsAddresses(url);
        } catch {
          return [];
        }
      })
      .map((address) => ({
        ...address,
        isTls: from.isTls,
        name: isIP(address.host) ? from.name : address.host,
      }))
      .filter((address) => !known.has(shown(address)));
  }

  toString(): string {
    return this.#given.map(shown).join(', ');
  }
}

/**
 * Resolves once a NATS server says its first word at this address; the connection is closed again. The
 * library leaves a socket behind at each attempt at a server that accepts and then stands still; this does not.
 */
export function answers({ host, port }: NatsAddress, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    let heard = '';
    let fault: Error | undefined;
    socket.on('data', (data: Buffer) => {
      heard += data.toString('latin1');
      if (heard.length < FIRST_WORD.length) return;
      if (heard.startsWith(FIRST_WORD)) resolve();
      else fault = new Error('what answers there is not a NATS server');
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // An error of several addresses tried (localhost) has no message of its own, only a code.
      fault = error.message === '' ? new Error(error.code ?? 'no connection', { cause: error }) : error;
    });
    socket.on('close', () => reject(fault ?? new Error('it closed the connection')));
  });
}
