/**
 * The Bus over core NATS, for masters and for workers. Owns which server it is connected to, and the wait
 * between attempts. One connection: nats.ts. Subjects, and who may forge what: natsSubjects.ts.
 *
 * `idle` → `connecting` → `up`, and from either by way of `waiting` back to `connecting`. It ends as
 * `failed` (it never was up, and waiting cannot help or took too long) or `closed`.
 *
 * The link is the one to the server. So a worker is up while no master is there; `send` does not know an
 * unknown peer from a known one; and two workers of one session both hear and are heard. A peer that does not
 * read is cut by its server (its `max_pending` and `write_deadline`), and is back when it reads again (B3).
 * B1 holds within one server, and within a cluster as its routes keep the order of what one account sends.
 *
 * T1: one connection or attempt at a time.
 * T2: a handler that throws ends the process; the library would swallow it (B5).
 */
import { assert, GimmeError, unreachable } from '../../core/errors.ts';
import { isId } from '../../core/ids.ts';
import {
  LINK_HANDSHAKE_MS,
  LINK_PING_MS,
  LINK_RECONNECT_FIRST_MS,
  LINK_RECONNECT_MAX_MS,
  MESSAGE_BYTES_MAX,
  NATS_BUFFER_BYTES_MAX,
  NATS_CONNECT_MS,
  PEER_BUFFER_BYTES_MAX,
} from '../../core/limits.ts';
import { backoffMs } from '../../core/retry.ts';
import { type Address, assertFrame, type Bus, type BusHandlers, type BusRole } from '../bus.ts';
import { type Clock, systemClock } from '../clock.ts';
import { type Log, silentLog } from '../log.ts';
import { checkNatsAccess, dialNats, type NatsAuth, type NatsLink, type NatsTls, reasonOf } from './nats.ts';
import { type NatsAddress, NatsServers, natsAddresses, shown } from './natsServers.ts';
import { NATS_PREFIX, type NatsSubjects, natsSubjects } from './natsSubjects.ts';

export type NatsBusOptions = {
  /** The master's id, or the session, which over NATS is a secret between a worker and its masters. */
  id: string;
  role: BusRole;
  /** `nats://host:port` or `tls://host:port`: the servers of one cluster, also with commas between them. */
  servers: string | readonly string[];
  /** Keeps clusters on one server apart. Defaults to NATS_PREFIX. */
  prefix?: string;
  /** Defaults to none. */
  auth?: NatsAuth;
  tls?: NatsTls;
  clock?: Clock;
  log?: Log;
  /** From 0 up to, not including, 1; spreads the attempts of many. Defaults to Math.random. */
  random?: () => number;
  /** How long `open` tries. Defaults to NATS_CONNECT_MS. */
  connectTimeoutMs?: number;
  /** Defaults to LINK_PING_MS. */
  pingMs?: number;
};

/** What a bus has counted since it was made. */
export type NatsCounts = {
  reconnects: number;
  /** Frames that `send` refused while up: too much was under way, or too large for the server by now. */
  refused: number;
  /** Messages that came in and are no frames: empty, too large, or from a sender without a valid id. */
  notFrames: number;
  /** Times the server did not permit what a bus of this role does. */
  denied: number;
};

type Attempt = { readonly abort: AbortController; cancelTimeout(): void };

type State =
  | { at: 'idle' }
  | { at: 'connecting'; attempt: Attempt }
  | { at: 'up'; attempt: Attempt; link: NatsLink }
  | { at: 'waiting'; cancel(): void }
  | { at: 'failed' }
  | { at: 'closed'; done: Promise<void> };

type Opening = { resolve(): void; reject(error: GimmeError): void; cancelTimeout(): void };

const BACKOFF = { firstMs: LINK_RECONNECT_FIRST_MS, factor: 2, maxMs: LINK_RECONNECT_MAX_MS };

export class NatsBus implements Bus {
  readonly kind = 'nats';
  readonly id: string;
  readonly role: BusRole;
  readonly #options: NatsBusOptions;
  readonly #servers: NatsServers;
  readonly #subjects: NatsSubjects;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #connectTimeoutMs: number;
  readonly #counts: NatsCounts = { reconnects: 0, refused: 0, notFrames: 0, denied: 0 };
  #state: State = { at: 'idle' };
  #handlers: BusHandlers | undefined;
  /** Settles what `open` returned; undefined again once it is settled. */
  #opening: Opening | undefined;
  /** Attempts since a connection last proved good. */
  #attempts = 0;
  /** Why the last attempt failed, or the last connection ended. */
  #reason = 'no answer';
  /** `onDown` was called and no `onUp` since. */
  #isDownSaid = false;
  #isNotFrameSaid = false;

  /** Throws bad_config for addresses, a prefix, credentials or files that cannot be used. */
  constructor(options: NatsBusOptions) {
    assert(isId(options.id), `a bus needs a valid id, got ${JSON.stringify(options.id)}`);
    this.id = options.id;
    this.role = options.role;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLog;
    this.#random = options.random ?? Math.random;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? NATS_CONNECT_MS;
    this.#servers = new NatsServers(natsAddresses(options.servers), this.#random);
    this.#subjects = natsSubjects(options.prefix ?? NATS_PREFIX, options.role, options.id);
    checkNatsAccess(options.auth ?? { type: 'none' }, options.tls);
  }

  /** A copy of what was counted. */
  counts(): NatsCounts {
    return { ...this.#counts };
  }

  /** As every bus, but rejects with nats_unreachable where the first connection takes too long. */
  open(handlers: BusHandlers): Promise<void> {
    assert(this.#state.at === 'idle', `a bus is opened once; it is ${this.#state.at}`);
    this.#handlers = handlers;
    return new Promise((resolve, reject) => {
      const cancelTimeout = this.#clock.setTimer(this.#connectTimeoutMs, () => this.#giveUp());
      this.#opening = { resolve, reject, cancelTimeout };
      this.#connect();
    });
  }

  send(address: Address, frame: Uint8Array): boolean {
    assertFrame(frame);
    const subject = this.#subjects.to(address);
    if (this.#state.at !== 'up' || this.#state.link.isEnded || subject === undefined) return false;
    const isTaken = this.#state.link.publish(subject, frame);
    if (!isTaken) this.#counts.refused += 1;
    return isTaken;
  }

  /**
   * Publishes what is no frame at `<prefix>.reply.<id>`; whoever asked for it listens there. Resolves once the server has
   * it, whoever hears it; rejects with why not.
   */
  async reply(id: string, data: Uint8Array): Promise<void> {
    assert(isId(id), `a subject is made of a valid id, got ${JSON.stringify(id)}`);
    if (this.#state.at !== 'up') throw new GimmeError('link_down', `the link is down: ${this.#reason}`);
    const { denied } = this.#counts;
    await this.#state.link.hand(`${this.#options.prefix ?? NATS_PREFIX}.reply.${id}`, data);
    if (this.#counts.denied > denied)
      throw new GimmeError('nats_refused', `the server does not permit the master to publish at reply.${id}`);
  }

  buffered(): number {
    return this.#state.at === 'up' ? this.#state.link.buffered() : 0;
  }

  close(): Promise<void> {
    const before = this.#state;
    if (before.at === 'closed') return before.done;
    const done = before.at === 'up' ? before.link.close() : Promise.resolve();
    this.#drop(before);
    this.#state = { at: 'closed', done };
    this.#settled()?.reject(
      new GimmeError('link_down', `the link of ${this.id} was closed before it came up`),
    );
    return done;
  }

  #connect(): void {
    const address = this.#servers.next();
    const abort = new AbortController();
    const cancelTimeout = this.#clock.setTimer(LINK_HANDSHAKE_MS, () => {
      this.#onFailed(attempt, new Error(`${shown(address)} does not answer`));
    });
    const attempt: Attempt = { abort, cancelTimeout };
    this.#state = { at: 'connecting', attempt };
    this.#dial(address, attempt).then(
      (link) => this.#onLinked(attempt, address, link),
      (error: unknown) => this.#onFailed(attempt, error),
    );
  }

  #dial(address: NatsAddress, attempt: Attempt): Promise<NatsLink> {
    const { auth = { type: 'none' }, tls, pingMs = LINK_PING_MS } = this.#options;
    const isMaster = this.role === 'master';
    const link = {
      address,
      // A session is no name for the lists of the server: natsSubjects.ts, J2.
      name: isMaster ? `gimmework master ${this.id}` : 'gimmework worker',
      subjects: this.#subjects.listen,
      auth,
      tls,
      bufferMax: isMaster ? NATS_BUFFER_BYTES_MAX : PEER_BUFFER_BYTES_MAX,
      pingMs,
      clock: this.#clock,
      log: this.#log,
      onMessage: (subject: string, data: Uint8Array) => this.#onMessage(attempt, subject, data),
      onDenied: () => {
        this.#counts.denied += 1;
      },
    };
    return dialNats(link, attempt.abort.signal);
  }

  #onLinked(attempt: Attempt, address: NatsAddress, link: NatsLink): void {
    if (this.#state.at !== 'connecting' || this.#state.attempt !== attempt) {
      link.cut('it is not wanted any more');
      return;
    }
    attempt.cancelTimeout();
    this.#state = { at: 'up', attempt, link };
    this.#servers.learn(address, link.others);
    void link.ended.then((reason) => this.#onLost(link, reason));
    this.#isDownSaid = false;
    const opening = this.#settled();
    if (!opening) this.#counts.reconnects += 1;
    this.#run((handlers) => handlers.onUp());
    opening?.resolve();
  }

  #onFailed(attempt: Attempt, error: unknown): void {
    if (this.#state.at !== 'connecting' || this.#state.attempt !== attempt) return;
    this.#drop(this.#state);
    if (error instanceof GimmeError) {
      if (this.#opening) {
        this.#fail(error);
        return;
      }
      const reason = error.message;
      if (reason !== this.#reason)
        this.#log.error('NATS cannot be used; it is tried again', { code: error.code, reason });
    }
    this.#wait(reasonOf(error));
  }

  #onLost(link: NatsLink, reason: string): void {
    if (this.#state.at !== 'up' || this.#state.link !== link) return;
    if (link.isProven) this.#attempts = 0;
    this.#wait(reason);
  }

  #wait(reason: string): void {
    this.#reason = reason;
    this.#attempts += 1;
    // Each server has its turn before the wait grows.
    const round = Math.ceil(this.#attempts / this.#servers.count);
    const delayMs = backoffMs(BACKOFF, round, this.#random());
    this.#state = { at: 'waiting', cancel: this.#clock.setTimer(delayMs, () => this.#connect()) };
    if (this.#isDownSaid) return;
    this.#isDownSaid = true;
    // At its start a node waits only so long, and whoever started it should know.
    const told = this.#opening ? `${reason}; trying for ${this.#connectTimeoutMs / 1_000} s` : reason;
    this.#run((handlers) => handlers.onDown(told));
  }

  #giveUp(): void {
    const where = `at ${this.#servers.toString()} within ${this.#connectTimeoutMs / 1_000} s`;
    const cure = 'start nats-server there, or name the right address by --nats';
    const message = `NATS cannot be reached ${where} (${this.#reason}); ${cure}`;
    this.#fail(new GimmeError('nats_unreachable', message));
  }

  /** Ends a bus that never was up. */
  #fail(error: GimmeError): void {
    this.#drop(this.#state);
    this.#state = { at: 'failed' };
    this.#settled()?.reject(error);
  }

  #settled(): Opening | undefined {
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.cancelTimeout();
    return opening;
  }

  #onMessage(attempt: Attempt, subject: string, data: Uint8Array): void {
    // B5
    if (this.#state.at !== 'up' || this.#state.attempt !== attempt) return;
    const from = this.#subjects.sender(subject);
    if (from !== undefined && data.length > 0 && data.length <= MESSAGE_BYTES_MAX) {
      this.#run((handlers) => handlers.onFrame(from, data));
      return;
    }
    this.#counts.notFrames += 1;
    if (this.#isNotFrameSaid) return;
    this.#isNotFrameSaid = true;
    this.#log.warn('a message over NATS is not a frame', { code: 'bad_message', subject });
  }

  /** T2 */
  #run(call: (handlers: BusHandlers) => void): void {
    try {
      if (this.#handlers) call(this.#handlers);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Stops an attempt or the wait for one. */
  #drop(state: State): void {
    switch (state.at) {
      case 'connecting':
        state.attempt.cancelTimeout();
        state.attempt.abort.abort();
        return;
      case 'waiting':
        return state.cancel();
      case 'idle':
      case 'up':
      case 'failed':
      case 'closed':
        return;
      default:
        return unreachable(state);
    }
  }
}
