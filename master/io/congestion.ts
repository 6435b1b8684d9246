/**
 * Congestion: whether so many bytes of units are on their way to workers that no more may be granted. They wait for
 * the store, where a slow disk lets them pile up in memory, and then on the one connection to the NATS server, which
 * refuses what is too much: such grants would be lost until a heartbeat shows it. What a hub buffers does not count: it
 * has a connection for each worker, whose demand alone bounds it, and one that does not read must not stop the others.
 */
import { LINK_FULL_BYTES } from '../../shared/core/limits.ts';
import type { Bus } from '../../shared/io/bus.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Journal } from './journal.ts';

const LOOK_EVERY_MS = 5;

type CongestionParts = { bus: Pick<Bus, 'kind' | 'buffered'>; clock: Clock };

export class Congestion {
  readonly #parts: CongestionParts;
  readonly #journal: Pick<Journal, 'waitingBytes'>;
  readonly #onChange: (isFull: boolean) => void;
  #isFull = false;
  #cancelLook: () => void = () => {};

  /** `onChange` is told at each change. */
  constructor(
    parts: CongestionParts,
    journal: Pick<Journal, 'waitingBytes'>,
    onChange: (isFull: boolean) => void,
  ) {
    this.#parts = parts;
    this.#journal = journal;
    this.#onChange = onChange;
  }

  /** Looks whether it is too much now: after whatever may have been granted. */
  look(): void {
    if (this.#isFull || this.#bytes() < LINK_FULL_BYTES) return;
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
      if (this.#bytes() > LINK_FULL_BYTES / 2) return this.#lookLater();
      this.#isFull = false;
      this.#onChange(false);
    });
  }

  #bytes(): number {
    const { bus } = this.#parts;
    return this.#journal.waitingBytes + (bus.kind === 'nats' ? bus.buffered() : 0);
  }
}
