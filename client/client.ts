/**
 * A typed client of a master's HTTP interface. Owns requests and how their failures read; an epic's
 * events are `events.ts`.
 *
 * Every failure is a GimmeError: with the code the master gave, or `master_unreachable`.
 */
import { ERRORS, type ErrorCode, GimmeError } from '../shared/core/errors.ts';
import type {
  EpicPage,
  EpicState,
  EpicStatus,
  FailureGroup,
  Problem,
  RetryAnswer,
  RetryBody,
  SteerBody,
  SubmitBody,
  UnitPage,
  UnitStory,
  UnitView,
} from '../shared/protocol/api.ts';
import { Epic } from './epic.ts';
import type { Source, StreamSource } from './source.ts';

export type ClientOptions = {
  /** Defaults to http://127.0.0.1:7171. */
  master?: string;
  /** Replaces the global fetch. */
  fetch?: typeof fetch;
};
/** A name, or anything that carries one, such as a work definition. */
export type WorkName = string | { readonly name: string };
export type Submit = { work: WorkName; source: Source; brief?: unknown; name?: string };
export type EpicFilter = { state?: EpicState; work?: string; cursor?: string; limit?: number };
/** Which of the units that are kept one by one: they wait, are tried again, have failed or are unknown. */
export type UnitFilter = {
  state?: UnitView['state'];
  code?: string;
  key?: string;
  cursor?: string;
  limit?: number;
};
export type Worker = {
  id: string;
  name: string;
  works: string[];
  labels: Record<string, string>;
  slots: number;
  version: string;
  state: 'ready' | 'draining' | 'suspect';
  held: number;
  lastHeardMs: number;
};
export type Master = {
  id: string;
  term: number;
  store: string;
  link: string;
  /** Epics not yet finished. */
  epics: number;
  /** Every queue by name: how full it is, was at most, and may be. */
  queues: Record<string, { depth: number; max: number; limit: number }>;
};
export type Readiness = { ready: true } | { ready: false; reason: string };

export const DEFAULT_MASTER = 'http://127.0.0.1:7171';

type Call = { method?: string; body?: unknown; stream?: { type: string; body: AsyncIterable<Uint8Array> } };

export class Client {
  readonly master: string;
  readonly #fetch: typeof fetch;

  constructor(options: ClientOptions = {}) {
    this.master = (options.master ?? DEFAULT_MASTER).replace(/\/+$/, '');
    this.#fetch = options.fetch ?? fetch;
    if (!/^https?:\/\/[^/?#]+$/.test(this.master)) {
      throw new GimmeError(
        'bad_config',
        `master ${JSON.stringify(this.master)} must be an address such as ${DEFAULT_MASTER}`,
      );
    }
  }

  /** Submits an epic; resolves once the master has all of it durable. */
  async submit({ work, source, brief, name }: Submit): Promise<Epic> {
    const head = {
      work: typeof work === 'string' ? work : work.name,
      ...(name === undefined ? {} : { name }),
    };
    if (source.type === 'stream') return new Epic(this, await this.#upload(head, source, brief));
    const body: SubmitBody = { ...head, source, ...(brief === undefined ? {} : { brief }) };
    return new Epic(this, await this.#call<EpicStatus>('/v1/epics', { method: 'POST', body }));
  }

  /** One page of epics, newest first; `next` of the answer is the `cursor` of the next page. */
  epics(filter: EpicFilter = {}): Promise<EpicPage> {
    return this.#call<EpicPage>(`/v1/epics?${queryOf(filter)}`);
  }

  /** The epic of this id, or the newest of this name. */
  async epic(idOrName: string): Promise<Epic> {
    return new Epic(this, await this.status(idOrName));
  }

  status(idOrName: string): Promise<EpicStatus> {
    return this.#call<EpicStatus>(pathOf(idOrName));
  }

  /** Cancels an epic. A name that several epics carry is refused as `ambiguous_name`. */
  cancel(idOrName: string, reason: string): Promise<EpicStatus> {
    return this.#call<EpicStatus>(`${pathOf(idOrName)}/cancel`, { method: 'POST', body: { reason } });
  }

  /** Has no more of an epic begun; what workers have begun they end. An epic that is paused stays as it is. */
  pause(idOrName: string, reason?: string): Promise<EpicStatus> {
    return this.#steer(idOrName, { paused: true, ...(reason !== undefined && { reason }) });
  }

  /** Has a paused epic go on. */
  resume(idOrName: string): Promise<EpicStatus> {
    return this.#steer(idOrName, { paused: false });
  }

  /** One page of units that are kept one by one, by number; `next` is the `cursor` of the next page. */
  unitPage(idOrName: string, filter: UnitFilter = {}): Promise<UnitPage> {
    return this.#call<UnitPage>(`${pathOf(idOrName)}/units?${queryOf(filter)}`);
  }

  /** All units that are kept one by one, by number, from `cursor` on; `limit` is the size of the pages. */
  async *units(idOrName: string, filter: UnitFilter = {}): AsyncGenerator<UnitView> {
    for (let { cursor } = filter; ; ) {
      const page = await this.unitPage(idOrName, { ...filter, ...(cursor !== undefined && { cursor }) });
      yield* page.units;
      if (page.next === undefined) return;
      cursor = page.next;
    }
  }

  /** Failed and unknown units by code, the most frequent first. */
  async failures(idOrName: string): Promise<FailureGroup[]> {
    return (await this.#call<{ failures: FailureGroup[] }>(`${pathOf(idOrName)}/failures`)).failures;
  }

  /** What happened to a unit and how it stands; one that is kept by itself is found also by its key. */
  story(idOrName: string, unit: number | { key: string }): Promise<UnitStory> {
    const name = typeof unit === 'number' ? String(unit) : `key:${unit.key}`;
    return this.#call<UnitStory>(`${pathOf(idOrName)}/units/${encodeURIComponent(name)}`);
  }

  /**
   * Has units of an epic that is over tried again, as a new epic: failed ones unless told otherwise. Throws
   * `wrong_state` where there is nothing to try.
   */
  retry(idOrName: string, body: RetryBody = {}): Promise<RetryAnswer> {
    return this.#call<RetryAnswer>(`${pathOf(idOrName)}/retry`, { method: 'POST', body });
  }

  async workers(): Promise<Worker[]> {
    return (await this.#call<{ workers: Worker[] }>('/v1/workers')).workers;
  }

  /**
   * Has a worker end: it finishes what it has begun and hands back the rest. Resolves once it was told, with how
   * it stands. A name that several workers carry is refused as `ambiguous_name`.
   */
  drainWorker(idOrName: string): Promise<Worker> {
    return this.#call<Worker>(`/v1/workers/${encodeURIComponent(idOrName)}/drain`, { method: 'POST' });
  }

  async masters(): Promise<Master[]> {
    return (await this.#call<{ masters: Master[] }>('/v1/masters')).masters;
  }

  /** Whether the master takes epics and can grant; else why not. */
  async readiness(): Promise<Readiness> {
    const { answer, value } = await this.#ask('/readyz');
    const { status, reason } = (value ?? {}) as { status?: unknown; reason?: unknown };
    if (answer.ok && status === 'ready') return { ready: true };
    if (status === 'not ready' && typeof reason === 'string') return { ready: false, reason };
    throw errorOf(this.master, answer.status, value);
  }

  #steer(idOrName: string, body: SteerBody): Promise<EpicStatus> {
    return this.#call<EpicStatus>(pathOf(idOrName), { method: 'PATCH', body });
  }

  async #upload(
    head: { work: string; name?: string },
    source: StreamSource,
    brief: unknown,
  ): Promise<EpicStatus> {
    const body = await source.open();
    const query = queryOf({
      ...head,
      ...(brief === undefined ? {} : { brief: await this.#putBrief(brief) }),
    });
    const type = source.format === 'csv' ? 'text/csv' : 'application/x-ndjson';
    // A failure to read the source reaches fetch as any other; the person is told of the file instead.
    const watched = watchFaults(body);
    try {
      return await this.#call<EpicStatus>(`/v1/epics?${query}`, {
        method: 'POST',
        stream: { type, body: watched.body },
      });
    } catch (error) {
      throw watched.fault() ?? error;
    }
  }

  async #putBrief(brief: unknown): Promise<string> {
    return (await this.#call<{ hash: string }>('/v1/briefs', { method: 'POST', body: brief })).hash;
  }

  async #call<T>(path: string, call?: Call): Promise<T> {
    const { answer, value } = await this.#ask(path, call);
    if (!answer.ok) throw errorOf(this.master, answer.status, value);
    if (typeof value !== 'object' || value === null) throw errorOf(this.master, answer.status, undefined);
    return value as T;
  }

  async #ask(
    path: string,
    { method = 'GET', body, stream }: Call = {},
  ): Promise<{ answer: Response; value: unknown }> {
    // With both `redirect: 'error'` and no window, fetch sends a stream as it is; otherwise it keeps a
    // second branch of it for a redirect, which holds the whole upload in memory (Fetch, section 4.6).
    const init: RequestInit = {
      method,
      redirect: 'error',
      window: null,
      headers: { accept: 'application/json' },
    };
    if (stream) {
      Object.assign(init, { body: stream.body, duplex: 'half', headers: { 'content-type': stream.type } });
    } else if (body !== undefined) {
      Object.assign(init, { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    }
    try {
      const answer = await this.#fetch(this.master + path, init);
      return { answer, value: parsed(await answer.text()) };
    } catch (cause) {
      throw unreachableMaster(this.master, cause);
    }
  }
}

function pathOf(idOrName: string): string {
  return `/v1/epics/${encodeURIComponent(idOrName)}`;
}

function queryOf(fields: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query.set(name, String(value));
  return query.toString();
}

function watchFaults(source: AsyncIterable<Uint8Array>): {
  body: AsyncIterable<Uint8Array>;
  fault(): unknown;
} {
  let fault: unknown;
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      fault = error;
      throw error;
    }
  }
  return { body: body(), fault: () => fault };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorOf(master: string, status: number, value: unknown): GimmeError {
  const { code, detail } = (value ?? {}) as Partial<Problem>;
  if (typeof code === 'string' && Object.hasOwn(ERRORS, code) && typeof detail === 'string') {
    return new GimmeError(code as ErrorCode, detail);
  }
  return new GimmeError(
    'master_unreachable',
    `what answers at ${master} is not a Gimmework master (HTTP ${status}); check the address`,
  );
}

/** The error of a request that got no answer. */
export function unreachableMaster(master: string, thrown: unknown): GimmeError {
  const cause = (thrown as { cause?: unknown }).cause ?? thrown;
  const { code, message } = cause as { code?: string; message?: string };
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'no such host',
    EAI_AGAIN: 'no such host',
    ECONNRESET: 'connection broken off',
    UND_ERR_SOCKET: 'connection broken off',
    EPIPE: 'connection broken off',
  };
  const why = words[code ?? ''] ?? message ?? String(thrown);
  return new GimmeError(
    'master_unreachable',
    `no master answers at ${master} (${why}); start one with \`gimme master\` or name it by --master or GIMMEWORK_MASTER`,
    { cause: thrown },
  );
}
