/**
 * One connection to one NATS server: the one file that imports `nats`. Owns the library's connection and what
 * is under way on it. It does not know of masters and workers, nor does it connect again: that is natsBus.ts.
 *
 * Q1: the library makes a connection and never makes it again: what it may still hold when a connection is
 *     lost dies with it, so nothing sent before a loss is delivered after it.
 * Q2: a link is there only once the server has answered for its subscriptions.
 * Q3: what is handed to the library counts as buffered until the server has answered a ping sent after it.
 *     Three ping intervals in which the server says nothing end a link, where the library would still wait.
 * Q4: no reply is ever sent: a message is its subject and its bytes.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  Events,
  type NatsConnection,
  NatsError,
  nkeyAuthenticator,
  type Status,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from 'nats';
import { GimmeError, unreachable } from '../../core/errors.ts';
import { LINK_CLOSE_MS, LINK_HANDSHAKE_MS, MESSAGE_BYTES_MAX } from '../../core/limits.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { answers, type NatsAddress, shown } from './natsServers.ts';

export type NatsAuth =
  | { type: 'none' }
  | { type: 'user'; user: string; password: string }
  | { type: 'token'; token: string }
  /** The seed of a user's nkey (`SU…`). */
  | { type: 'nkey'; seed: string }
  /** A file with a user's JWT and seed, as `nsc` writes it. Read again for each connection. */
  | { type: 'creds'; file: string };

/** Files in PEM, read again for each connection. Given at all, even empty, only TLS will do. */
export type NatsTls = { caFile?: string; certFile?: string; keyFile?: string };

export type NatsLinkOptions = {
  address: NatsAddress;
  /** What the server's own lists show of this connection. */
  name: string;
  subjects: readonly string[];
  auth: NatsAuth;
  tls: NatsTls | undefined;
  /** Bytes that may be buffered (Q3). */
  bufferMax: number;
  pingMs: number;
  clock: Clock;
  log: Log;
  /** A message came in. Must not throw. The bytes are the receiver's. */
  onMessage(subject: string, data: Uint8Array): void;
  /** The server refused a publish or a subscription of ours. */
  onDenied(): void;
};

/** The library must have pings of its own. Ours are faster, and also notice a server that does not read. */
const LIBRARY_PING_MS = 3_600_000;

/** Makes a link, or says why not: a GimmeError where trying again cannot help. `signal` stops the attempt. */
export async function dialNats(options: NatsLinkOptions, signal: AbortSignal): Promise<NatsLink> {
  const { address } = options;
  await answers(address, signal);
  const nc = await connection(options);
  const link = new NatsLink(nc, options);
  const cancel = (): void => link.cut('the attempt was ended');
  signal.addEventListener('abort', cancel);
  try {
    signal.throwIfAborted();
    const max = nc.info?.max_payload ?? 0;
    if (max < MESSAGE_BYTES_MAX) throw unfit(address, max);
    await link.subscribe();
    return link;
  } catch (error) {
    link.cut('it cannot be used');
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Throws bad_config for credentials and files that cannot be used. */
export function checkNatsAccess(auth: NatsAuth, tls: NatsTls | undefined): void {
  authenticatorOf(auth);
  for (const file of Object.values(tls ?? {})) contentOf(file);
}

export class NatsLink {
  /** Resolves with the reason once the connection has ended. */
  readonly ended: Promise<string>;
  readonly #nc: NatsConnection;
  readonly #options: NatsLinkOptions;
  #end: (reason: string) => void = () => {};
  #isEnded = false;
  /** Bytes handed over since the last ping, and those that the ping under way answers for (Q3). */
  #unasked = 0;
  #asked = 0;
  #isAsking = false;
  #isAskingSoon = false;
  /** Ping intervals since the server was heard. */
  #silent = 0;
  #isProven = false;
  /** Why the server refused a subscription. */
  #denied: GimmeError | undefined;
  /** What was logged already: such things come by the thousand. */
  readonly #said = new Set<string>();
  #cancelPing = (): void => {};

  constructor(nc: NatsConnection, options: NatsLinkOptions) {
    this.#nc = nc;
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    void nc.closed().then((error) => this.cut(error ? reasonOf(error) : 'the server ended the connection'));
    void this.#follow();
    this.#pingLater();
  }

  /** Whether the server has answered more than the subscriptions. */
  get isProven(): boolean {
    return this.#isProven;
  }

  get isEnded(): boolean {
    return this.#isEnded || this.#nc.isClosed();
  }

  /** Where the server says that others of its cluster are. */
  get others(): string[] {
    return this.#nc.info?.connect_urls ?? [];
  }

  /** Q2 */
  async subscribe(): Promise<void> {
    for (const subject of this.#options.subjects) {
      this.#nc.subscribe(subject, {
        callback: (error, message) => {
          if (error) this.#onRefused(error);
          else this.#onMessage(message.subject, message.data);
        },
      });
    }
    const ended = this.ended.then((reason) => {
      throw this.#denied ?? new Error(reason);
    });
    await Promise.race([this.#nc.flush(), ended]);
    // The refusal may have come in one piece with the answer.
    if (this.#denied) throw this.#denied;
  }

  /** False when it was certainly not sent. */
  publish(subject: string, frame: Uint8Array): boolean {
    if (this.isEnded) return false;
    if (this.buffered() + frame.length > this.#options.bufferMax)
      return this.#refuse('the server does not keep up');
    try {
      this.#nc.publish(subject, frame);
    } catch (error) {
      // The server has lowered its max_payload since.
      return this.#refuse(reasonOf(error));
    }
    this.#unasked += frame.length;
    this.#askSoon();
    return true;
  }

  /** Publishes beside the link; resolves once the server has taken it. What it is not permitted is told to onDenied before. */
  async hand(subject: string, data: Uint8Array): Promise<void> {
    if (this.isEnded) throw new Error('there is no connection');
    this.#nc.publish(subject, data);
    const ended = this.ended.then((reason) => {
      throw new Error(reason);
    });
    await Promise.race([this.#nc.flush(), ended]);
    // The server's refusal comes before its answer, but the library passes it on a few steps later.
    await new Promise((resolve) => setImmediate(resolve));
  }

  buffered(): number {
    return this.#isEnded ? 0 : this.#unasked + this.#asked;
  }

  /** Ends the connection at once. */
  cut(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#cancelPing();
    void this.#nc.close();
    this.#end(reason);
  }

  /** Sends what was taken, for at most LINK_CLOSE_MS, then ends the connection. */
  async close(): Promise<void> {
    let cancel = (): void => {};
    const timeout = new Promise<void>((resolve) => {
      cancel = this.#options.clock.setTimer(LINK_CLOSE_MS, resolve);
    });
    if (!this.#nc.isClosed()) await Promise.race([this.#nc.flush().catch(() => {}), this.ended, timeout]);
    cancel();
    this.cut('closed');
    await this.#nc.close();
  }

  #onMessage(subject: string, data: Uint8Array): void {
    this.#silent = 0;
    // Not copied: the library cuts it out of what it read from the socket and never uses that again.
    if (!this.#isEnded) this.#options.onMessage(subject, data);
  }

  #onRefused(error: NatsError): void {
    const fault = faultOf(error, this.#options.address);
    if (fault instanceof GimmeError) this.#denied = fault;
    this.cut(reasonOf(error));
  }

  async #follow(): Promise<void> {
    for await (const status of this.#nc.status()) this.#onStatus(status);
  }

  #onStatus({ type, data, permissionContext }: Status): void {
    const server = shown(this.#options.address);
    if (type === Events.LDM) {
      // It ends its connections one by one, so that not all come to the others at once: we wait for our turn.
      this.#options.log.info('the NATS server is about to stop; another is looked for when it does', {
        server,
      });
    } else if (type === Events.Error && permissionContext) {
      const { operation, subject } = permissionContext;
      this.#options.onDenied();
      this.#say('error', `NATS denies this ${operation}`, { code: 'nats_refused', server, subject });
    } else if (type === Events.Error) {
      this.#say('warn', 'the NATS server complains', { server, reason: data });
    }
  }

  #refuse(reason: string): false {
    this.#say('warn', 'a frame is not sent over NATS', { code: 'peer_too_slow', reason });
    return false;
  }

  #say(level: 'warn' | 'error', what: string, fields: Record<string, unknown>): void {
    if (this.#said.has(what)) return;
    this.#said.add(what);
    this.#options.log[level](what, fields);
  }

  /** Q3: after this turn, so that one ping answers for all that is sent in it. */
  #askSoon(): void {
    if (this.#isAsking || this.#isAskingSoon) return;
    this.#isAskingSoon = true;
    setImmediate(() => {
      this.#isAskingSoon = false;
      this.#ask();
    });
  }

  #ask(): void {
    if (this.#isAsking || this.isEnded) return;
    this.#isAsking = true;
    this.#asked = this.#unasked;
    this.#unasked = 0;
    this.#nc.flush().then(
      () => {
        this.#isAsking = false;
        this.#isProven = true;
        this.#asked = 0;
        this.#silent = 0;
        if (this.#unasked > 0) this.#askSoon();
      },
      () => {
        // The connection ended, which `ended` tells.
      },
    );
  }

  /** It counts intervals, not time: a process that stood still does not take its server for dead. */
  #pingLater(): void {
    const { clock, pingMs, address } = this.#options;
    this.#cancelPing = clock.setTimer(pingMs, () => {
      this.#silent += 1;
      if (this.#silent >= 3) {
        this.cut(`${shown(address)} does not answer`);
        return;
      }
      this.#ask();
      this.#pingLater();
    });
  }
}

async function connection({ address, name, auth, tls }: NatsLinkOptions): Promise<NatsConnection> {
  const authenticator = authenticatorOf(auth);
  // Without a name the library leaves open whom the certificate must name.
  const whom = isIP(address.name) ? { host: address.name } : { servername: address.name };
  try {
    return await connect({
      servers: [shown(address)],
      name,
      // Q1
      reconnect: false,
      // The library would ask DNS alone; the system also knows its hosts file and search domains.
      resolve: false,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      timeout: LINK_HANDSHAKE_MS,
      pingInterval: LIBRARY_PING_MS,
      ...(authenticator && { authenticator }),
      ...((tls || address.isTls) && { tls: { ...tls, ...whom } }),
    });
  } catch (error) {
    throw faultOf(error, address);
  }
}

/** Reads and checks the credentials; nothing for none. */
function authenticatorOf(auth: NatsAuth): Authenticator | undefined {
  switch (auth.type) {
    case 'none':
      return undefined;
    case 'user':
      return usernamePasswordAuthenticator(auth.user, auth.password);
    case 'token':
      return tokenAuthenticator(auth.token);
    case 'nkey':
      return tried(nkeyAuthenticator(Buffer.from(auth.seed.trim())), 'the seed of the nkey for NATS');
    case 'creds':
      return tried(credsAuthenticator(contentOf(auth.file)), `the creds file for NATS, ${auth.file},`);
    default:
      return unreachable(auth);
  }
}

/** The library would find a bad seed only in the midst of connecting. */
function tried(authenticator: Authenticator, what: string): Authenticator {
  try {
    authenticator('nonce');
  } catch (error) {
    throw new GimmeError('bad_config', `${what} is not valid (${reasonOf(error)})`, { cause: error });
  }
  return authenticator;
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new GimmeError('bad_config', `${file} cannot be read (${reasonOf(error)})`, { cause: error });
  }
}

function unfit(address: NatsAddress, max: number): GimmeError {
  return new GimmeError(
    'nats_unfit',
    `NATS at ${shown(address)} takes messages of at most ${max} bytes; ` +
      `set max_payload in its settings to ${MESSAGE_BYTES_MAX} or more`,
  );
}

function faultOf(error: unknown, address: NatsAddress): unknown {
  if (!(error instanceof NatsError)) return error;
  const where = `NATS at ${shown(address)}`;
  const why = reasonOf(error);
  if (error.isAuthError()) {
    const message = `${where} refused these credentials (${why}); check user, token, nkey or creds`;
    return new GimmeError('nats_refused', message, { cause: error });
  }
  if (error.isPermissionError()) {
    const message = `${where} does not permit what this node needs (${why}); check its permissions`;
    return new GimmeError('nats_refused', message, { cause: error });
  }
  return error;
}

/** What a person can use of an error; the library puts the server's words in quotes, and hides causes. */
export function reasonOf(error: unknown): string {
  if (error instanceof NatsError) {
    const text = error.chainedError?.message ?? error.message;
    return (text || error.code).replace(/^'|'$/g, '');
  }
  return error instanceof Error ? error.message || error.name : String(error);
}
