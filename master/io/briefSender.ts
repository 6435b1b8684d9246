/**
 * Sending briefs: a brief may be larger than what a link buffers for one peer, so its parts go out as the
 * link takes them. Owns who is being sent what; a worker that got only a part asks again.
 *
 * B1: parts are sent only while little is buffered, so that no worker is cut for the brief it asked for.
 * B2: a brief is on its way to a session at most once at a time.
 */
import { BRIEF_PART_BYTES, PEER_BUFFER_BYTES_MAX, RESEND_MS } from '../../shared/core/limits.ts';
import type { Bus } from '../../shared/io/bus.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import { encodeFrame, prefixed } from '../../shared/protocol/codec.ts';
import type { Briefs } from './briefs.ts';

export type BriefSenderParts = { bus: Bus; briefs: Briefs; clock: Clock; log: Log };

/** Bytes buffered on the link above which a part waits. */
const BUFFERED_MAX = PEER_BUFFER_BYTES_MAX / 8;
const LOOK_EVERY_MS = 5;

export class BriefSender {
  readonly #parts: BriefSenderParts;
  readonly #sending = new Set<string>();
  #open = true;

  constructor(parts: BriefSenderParts) {
    this.#parts = parts;
  }

  /** Sends a brief to a session, unless it is on its way; never throws. */
  async send(session: string, hash: string): Promise<void> {
    const key = `${session} ${hash}`;
    if (this.#sending.has(key)) return; // B2
    this.#sending.add(key);
    try {
      await this.#sendParts(session, hash, await this.#parts.briefs.get(hash));
    } catch (error) {
      this.#parts.log.warn('cannot send a brief', { hash, session, why: (error as Error).message });
    } finally {
      this.#sending.delete(key);
    }
  }

  /** Sends nothing more. */
  close(): void {
    this.#open = false;
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
