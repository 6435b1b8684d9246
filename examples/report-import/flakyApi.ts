/**
 * The API that reports are downloaded from: a real HTTP server that is slow, limits each client's rate, and fails now
 * and then. Owns what it answers and its log of that, which is the other side's word on what was downloaded.
 *
 * F1: what goes wrong depends on the seed, the report and how often it was asked for, not on time; only the rates do.
 * F2: a download counts once the whole of its body was sent.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Rng } from '../../shared/core/rng.ts';
import { drawOf, hashOf } from './draw.ts';
import { type ClientReport, keyOf, type ReportName } from './report.ts';

export type ApiOptions = {
  seed: number;
  /** Requests of each client that are answered in a second, and at once after a pause. */
  perSecond: number;
  /** The same for clients with a limit of their own. */
  limits?: Record<string, number>;
  /** Least time of an answer; the longest is twice that. */
  latencyMs: number;
  /** Shares of requests. Default to those of FAULTS. */
  faults?: Faults;
};
/** `limited`: told to come back later within its rate; a body that dribbles comes in the end, a stalled one never. */
export type Faults = { limited: number; error: number; reset: number; dribble: number; stall: number };

export const FAULTS: Faults = { limited: 0.05, error: 0.05, reset: 0.03, dribble: 0.04, stall: 0.005 };

/** `cut`: the other side went away before it had all. */
export type Ended = 'downloaded' | 'limited' | 'error' | 'reset' | 'stall' | 'cut';
export type Asked = {
  report: string;
  wallMs: number;
  /** By the monotonic clock. */
  atMs: number;
  /** When it ended; absent while it is being answered. */
  endMs?: number;
  ended?: Ended;
  /** Of a limited one: not before this. */
  againMs?: number;
};

const DRIBBLE_MS = 300;
const CURRENCIES = ['EUR', 'USD', 'GBP', 'JPY', 'CHF'];

export class FlakyApi {
  /** Every request, in the order they came. */
  readonly log: Asked[] = [];
  readonly #options: ApiOptions;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  readonly #times = new Map<string, number>();
  readonly #admitted = new Set<string>();
  #reportsMax = Number.POSITIVE_INFINITY;
  readonly #server: Server;

  private constructor(options: ApiOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => this.#answer(request.url ?? '', response));
  }

  static async start(options: ApiOptions): Promise<FlakyApi> {
    const api = new FlakyApi(options);
    await new Promise<void>((resolve) => {
      api.#server.listen(0, '127.0.0.1', resolve);
    });
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  count(ended: Ended): number {
    return this.log.filter((asked) => asked.ended === ended).length;
  }

  /** Has all but so many reports come back later, until it is told another number: there is something left till then. */
  admit(reportsMax: number): void {
    this.#reportsMax = reportsMax;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(url: string, response: ServerResponse): void {
    const [, client, day] = /^\/clients\/([\w-]+)\/reports\/([\d-]+)$/.exec(url) ?? [];
    if (client === undefined || day === undefined) {
      response.writeHead(404).end();
      return;
    }
    const report = keyOf({ client, day });
    const asked: Asked = { report, wallMs: Date.now(), atMs: performance.now() };
    this.log.push(asked);
    response.once('close', () => {
      asked.ended ??= response.writableFinished ? 'downloaded' : 'cut'; // F2
      asked.endMs = performance.now();
    });
    if (!this.#isAdmitted(report) || !this.#takeToken(client)) {
      this.#comeBack(asked, response);
      return;
    }
    const draw = this.#drawFor(report);
    const { latencyMs } = this.#options;
    setTimeout(() => this.#serve({ client, day }, asked, response, draw), latencyMs * (1 + draw()));
  }

  #comeBack(asked: Asked, response: ServerResponse): void {
    asked.ended = 'limited';
    asked.againMs = performance.now() + 1_000;
    response.writeHead(429, { 'retry-after': '1' }).end();
  }

  /** F1 */
  #drawFor(report: string): Rng {
    const time = (this.#times.get(report) ?? 0) + 1;
    this.#times.set(report, time);
    return drawOf(this.#options.seed, report, time);
  }

  #serve(name: ReportName, asked: Asked, response: ServerResponse, draw: Rng): void {
    const { limited, error, reset, dribble, stall } = this.#options.faults ?? FAULTS;
    const body = JSON.stringify(reportOf(name, this.#options.seed));
    const half = Math.floor(body.length / 2);
    let left = draw();
    const is = (share: number): boolean => {
      left -= share;
      return left < 0;
    };
    if (is(limited)) {
      this.#comeBack(asked, response);
      return;
    }
    if (is(error)) {
      asked.ended = 'error';
      response.writeHead(503).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    if (is(reset)) {
      asked.ended = 'reset';
      response.write(body.slice(0, half), () => response.socket?.resetAndDestroy());
    } else if (is(stall)) {
      asked.ended = 'stall';
      response.write(body.slice(0, half));
    } else if (is(dribble)) {
      response.write(body.slice(0, half));
      setTimeout(() => response.end(body.slice(half)), DRIBBLE_MS);
    } else {
      response.end(body);
    }
  }

  #isAdmitted(report: string): boolean {
    if (this.#admitted.size < this.#reportsMax) this.#admitted.add(report);
    return this.#admitted.has(report);
  }

  /** A token bucket for each client. */
  #takeToken(client: string): boolean {
    const perSecond = this.#options.limits?.[client] ?? this.#options.perSecond;
    const burst = Math.max(1, perSecond);
    const nowMs = performance.now();
    const bucket = this.#buckets.get(client) ?? { tokens: burst, atMs: nowMs };
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1_000);
    bucket.atMs = nowMs;
    this.#buckets.set(client, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}

/** What a client reports for a day: the same each time it is asked. */
export function reportOf({ client, day }: ReportName, seed: number): ClientReport {
  const draw = drawOf(seed, client, day);
  const whole = (below: number): number => Math.floor(draw() * below);
  const american = hashOf(client) % 3 === 0;
  const vehicles = Array.from({ length: 2 + whole(4) }, (_, i) => `${client}-v${i + 1}`);
  const currency = CURRENCIES[hashOf(client) % CURRENCIES.length] as string;
  return {
    ...{ client, day, currency, distanceIn: american ? 'mi' : 'km', volumeIn: american ? 'gal' : 'l' },
    trips: vehicles.flatMap((vehicle) =>
      Array.from({ length: 1 + whole(6) }, () => ({ vehicle, distance: whole(2_000) / 10 })),
    ),
    fillUps: vehicles
      .filter(() => draw() < 0.4)
      .map((vehicle) => ({ vehicle, volume: 5 + whole(600) / 10, paid: 500 + whole(9_000) })),
  };
}
