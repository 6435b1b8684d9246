/** A master that does nothing but remember: what HTTP, client and command line are tested against. */

import { Readable } from 'node:stream';
import type { SourceSpec } from '../../../master/core/source.ts';
import type {
  GatherRequest,
  GatherResult,
  MasterApi,
  SubmitRequest,
  UnitsApi,
} from '../../../master/io/api.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import type { Log } from '../../../shared/io/log.ts';
import type {
  EpicStatus,
  GatherStatus,
  MasterView,
  RetryBody,
  UnitView,
  WorkerView,
} from '../../../shared/protocol/api.ts';

export class FakeMaster implements MasterApi {
  readonly id = 'fake-master';
  readonly submitted: SubmitRequest[] = [];
  readonly all: EpicStatus[] = [];
  offered: WorkerView[] = [];
  onDrain: (worker: WorkerView) => void = () => {};
  queues: MasterView['queues'] = {};
  /** Kept units of every epic. */
  kept: UnitView[] = [];
  readonly retried: { id: string; body: RetryBody }[] = [];
  readonly asked: GatherRequest[] = [];
  /** Of every gather: what its fold returned, as JSON text, and the answers of its units. */
  value = 'null';
  replies: unknown[] = [];
  missing: number[] = [];
  /** Told of each gather that was asked. */
  onAsked: (epic: EpicStatus) => void = () => {};
  readonly units: UnitsApi = {
    answers: async function* (this: FakeMaster) {
      for (const [unit, answer] of this.replies.entries())
        yield { unit, bytes: Buffer.from(JSON.stringify(answer)) };
    }.bind(this),
    page: async (_, { state, code, key, after = -1, limit }) => {
      const is = (wanted: string | undefined, it: string | undefined) =>
        wanted === undefined || wanted === it;
      const rest = this.kept.filter(
        (unit) => unit.unit > after && is(state, unit.state) && is(code, unit.code) && is(key, unit.key),
      );
      const units = rest.slice(0, limit);
      return { units, ...(rest.length > limit && { next: String(units.at(-1)?.unit) }) };
    },
    failures: async (id) => {
      const faults = Object.entries(this.epic(id)?.faults ?? {});
      return faults.map(([code, count]) => {
        const example = this.kept.find((unit) => unit.code === code);
        return { code, count, ...(example && { example }) };
      });
    },
    story: async (_, name) => {
      const view = this.kept.find(
        ({ unit, key }) =>
          (typeof name === 'number' ? unit : key) === (typeof name === 'number' ? name : name.key),
      );
      if (!view) throw new GimmeError('not_found', `there is no unit ${JSON.stringify(name)}`);
      const { unit, record, state } = view;
      const events = [{ at: '2024-01-01T00:00:01.000Z', what: 'it was read from the source' }];
      return { unit, record, state, standing: `it ${state}`, view, events };
    },
    retry: async (id, body) => {
      this.retried.push({ id, body });
      const count = this.kept.filter(({ state }) =>
        (body.states ?? ['failed']).includes(state as 'failed'),
      ).length;
      if (body.dryRun) return { count, leftOut: 1 };
      if (count === 0) throw new GimmeError('wrong_state', `nothing of epic ${id} is to be tried again`);
      return { count, leftOut: 1, epic: this.add({ name: `${this.epic(id)?.name}-retry`, retryOf: id }) };
    },
  };
  reason = '';
  /** Thrown by the next submit. */
  fault: Error | undefined;
  readonly #listeners = new Set<(epics: ReadonlySet<string>) => void>();

  submit(request: SubmitRequest): Promise<EpicStatus> {
    if (this.fault !== undefined) return Promise.reject(this.fault);
    const { id, work, name = id } = request;
    const known = this.all.find((epic) => epic.id === id);
    if (known) {
      const before = this.submitted.find((one) => one.id === id);
      return this.#again(known, before?.brief, request.brief);
    }
    this.submitted.push(request);
    return Promise.resolve(this.add({ work, ...(id && { id }), ...(name && { name }) }));
  }

  gather(request: GatherRequest): Promise<EpicStatus> {
    if (this.fault !== undefined) return Promise.reject(this.fault);
    const { id, work, name = id, input, deadlineMs = 120_000, replyTo } = request;
    const known = this.all.find((epic) => epic.id === id);
    if (known) return this.#again(known, this.asked.find((one) => one.id === id)?.input, input);
    this.asked.push(request);
    const deadlineAt = new Date(Date.parse('2024-01-01T00:00:00.000Z') + deadlineMs).toISOString();
    const gather: GatherStatus = {
      phase: 'scatter',
      deadlineAt,
      responses: 0,
      late: 0,
      ...(replyTo && { replyTo }),
    };
    const epic = this.add({ work, state: 'scattering', gather, ...(id && { id }), ...(name && { name }) });
    const { self } = epic.links;
    epic.links = { self, result: `${self}/result`, results: `${self}/results` };
    this.onAsked(epic);
    return Promise.resolve(epic);
  }

  #again(known: EpicStatus, before: unknown, now: unknown): Promise<EpicStatus> {
    if (JSON.stringify(before) === JSON.stringify(now)) return Promise.resolve(known);
    return Promise.reject(new GimmeError('idempotency_conflict', 'this idempotency key made another epic'));
  }

  result(id: string): Promise<GatherResult | undefined> {
    const epic = this.all.find((one) => one.id === id);
    if (!epic?.gather || epic.state !== 'finished') return Promise.resolve(undefined);
    const { missing } = this;
    const bytes = Buffer.from(this.value);
    const complete = missing.length === 0;
    return Promise.resolve({
      complete,
      missing,
      failed: 0,
      bytes: bytes.length,
      value: Readable.from([bytes]),
    });
  }

  epic(idOrName: string): EpicStatus | undefined {
    return this.all.find((e) => e.id === idOrName) ?? this.all.findLast((e) => e.name === idOrName);
  }

  named(name: string): number {
    return this.all.filter((e) => e.name === name).length;
  }

  epics({ state, work, after, limit }: Parameters<MasterApi['epics']>[0]): EpicStatus[] {
    const newest = this.all
      .toReversed()
      .filter((e) => (!state || e.state === state) && (!work || e.work === work));
    const from = after === undefined ? 0 : newest.findIndex((e) => e.id === after) + 1;
    return newest.slice(from, from + limit);
  }

  cancel(id: string, reason: string): Promise<EpicStatus> {
    return Promise.resolve(this.change(id, { state: 'cancelled', reason }));
  }

  pause(id: string, reason: string): Promise<EpicStatus> {
    const epic = this.all.find((e) => e.id === id);
    if (epic) epic.paused = reason;
    return epic
      ? Promise.resolve(epic)
      : Promise.reject(new GimmeError('not_found', `there is no epic ${id}`));
  }

  resume(id: string): Promise<EpicStatus> {
    const epic = this.all.find((e) => e.id === id);
    if (epic) delete epic.paused;
    return epic
      ? Promise.resolve(epic)
      : Promise.reject(new GimmeError('not_found', `there is no epic ${id}`));
  }

  workers(): WorkerView[] {
    return this.offered;
  }

  drainWorker(idOrName: string): WorkerView {
    const worker = this.offered.find(({ id, name }) => id === idOrName || name === idOrName);
    if (!worker) throw new GimmeError('not_found', `there is no worker ${idOrName}`);
    this.onDrain(worker);
    return { ...worker, state: 'draining' };
  }

  masters(): MasterView[] {
    const { id, queues } = this;
    const epics = this.all.filter(({ state }) => state === 'running').length;
    return [{ id, term: 1, store: 'memory', link: 'ws', epics, queues }];
  }

  onChange(listener: (epics: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  readiness(): ReturnType<MasterApi['readiness']> {
    return this.reason === '' ? { ready: true } : { ready: false, reason: this.reason };
  }

  add(fields: Partial<EpicStatus> = {}): EpicStatus {
    const id = fields.id ?? `epic-${this.all.length + 1}`;
    const epic = { ...statusOf(id), ...fields };
    this.all.push(epic);
    return epic;
  }

  change(id: string, fields: Partial<EpicStatus>): EpicStatus {
    const at = this.all.findIndex((e) => e.id === id);
    const epic = { ...statusOf(id), ...this.all[at], ...fields };
    this.all[at] = epic;
    for (const listener of this.#listeners) listener(new Set([id]));
    return epic;
  }

  /** Tells of many changes at once. */
  changeAll(ids: string[]): void {
    for (const listener of this.#listeners) listener(new Set(ids));
  }

  get listening(): number {
    return this.#listeners.size;
  }
}

/** A unit that a mail server refused. */
export function keptUnit(unit: number, fields: Partial<UnitView> = {}): UnitView {
  const fault = { state: 'failed', code: 'smtp_rejected', message: '550 No such mailbox here' } as const;
  return { unit, record: unit + 1, ...fault, step: 'send', attempt: 1, ...fields };
}

/** A worker that offers greet and holds nothing. */
export function worker(id: string, name: string, fields: Partial<WorkerView> = {}): WorkerView {
  const [works, version, state] = [['greet'], '1.2.3', 'ready'] as const;
  return {
    id,
    name,
    works: [...works],
    labels: {},
    slots: 4,
    version,
    state,
    held: 0,
    lastHeardMs: 0,
    ...fields,
  };
}

export function statusOf(id: string): EpicStatus {
  return {
    id,
    name: id,
    work: 'greet',
    state: 'running',
    totals: {
      read: 10,
      succeeded: 0,
      failed: 0,
      unknown: 0,
      skipped: 0,
      cancelled: 0,
      missing: 0,
      outstanding: 10,
    },
    total: 10,
    totalExact: true,
    steps: {},
    leased: 0,
    delayed: 0,
    workers: 0,
    rate: 0,
    bottleneck: '',
    faults: {},
    submittedAt: '2024-01-01T00:00:00.000Z',
    links: { self: `/v1/epics/${id}` },
  };
}

/** The end of an epic of ten units, `failed` of them failed. */
export function ended(failed: number): Partial<EpicStatus> {
  const totals = { ...statusOf('x').totals, succeeded: 10 - failed, failed, outstanding: 0 };
  return { state: 'finished', totals, finishedAt: '2024-01-01T00:00:07.400Z' };
}

/** A spool in memory; `took` is told of every chunk and may hold it back. */
export class FakeSpool {
  readonly kept = new Map<string, Buffer>();
  readonly removed: string[] = [];
  onRemove: () => void = () => {};
  took: (chunk: Uint8Array) => Promise<void> | void = () => {};

  async write(format: 'csv' | 'ndjson', body: AsyncIterable<Uint8Array>, id: string): Promise<SourceSpec> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      await this.took(chunk);
      bytes += chunk.length;
      if (bytes < 1_000_000) chunks.push(chunk);
    }
    this.kept.set(id, Buffer.concat(chunks));
    return { type: 'spool', id, format, bytes, hash: '', body: 0 };
  }

  remove(id: string): Promise<void> {
    this.removed.push(id);
    this.kept.delete(id);
    this.onRemove();
    return Promise.resolve();
  }
}

export class FakeBriefs {
  readonly kept = new Map<string, Buffer>();

  put(bytes: Uint8Array): Promise<string> {
    const hash = `hash-${this.kept.size + 1}`;
    this.kept.set(hash, Buffer.from(bytes));
    return Promise.resolve(hash);
  }

  get(hash: string): Promise<Buffer> {
    const bytes = this.kept.get(hash);
    return bytes ? Promise.resolve(bytes) : Promise.reject(new GimmeError('not_found', `no brief ${hash}`));
  }
}

/** A log that keeps its lines and tells of each. */
export function memoryLog(): Log & { lines: string[]; onLine: (line: string) => void } {
  const lines: string[] = [];
  const call = (level: string) => (message: string, fields?: Record<string, unknown>) => {
    const line = `${level} ${message} ${JSON.stringify(fields ?? {})}`;
    lines.push(line);
    log.onLine(line);
  };
  const log = {
    lines,
    onLine: (_line: string): void => {},
    debug: call('debug'),
    info: call('info'),
    warn: call('warn'),
    error: call('error'),
  };
  return log;
}
