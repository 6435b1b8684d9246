/**
 * Congestion: whether so much is on its way to workers, or to the store, that no more may be granted. Bytes of units wait
 * for the store, where a slow disk lets them pile up in memory, and then on the one connection to the NATS server, which
 * refuses what is too much: such grants would be lost until a heartbeat shows it. What a hub buffers does not count: it
 * has a connection for each worker, whose demand alone bounds it, and one that does not read must not stop the others.
 * Records, and messages that wait for them, may come to half of their limit; the rest is for what workers hold.
 */
import { JOURNAL_RECORDS_MAX, LINK_FULL_BYTES } from '../../shared/core/limits.ts';
import type { Bus } from '../../shared/io/bus.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Journal } from './journal.ts';

const LOOK_EVERY_MS = 5;

type CongestionParts = { bus: Pick<Bus, 'kind' | 'buffered'>; clock: Clock };

export class Congestion {
  readonly #parts: CongestionParts;
  readonly #journal: Pick<Journal, 'waitingBytes' | 'depth'>;
  readonly #onChange: (isFull: boolean) => void;
  #isFull = false;
  #cancelLook: () => void = () => {};

  /** `onChange` is told at each change. */
  constructor(
    parts: CongestionParts,
    journal: Pick<Journal, 'waitingBytes' | 'depth'>,
    onChange: (isFull: boolean) => void,
  ) {
    this.#parts = parts;
    this.#journal = journal;
    this.#onChange = onChange;
  }

  /** Looks whether it is too much now: after whatever may have been granted. */
  look(): void {
    if (this.#isFull || this.#fullness() < 1) return;
    this.#isFull = true;
    this.#lookLater();
    this.#onChange(true);
  }

  /** Looks no more. */
  close(): void {
    this.#cancelLook();
  }

  /** It is over once half of it is gone, so that it does not change with every frame. */
  #lookLater(): void {
    this.#cancelLook = this.#parts.clock.setTimer(LOOK_EVERY_MS, () => {
      if (this.#fullness() > 1 / 2) return this.#lookLater();
      this.#isFull = false;
      this.#onChange(false);
    });
  }

  /** 1 where the fullest of it is full. */
  #fullness(): number {
    const { bus } = this.#parts;
    const { waitingBytes, depth } = this.#journal;
    const bytes = waitingBytes + (bus.kind === 'nats' ? bus.buffered() : 0);
    const waiting = Math.max(depth.records, depth.messages);
    return Math.max(bytes / LINK_FULL_BYTES, waiting / (JOURNAL_RECORDS_MAX / 2));
  }
}
