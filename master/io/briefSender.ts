/**
 * Sending briefs: a brief may be larger than what a link buffers for one peer, so its parts go out as the
 * link takes them. Owns who is being sent what; a worker that got only a part, or nothing, asks again.
 *
 * B1: parts are sent only while little is buffered, so that no worker is cut for the brief it asked for.
 * B2: a brief is on its way to a session at most once at a time.
 * B3: however many ask, BRIEF_SENDS_MAX are served at a time and BRIEF_ASKS_MAX wait.
 * B4: a brief that is missing or damaged is told as lost; one that cannot be read just now is asked for again.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import {
  BRIEF_ASKS_MAX,
  BRIEF_PART_BYTES,
  BRIEF_SENDS_MAX,
  PEER_BUFFER_BYTES_MAX,
  RESEND_MS,
} from '../../shared/core/limits.ts';
import type { Bus } from '../../shared/io/bus.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import { encodeFrame, prefixed } from '../../shared/protocol/codec.ts';
import type { Briefs } from './briefs.ts';

export type BriefSenderParts = {
  bus: Bus;
  briefs: Pick<Briefs, 'get'>;
  clock: Clock;
  log: Log;
  /** What needs this brief cannot go on until a person has put it right. */
  lost: (hash: string, why: string) => void;
};

/** Bytes buffered on the link above which a part waits. */
const BUFFERED_MAX = PEER_BUFFER_BYTES_MAX / 8;
const LOOK_EVERY_MS = 5;
/** Failures to read that pass by themselves. */
const PASSING = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

export class BriefSender {
  readonly #parts: BriefSenderParts;
  /** By session and hash, in the order they were asked for. */
  readonly #waiting = new Map<string, { session: string; hash: string }>();
  readonly #sending = new Set<string>();
  #open = true;

  constructor(parts: BriefSenderParts) {
    this.#parts = parts;
  }

  /** Asks that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Sends a brief to a session once it is its turn; never throws. */
  send(session: string, hash: string): void {
    const key = `${session} ${hash}`;
    if (this.#sending.has(key) || this.#waiting.size >= BRIEF_ASKS_MAX) return; // B2, B3
    this.#waiting.set(key, { session, hash });
    this.#next();
  }

  /** Sends nothing more. */
  close(): void {
    this.#open = false;
    this.#waiting.clear();
  }

  #next(): void {
    for (const [key, { session, hash }] of this.#waiting) {
      if (this.#sending.size >= BRIEF_SENDS_MAX) return; // B3
      this.#waiting.delete(key);
      this.#sending.add(key);
      void this.#send(session, hash).then(() => {
        this.#sending.delete(key);
        this.#next();
      });
    }
  }

  async #send(session: string, hash: string): Promise<void> {
    try {
      await this.#sendParts(session, hash, await this.#parts.briefs.get(hash));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!this.#open) return;
      if (isPassing(error)) this.#parts.log.warn('cannot send a brief', { hash, session, why });
      else this.#parts.lost(hash, why); // B4
    }
  }

  async #sendParts(session: string, hash: string, bytes: Uint8Array): Promise<void> {
    const parts = Math.max(1, Math.ceil(bytes.length / BRIEF_PART_BYTES));
    for (let part = 0; part < parts && this.#open; part++) {
      await this.#room();
      const piece = bytes.subarray(part * BRIEF_PART_BYTES, (part + 1) * BRIEF_PART_BYTES);
      const frame = encodeFrame({ t: 'brief', hash, part, parts }, [prefixed(piece)]);
      if (!this.#parts.bus.send({ to: 'worker', id: session }, frame)) return;
    }
  }

  /** B1. One that does not read fills the buffer for all until it is cut; the others do not wait for that. */
  async #room(): Promise<void> {
    const { bus, clock } = this.#parts;
    const untilMs = clock.monoMs() + RESEND_MS;
    while (this.#open && bus.buffered() > BUFFERED_MAX && clock.monoMs() < untilMs) {
      await new Promise<void>((resolve) => {
        clock.setTimer(LOOK_EVERY_MS, resolve);
      });
    }
  }
}

/** Whether another try may help without anybody's doing. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof GimmeError)) return true;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return error.code === 'store_failed' && PASSING.has(code ?? '');
}
