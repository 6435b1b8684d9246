/**
 * The phones of drivers and customers, as one HTTP server on loopback. Owns how each driver behaves, and the log of what was
 * asked of whom, which is the other side's word on it; and what came to the customers' return address.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { Reply } from '../../shared/protocol/api.ts';

/** `waiting` ones answer when they are let to; a `silent` one never does. */
export type Manner = 'prompt' | 'declining' | 'waiting' | 'silent';
export type Terms = { cents: number; minutes: number };
export type Asked = { ride: string; driver: string };
export type Told = { id: string; reply: Reply };

const RETURNS = '/returns';

export class Phones {
  /** Every question to a driver, in the order they came. */
  readonly log: Asked[] = [];
  /** What the return address was told, as often as it was. */
  readonly told: Told[] = [];
  readonly #manners: ReadonlyMap<string, Manner>;
  readonly #server: Server;
  readonly #waiting = new Map<string, () => void>();
  readonly #let = new Set<string>();
  #looks: (() => void)[] = [];

  private constructor(manners: ReadonlyMap<string, Manner>) {
    this.#manners = manners;
    this.#server = createServer((request, response) => this.#take(request, response));
  }

  static async start(manners: ReadonlyMap<string, Manner>): Promise<Phones> {
    const phones = new Phones(manners);
    phones.#server.listen(0, '127.0.0.1');
    await once(phones.#server, 'listening');
    return phones;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  /** Where a customer wants to be told. */
  get returnAddress(): string {
    return `${this.url}${RETURNS}`;
  }

  /** How often each driver was asked about this ride. */
  asked(ride: string): Record<string, number> {
    const asked: Record<string, number> = {};
    for (const it of this.log) if (it.ride === ride) asked[it.driver] = (asked[it.driver] ?? 0) + 1;
    return asked;
  }

  /** Resolves once something is so, which is looked at whenever somebody is asked or told. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#looks.push(resolve));
  }

  /** Has waiting drivers answer, now and whenever they are asked again. Resolves once those asked have. */
  async release(...drivers: string[]): Promise<void> {
    for (const driver of drivers) {
      this.#let.add(driver);
      this.#waiting.get(driver)?.();
    }
    await this.until(() => drivers.every((driver) => !this.#waiting.has(driver)));
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    if (pathname === RETURNS) return void this.#hear(request, response);
    const driver = /^\/drivers\/([^/]+)$/.exec(pathname)?.[1] ?? '';
    const manner = this.#manners.get(driver);
    if (manner === undefined) return void response.writeHead(404).end();
    this.log.push({ ride: searchParams.get('ride') ?? '', driver });
    this.#answer(driver, manner, response);
    this.#look();
  }

  #answer(driver: string, manner: Manner, response: ServerResponse): void {
    switch (manner) {
      case 'waiting':
        if (this.#let.has(driver)) return this.#answer(driver, 'prompt', response);
        this.#waiting.set(driver, () => this.#answer(driver, 'prompt', response));
        response.once('close', () => {
          this.#waiting.delete(driver);
          this.#look();
        });
        return;
      case 'prompt':
        return void response.end(JSON.stringify(termsOf(driver)));
      case 'declining':
        return void response.writeHead(204).end();
      case 'silent':
        return;
      default:
        return manner satisfies never;
    }
  }

  async #hear(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = (await json(request)) as Reply;
    this.told.push({ id: String(request.headers['webhook-id']), reply });
    response.writeHead(204).end();
    this.#look();
  }

  #look(): void {
    const looks = this.#looks;
    this.#looks = [];
    for (const look of looks) look();
  }
}

/** Asks a driver about a ride; nothing where it declines. Throws what `fetch` throws. */
export async function askPhone(
  { name, phones }: { name: string; phones: string },
  ride: string,
  signal: AbortSignal,
): Promise<Terms | undefined> {
  const response = await fetch(`${phones}/drivers/${name}?ride=${ride}`, { signal });
  if (response.status === 204) return undefined;
  if (!response.ok) throw new Error(`the phone of ${name} answered ${response.status}`);
  return (await response.json()) as Terms;
}

/** What a driver asks for: always the same. */
export function termsOf(driver: string): Terms {
  const seed = [...driver].reduce((sum, it) => (sum * 31 + it.charCodeAt(0)) % 997, 7);
  return { cents: 900 + seed, minutes: 2 + (seed % 13) };
}
