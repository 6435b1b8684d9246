/**
 * The nats-server of a run of chaos: killed, it comes back on its port after a while, with nothing of what it had
 * under way. It notes what was done to it.
 */
import type { NatsServer } from '../tools/natsServer.ts';
import type { Done } from './member.ts';

export class Server {
  readonly #nats: NatsServer;
  readonly #onDone: (done: Done) => void;
  /** Resolves once it is there and goes on. */
  #back: Promise<void> | undefined;

  constructor(nats: NatsServer, onDone: (done: Done) => void) {
    this.#nats = nats;
    this.#onDone = onDone;
  }

  get isReady(): boolean {
    return this.#back === undefined;
  }

  /** `kill -9`; it comes back after this long, by itself. */
  async kill(awayMs: number): Promise<void> {
    this.#note('kill', awayMs);
    await this.#nats.kill();
    this.#return(awayMs, () => this.#nats.restart());
  }

  /** Stops it for this long; it goes on by itself. */
  async stop(awayMs: number): Promise<void> {
    this.#note('stop', awayMs);
    await this.#nats.pause();
    this.#return(awayMs, async () => this.#nats.resume());
  }

  /** Waits until it is there and goes on; fails when it did not come back. */
  async ready(): Promise<void> {
    await this.#back;
  }

  #return(afterMs: number, back: () => Promise<void>): void {
    this.#back = new Promise<void>((resolve) => {
      setTimeout(resolve, afterMs);
    })
      .then(back)
      .then(() => {
        this.#back = undefined;
      });
    this.#back.catch(() => {}); // `ready` tells it.
  }

  #note(what: Done['what'], awayMs: number): void {
    this.#onDone({ what, whom: 'nats', pid: this.#nats.pid, atMs: Date.now(), awayMs });
  }
}
