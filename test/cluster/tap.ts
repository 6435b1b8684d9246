/** A bus that a test listens on and interferes with, whatever kind it is. */
import type { Address, Bus, BusHandlers } from '../../shared/io/bus.ts';
import { decodeFrame } from '../../shared/protocol/codec.ts';
import type { Message } from '../../shared/protocol/messages.ts';

/** A frame about to be sent. */
export type Sent = { from: string; to: Address; message: Message };

/** How many copies of a frame are sent: 1 as it is, 0 loses it. */
export type Fate = (sent: Sent) => number;

export class Tap implements Bus {
  readonly #bus: Bus;
  readonly #fate: Fate;
  readonly #isCut: (id: string) => boolean;

  /** `isCut` says of which ids nothing comes in or goes out, though their links stay up. */
  constructor(bus: Bus, fate: Fate, isCut: (id: string) => boolean) {
    this.#bus = bus;
    this.#fate = fate;
    this.#isCut = isCut;
  }

  get kind(): Bus['kind'] {
    return this.#bus.kind;
  }

  get id(): string {
    return this.#bus.id;
  }

  get role(): Bus['role'] {
    return this.#bus.role;
  }

  open(handlers: BusHandlers): Promise<void> {
    return this.#bus.open({
      ...handlers,
      onFrame: (from, frame) => {
        if (!this.#isCut(this.id)) handlers.onFrame(from, frame);
      },
    });
  }

  send(to: Address, frame: Uint8Array): boolean {
    if (this.#isCut(this.id)) return true;
    let sent = true;
    const copies = this.#fate({ from: this.id, to, message: decodeFrame(frame).message });
    for (let copy = 0; copy < copies; copy++) sent = this.#bus.send(to, frame);
    return sent;
  }

  buffered(): number {
    return this.#bus.buffered();
  }

  close(): Promise<void> {
    return this.#bus.close();
  }
}
