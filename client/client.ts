/**
 * A typed client of a master's HTTP interface: a method for each call. Requests are `calls.ts`, an epic's events
 * `events.ts`.
 *
 * Every failure is a GimmeError: with the code the master gave, or `master_unreachable`.
 */
import type { Duration } from '../shared/core/duration.ts';
import { GimmeError } from '../shared/core/errors.ts';
import type { GatherDefinition } from '../shared/core/gather.ts';
import { WAIT_MS_MAX } from '../shared/core/limits.ts';
import type {
  Ends,
  EpicPage,
  EpicState,
  EpicStatus,
  FailureGroup,
  GatherAnswer,
  GatherBody,
  MasterView,
  RetryAnswer,
  RetryBody,
  SteerBody,
  SubmitBody,
  SubmitQuery,
  UnitPage,
  UnitResult,
  UnitStory,
  UnitView,
  WorkerView,
} from '../shared/protocol/api.ts';
import { Calls, errorOf, queryOf } from './calls.ts';
import { Epic } from './epic.ts';
import { linesOf, type Source, type StreamSource, watchFaults } from './source.ts';

export type ClientOptions = {
  /** Defaults to http://127.0.0.1:7171. */
  master?: string;
  /** Replaces the global fetch. */
  fetch?: typeof fetch;
};
/** A name, or anything that carries one, such as a work definition. */
export type WorkName = string | { readonly name: string };
export type Submit = {
  work: WorkName;
  source: Source;
  brief?: unknown;
  name?: string;
  /** From now to its end: milliseconds, or a text such as `10s`. What has no outcome by then is missing. */
  deadline?: Duration;
  /** A webhook, or a NATS subject `gimmework.reply.<id>`, that is told once it is over. */
  replyTo?: string;
  /** The same key with the same payload is the same epic, however often it is sent. */
  idempotencyKey?: string;
};
/** How a gather is asked; what is left out is as its work says. */
export type Ask = {
  name?: string;
  /** From now to the end of intake: milliseconds, or a text such as `10s`. */
  deadline?: Duration;
  /** Answers that end it early. */
  enough?: number;
  /** Least answers for a partial result to be a success. */
  quorum?: number;
  /** A webhook, or a NATS subject `gimmework.reply.<id>`, that is told once it is over. */
  replyTo?: string;
  idempotencyKey?: string;
};
export type EpicFilter = { state?: EpicState; work?: string; cursor?: string; limit?: number };
/** Which of the units that are kept one by one: they wait, are tried again, have failed or are unknown. */
export type UnitFilter = {
  state?: UnitView['state'];
  code?: string;
  key?: string;
  cursor?: string;
  limit?: number;
};
export type Readiness = { ready: true } | { ready: false; reason: string };

export const DEFAULT_MASTER = 'http://127.0.0.1:7171';

export class Client {
  readonly master: string;
  readonly #calls: Calls;

  constructor(options: ClientOptions = {}) {
    this.master = (options.master ?? DEFAULT_MASTER).replace(/\/+$/, '');
    this.#calls = new Calls(this.master, options.fetch ?? fetch);
    if (!/^https?:\/\/[^/?#]+$/.test(this.master)) {
      throw new GimmeError(
        'bad_config',
        `master ${JSON.stringify(this.master)} must be an address such as ${DEFAULT_MASTER}`,
      );
    }
  }

  /** Submits an epic; resolves once the master has all of it durable. */
  async submit(submit: Submit): Promise<Epic> {
    const { work, source, brief, name } = submit;
    const head = { work: nameOf(work), ...(name !== undefined && { name }), ...endsOf(submit) };
    const headers = keyHeader(submit);
    if (source.type === 'stream') return new Epic(this, await this.#upload(head, { ...submit, source }));
    const body: SubmitBody = { ...head, source, ...(brief !== undefined && { brief }) };
    const call = { method: 'POST', body, headers };
    return new Epic(this, await this.#calls.object<EpicStatus>('/v1/epics', call));
  }

  /**
   * Asks a gather and resolves with what it came to, at completeness, with enough answers, or at its deadline. Throws
   * `epic_failed` where it failed; its answers are kept then.
   */
  ask<Input, Answer, Value>(
    gather: GatherDefinition<Input, Answer, Value>,
    input: NoInfer<Input>,
    ask?: Ask,
  ): Promise<GatherAnswer<Value>>;
  ask<Value = unknown>(gather: WorkName, input: unknown, ask?: Ask): Promise<GatherAnswer<Value>>;
  async ask<Value = unknown>(gather: WorkName, input: unknown, ask: Ask = {}): Promise<GatherAnswer<Value>> {
    const headers = { prefer: `wait=${WAIT_MS_MAX / 1_000}` };
    const { status, value } = await this.#asked<EpicStatus | GatherAnswer<Value>>(
      gather,
      input,
      ask,
      headers,
    );
    if (status !== 202) return value as GatherAnswer<Value>;
    const epic = new Epic(this, value as EpicStatus);
    await epic.wait();
    return this.result<Value>(epic.id);
  }

  /** Asks a gather; resolves once it is durable, long before it is over. */
  async gather(gather: WorkName, input: unknown, ask: Ask = {}): Promise<Epic> {
    return new Epic(this, (await this.#asked<EpicStatus>(gather, input, ask)).value);
  }

  /** What a gather came to. Throws `wrong_state` while it runs, `epic_failed` where it failed or was cancelled. */
  result<Value = unknown>(idOrName: string): Promise<GatherAnswer<Value>> {
    return this.#calls.object<GatherAnswer<Value>>(`${pathOf(idOrName)}/result`);
  }

  /** The answers of a gather by unit, as far as they are there. */
  async *results(idOrName: string): AsyncGenerator<UnitResult> {
    for await (const line of linesOf(this.resultBytes(idOrName))) yield JSON.parse(line) as UnitResult;
  }

  /** The same as a file: NDJSON, or CSV with the columns `unit` and `answer` (JSON). */
  resultBytes(idOrName: string, format: 'ndjson' | 'csv' = 'ndjson'): AsyncIterable<Uint8Array> {
    return this.#calls.bytes(`${pathOf(idOrName)}/results?format=${format}`);
  }

  /** One page of epics, newest first; `next` of the answer is the `cursor` of the next page. */
  epics(filter: EpicFilter = {}): Promise<EpicPage> {
    return this.#calls.object<EpicPage>(`/v1/epics?${queryOf(filter)}`);
  }

  /** The epic of this id, or the newest of this name. */
  async epic(idOrName: string): Promise<Epic> {
    return new Epic(this, await this.status(idOrName));
  }

  status(idOrName: string): Promise<EpicStatus> {
    return this.#calls.object<EpicStatus>(pathOf(idOrName));
  }

  /** Cancels an epic. A name that several epics carry is refused as `ambiguous_name`. */
  cancel(idOrName: string, reason: string): Promise<EpicStatus> {
    return this.#calls.object<EpicStatus>(`${pathOf(idOrName)}/cancel`, { method: 'POST', body: { reason } });
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
    return this.#calls.object<UnitPage>(`${pathOf(idOrName)}/units?${queryOf(filter)}`);
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
    return (await this.#calls.object<{ failures: FailureGroup[] }>(`${pathOf(idOrName)}/failures`)).failures;
  }

  /** What happened to a unit and how it stands; one that is kept by itself is found also by its key. */
  story(idOrName: string, unit: number | { key: string }): Promise<UnitStory> {
    const name = typeof unit === 'number' ? String(unit) : `key:${unit.key}`;
    return this.#calls.object<UnitStory>(`${pathOf(idOrName)}/units/${encodeURIComponent(name)}`);
  }

  /**
   * Has units of an epic that is over tried again, as a new epic: failed ones unless told otherwise. Throws
   * `wrong_state` where there is nothing to try.
   */
  retry(idOrName: string, body: RetryBody = {}): Promise<RetryAnswer> {
    return this.#calls.object<RetryAnswer>(`${pathOf(idOrName)}/retry`, { method: 'POST', body });
  }

  async workers(): Promise<WorkerView[]> {
    return (await this.#calls.object<{ workers: WorkerView[] }>('/v1/workers')).workers;
  }

  /**
   * Has a worker end: it finishes what it has begun and hands back the rest. Resolves once it was told, with how
   * it stands. A name that several workers carry is refused as `ambiguous_name`.
   */
  drainWorker(idOrName: string): Promise<WorkerView> {
    return this.#calls.object<WorkerView>(`/v1/workers/${encodeURIComponent(idOrName)}/drain`, {
      method: 'POST',
    });
  }

  async masters(): Promise<MasterView[]> {
    return (await this.#calls.object<{ masters: MasterView[] }>('/v1/masters')).masters;
  }

  /** Whether the master takes epics and can grant; else why not. */
  async readiness(): Promise<Readiness> {
    const { answer, value } = await this.#calls.ask('/readyz');
    const { status, reason } = (value ?? {}) as { status?: unknown; reason?: unknown };
    if (answer.ok && status === 'ready') return { ready: true };
    if (status === 'not ready' && typeof reason === 'string') return { ready: false, reason };
    throw errorOf(this.master, answer.status, value);
  }

  #steer(idOrName: string, body: SteerBody): Promise<EpicStatus> {
    return this.#calls.object<EpicStatus>(pathOf(idOrName), { method: 'PATCH', body });
  }

  #asked<T>(
    gather: WorkName,
    input: unknown,
    ask: Ask,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; value: T }> {
    const { deadline: _, idempotencyKey: __, ...rest } = ask;
    const body: GatherBody = { input: input ?? null, ...rest, ...endsOf(ask) };
    const call = { method: 'POST', body, headers: { ...headers, ...keyHeader(ask) } };
    return this.#calls.answered<T>(`/v1/gathers/${encodeURIComponent(nameOf(gather))}`, call);
  }

  async #upload(
    head: SubmitQuery,
    { source, brief, idempotencyKey }: Submit & { source: StreamSource },
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
      return await this.#calls.object<EpicStatus>(`/v1/epics?${query}`, {
        method: 'POST',
        stream: { type, body: watched.body },
        headers: keyHeader({ idempotencyKey }),
      });
    } catch (error) {
      throw watched.fault() ?? error;
    }
  }

  async #putBrief(brief: unknown): Promise<string> {
    return (await this.#calls.object<{ hash: string }>('/v1/briefs', { method: 'POST', body: brief })).hash;
  }
}

function pathOf(idOrName: string): string {
  return `/v1/epics/${encodeURIComponent(idOrName)}`;
}

function nameOf(work: WorkName): string {
  return typeof work === 'string' ? work : work.name;
}

function endsOf({ deadline, replyTo }: Pick<Ask, 'deadline' | 'replyTo'>): Ends {
  return {
    ...(deadline !== undefined && { deadline: typeof deadline === 'number' ? `${deadline}ms` : deadline }),
    ...(replyTo !== undefined && { replyTo }),
  };
}

/** A text of the header as a structured field (RFC 8941): quoted. */
function keyHeader({ idempotencyKey }: { idempotencyKey?: string | undefined }): Record<string, string> {
  return idempotencyKey === undefined ? {} : { 'idempotency-key': `"${idempotencyKey}"` };
}
