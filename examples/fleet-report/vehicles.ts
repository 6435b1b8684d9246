/**
 * The vehicles of a fleet, as one HTTP server on loopback that answers for each as it would: in time, late, or never. Owns
 * how each behaves, and its log, which is the other side's word on what was asked.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { VehicleLog } from './report.ts';

/**
 * `slow` answers after `slowMs`, a `silent` one never, a `refusing` one hangs up; a `forgetful` one never answers
 * the first time that it is asked for a report.
 */
export type Manner = 'prompt' | 'slow' | 'silent' | 'refusing' | 'forgetful';
export type Asked = { report: string; vehicle: string; period: string; answered: boolean };
export type VehiclesOptions = { promptMs: number; slowMs: number };

export class Vehicles {
  /** Every request, in the order they came. */
  readonly log: Asked[] = [];
  readonly #manners: ReadonlyMap<string, Manner>;
  readonly #options: VehiclesOptions;
  readonly #server: Server;
  readonly #timers = new Set<NodeJS.Timeout>();

  private constructor(manners: ReadonlyMap<string, Manner>, options: VehiclesOptions) {
    this.#manners = manners;
    this.#options = options;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(manners: ReadonlyMap<string, Manner>, options: VehiclesOptions): Promise<Vehicles> {
    const vehicles = new Vehicles(manners, options);
    await new Promise<void>((resolve) => vehicles.#server.listen(0, '127.0.0.1', resolve));
    return vehicles;
  }

  get names(): string[] {
    return [...this.#manners.keys()];
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    const vehicle = /^\/vehicles\/([^/]+)\/log$/.exec(pathname)?.[1] ?? '';
    const manner = this.#manners.get(vehicle);
    if (manner === undefined) return void response.writeHead(404).end();
    const { report = '', period = '' } = Object.fromEntries(searchParams);
    const isFirst = !this.log.some((it) => it.report === report && it.vehicle === vehicle);
    const asked: Asked = { report, vehicle, period, answered: false };
    this.log.push(asked);
    const { promptMs, slowMs } = this.#options;
    const answerAfter = (ms: number): void => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        asked.answered = !response.destroyed;
        response.end(JSON.stringify(logOf(report, vehicle, period)));
      }, ms);
      this.#timers.add(timer);
    };
    switch (manner) {
      case 'prompt':
        return answerAfter(promptMs);
      case 'slow':
        return answerAfter(slowMs);
      case 'forgetful':
        return isFirst ? undefined : answerAfter(promptMs);
      case 'refusing':
        return void request.socket.destroy();
      case 'silent':
        return;
      default:
        return manner satisfies never;
    }
  }
}

/** This many vehicles, each with its manner. */
export function mannersOf(count: number, manner: (index: number) => Manner): Map<string, Manner> {
  return new Map(
    Array.from({ length: count }, (_, i) => [`V-${String(i + 1).padStart(3, '0')}`, manner(i)] as const),
  );
}

/** What a vehicle did in a period: always the same. */
export function logOf(report: string, vehicle: string, period: string): VehicleLog {
  const seed = [...`${vehicle}/${period}`].reduce((sum, it) => (sum * 31 + it.charCodeAt(0)) % 9_973, 7);
  const trips = Array.from({ length: 1 + (seed % 6) }, (_, i) => ({
    day: 1 + ((seed + 5 * i) % 28),
    metres: 1_000 + ((seed * (i + 3)) % 90_000),
  }));
  const fillUps = Array.from({ length: seed % 4 }, (_, i) => ({
    day: 1 + ((seed + 9 * i) % 28),
    millilitres: 20_000 + ((seed * (i + 1)) % 40_000),
    cents: 3_000 + ((seed * (i + 1)) % 6_000),
  }));
  return { report, vehicle, period, trips, fillUps };
}
