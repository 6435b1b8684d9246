/**
 * The gate: items of an order come here from all workers and are let through at once, so that they answer at the same
 * moment. Owns who has come and how often, which is the other side's word on what was run twice.
 *
 * Over a connection per worker process a worker writes a line with the number of each item that has come; the gate
 * writes `even` or `odd` when it lets those through.
 */

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export type Half = 'even' | 'odd';

export class Gate {
  /** How often each item has come. */
  readonly came = new Map<number, number>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #open: Half[] = [];
  #waits: { count: number; resolve: () => void } | undefined;

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}); // A worker that ended.
      socket.once('close', () => this.#sockets.delete(socket));
      for (const half of this.#open) socket.write(`${half}\n`);
      createInterface({ input: socket }).on('line', (line) => this.#come(Number(line)));
    });
  }

  static async start(): Promise<Gate> {
    const gate = new Gate();
    await new Promise<void>((resolve) => gate.#server.listen(0, '127.0.0.1', resolve));
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Runs beyond the first of any item. */
  get repeated(): number {
    let sum = 0;
    for (const runs of this.came.values()) sum += runs - 1;
    return sum;
  }

  /** Resolves once this many different items wait. */
  waiting(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waits = { count, resolve };
      this.#look();
    });
  }

  open(half: Half): void {
    this.#open.push(half);
    for (const socket of this.#sockets) socket.write(`${half}\n`);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #come(item: number): void {
    this.came.set(item, (this.came.get(item) ?? 0) + 1);
    this.#look();
  }

  #look(): void {
    if (this.#waits && this.came.size >= this.#waits.count) this.#waits.resolve();
  }
}
