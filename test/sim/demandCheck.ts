/**
 * Demand and leases of the sessions, followed from the messages alone.
 *
 * D1: a session is never sent more than it asked this master for, and a worker never holds more than it has room for (G8).
 * D2: a lease lapses only when its session was silent, or did not take what it was granted, for a whole lease
 *     during which the master listened; or when it said goodbye.
 */
import type { MasterInput } from '../../master/core/master.ts';
import type { Demand, MasterMessage, Ranges, WorkerMessage } from '../../shared/protocol/messages.ts';
import { Broken, each } from './story.ts';

/** Longest time between two steps that counts as listening. */
const LISTENS_MS = 1_000;
const ROUNDING_MS = 0.001;

type Heard = {
  asked: Demand | undefined;
  /** Grants that it has not yet said it knows of. */
  sent: { n: number; count: number; listenedMs: number }[];
  heardMs: number;
  saidBye: boolean;
};

export class DemandCheck {
  readonly #leaseMs: number;
  readonly #sessions = new Map<string, Heard>();
  /** The most that each worker ever said it can hold. */
  readonly #room = new Map<string, number>();
  #stepMs: number | undefined;
  #isLinked = true;
  #listenedMs = 0;

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** How long this master has listened. */
  get listenedMs(): number {
    return this.#listenedMs;
  }

  /** Another master: it knows no session. */
  restart(): void {
    this.#sessions.clear();
    this.#stepMs = undefined;
    this.#isLinked = true;
    this.#listenedMs = 0;
  }

  /** The master takes a step; it hears nobody from `down` to `up`. */
  listen(nowMs: number, input: MasterInput): void {
    const sinceMs = nowMs - (this.#stepMs ?? nowMs);
    if (this.#isLinked) this.#listenedMs += Math.min(sinceMs, LISTENS_MS);
    this.#stepMs = nowMs;
    if (input.type === 'down' || input.type === 'up') this.#isLinked = input.type === 'up';
  }

  /** Takes a message that the master heard. Returns whether it is newer than all before it. */
  heard(from: string, term: number, message: WorkerMessage): boolean {
    // A late Hello of a session that said goodbye makes a new one.
    const before = this.#sessions.get(from);
    const known = before?.saidBye && message.t === 'hello' ? undefined : before;
    const heard = known ?? { asked: undefined, sent: [], heardMs: 0, saidBye: false };
    this.#sessions.set(from, heard);
    heard.heardMs = this.#listenedMs;
    if (message.t === 'bye' && message.reason !== 'draining') heard.saidBye = true;
    if (message.t === 'hello') for (const sent of heard.sent) sent.listenedMs = this.#listenedMs;
    if (!('level' in message) || message.at <= (heard.asked?.at ?? -1)) return false;
    // What it asks another master for, or none that it knows, is not asked of this one.
    heard.asked = message.term === term ? message : { ...message, lastGrant: 0, level: 0 };
    const { lastGrant } = heard.asked;
    heard.sent = heard.sent.filter(({ n }) => n > lastGrant);
    return true;
  }

  /** D1, at a message that the master sends. */
  sent(session: string, message: Extract<MasterMessage, { t: 'work' }>): void {
    const heard = this.#sessions.get(session);
    const count = countOf(message.units);
    if (!heard?.asked) throw new Broken('D1', message.epic, message.units[0], `goes to ${session} unasked`);
    heard.sent.push({ n: message.n, count, listenedMs: this.#listenedMs });
    const sum = heard.sent.reduce((total, sent) => total + sent.count, 0);
    if (count === 0 || sum <= heard.asked.level) return;
    const what = `makes ${sum} under way to ${session}, which asked for ${heard.asked.level}`;
    throw new Broken('D1', message.epic, message.units[0], what);
  }

  /** D2, at a record that a lease lapsed. */
  lapsed(session: string, epic: string): void {
    const heard = this.#sessions.get(session);
    const silentMs = this.#listenedMs - (heard?.heardMs ?? 0);
    const untakenMs = this.#listenedMs - (heard?.sent[0]?.listenedMs ?? this.#listenedMs);
    if (heard?.saidBye || Math.max(silentMs, untakenMs) >= this.#leaseMs - ROUNDING_MS) return;
    const what = `loses the lease of ${session}, heard ${silentMs.toFixed()} ms ago`;
    throw new Broken('D2', epic, undefined, what);
  }

  /** A worker says how many more units it takes, with so many held. */
  said(session: string, message: WorkerMessage, held: number): void {
    if (!('level' in message)) return;
    this.#room.set(session, Math.max(this.#room.get(session) ?? 0, message.level + held));
  }

  /** D1, after a step of a worker. */
  holds(session: string, held: number): void {
    const room = this.#room.get(session) ?? 0;
    if (held > room)
      throw new Broken('D1', '*', undefined, `: ${session} holds ${held} with room for ${room}`);
  }
}

function countOf(units: Ranges): number {
  let count = 0;
  each(units, () => {
    count += 1;
  });
  return count;
}
