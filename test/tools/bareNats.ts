/** A NATS client without a library, for what no polite one does: to forge, not to read, to send no frames. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class BareNats {
  readonly #socket: Socket;
  #said = '';
  #subscriptions = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => {
      this.#said += data.toString('latin1');
    });
  }

  /** Connects as the given user and waits until the server has answered. */
  static async connect(port: number, access: { user?: string; pass?: string } = {}): Promise<BareNats> {
    const client = new BareNats(connect(port, '127.0.0.1'));
    client.#write(`CONNECT ${JSON.stringify({ verbose: false, pedantic: false, ...access })}\r\n`);
    await client.said();
    return client;
  }

  publish(subject: string, data: Uint8Array | string, reply = ''): void {
    const bytes = Buffer.from(data);
    this.#write(`PUB ${subject} ${reply} ${bytes.length}\r\n`);
    this.#socket.write(bytes);
    this.#write('\r\n');
  }

  subscribe(subject: string): void {
    this.#subscriptions += 1;
    this.#write(`SUB ${subject} ${this.#subscriptions}\r\n`);
  }

  /** Waits until the server has answered for all so far, then takes what it said: complaints and messages. */
  async said(): Promise<string> {
    this.#write('PING\r\n');
    while (!this.#said.includes('PONG\r\n')) await once(this.#socket, 'data');
    const said = this.#said.replace('PONG\r\n', '');
    this.#said = '';
    return said;
  }

  /** Reads nothing from now on. */
  stall(): void {
    this.#socket.pause();
  }

  end(): void {
    this.#socket.destroy();
  }

  #write(text: string): void {
    this.#socket.write(text);
  }
}
