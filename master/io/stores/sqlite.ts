/**
 * A store in one SQLite file: the journal and its checkpoint, and the rows of units. Owns the file through a thread
 * of its own, so that no fsync stops the loop; what is in the file is `sqliteFile.ts`.
 *
 * Q1: requests are carried out in the order they were made.
 * Q2: `synchronous=FULL`: what is acknowledged survives a power failure. (NORMAL lost acknowledged records
 *     in half of the images of a cut WAL that were tried, FULL in none.)
 * Q3: a long read is made of short requests, and appends are carried out between them.
 */
import { Worker } from 'node:worker_threads';
import { type ErrorCode, GimmeError } from '../../../shared/core/errors.ts';
import { HISTORY_BYTES_MAX } from '../../../shared/core/limits.ts';
import { systemClock } from '../../../shared/io/clock.ts';
import type { EpicRecord } from '../../core/records.ts';
import type { UnitRow } from '../../core/rows.ts';
import type { DuePage, DueQuery, HistoryEntry, Opened, RowsQuery, Store } from '../store.ts';
import { type Append, packAppend } from './appendPack.ts';
import { damaged, type Entry } from './sqliteFile.ts';
import type { RowsPiece } from './sqliteRows.ts';

export type Request =
  | { id: number; type: 'open'; dir: string; historyBytesMax: number }
  | { id: number; type: 'append'; append: Append }
  | { id: number; type: 'checkpoint'; records: string[]; epics: string[] }
  | { id: number; type: 'units'; query: RowsQuery }
  | { id: number; type: 'due'; query: DueQuery }
  | { id: number; type: 'history'; after: number; limit: number }
  | { id: number; type: 'close' };
/** What a request of the same name is answered with. */
export type Answer = {
  opened?: { term: number; records: string[] };
  units?: RowsPiece;
  due?: DuePage;
  history?: Entry[];
};
export type Reply =
  | ({ id: number; ok: true } & Answer)
  | { id: number; ok: false; code: ErrorCode; message: string };

export type SqliteOptions = {
  /** Time of the entries in the history. */
  wallMs?: () => number;
  /** Bytes of history that are kept. Defaults to HISTORY_BYTES_MAX. */
  historyBytesMax?: number;
};

type Waiting = { resolve: (answer: Answer) => void; reject: (error: Error) => void };
/** A request without its number. */
type Asked = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

export class SqliteStore implements Store {
  readonly kind = 'sqlite';
  readonly description: string;
  readonly #dir: string;
  readonly #historyBytesMax: number;
  readonly #wallMs: () => number;
  readonly #thread: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  /** Why no request can be made any more. */
  #ended: GimmeError | undefined;

  /** `dir` is the data directory; the file in it is `journal.db`. */
  constructor(dir: string, options: SqliteOptions = {}) {
    const { wallMs = () => systemClock.wallMs(), historyBytesMax = HISTORY_BYTES_MAX } = options;
    this.#dir = dir;
    this.#wallMs = wallMs;
    this.#historyBytesMax = historyBytesMax;
    this.description = `sqlite ${dir}`;
    this.#thread = startThread();
    this.#thread.on('message', (reply: Reply) => this.#answer(reply));
    this.#thread.on('error', (error) => this.#fail(error));
    this.#thread.on('exit', () => this.#fail(new Error('its thread ended')));
  }

  /** Throws data_in_use, data_newer, data_older, data_corrupt or store_failed. */
  async open(): Promise<Opened> {
    const open = { type: 'open', dir: this.#dir, historyBytesMax: this.#historyBytesMax } as const;
    const { opened } = await this.#ask(open).catch(async (error: unknown) => {
      await this.#thread.terminate();
      throw error;
    });
    if (!opened) throw unanswered('open');
    try {
      const records = opened.records.flatMap((text) => JSON.parse(text) as EpicRecord[]);
      return { term: opened.term, records };
    } catch (error) {
      await this.close();
      throw damaged(this.#dir, (error as Error).message);
    }
  }

  /** Throws disk_full (nothing was written; try again) or store_failed. */
  async append(records: readonly EpicRecord[]): Promise<void> {
    const append = packAppend(records, this.#wallMs());
    await this.#ask({ type: 'append', append }, [append.block.buffer]);
  }

  async checkpoint(records: readonly EpicRecord[]): Promise<void> {
    const epics = records.map(({ epic }) => epic);
    await this.#ask({
      type: 'checkpoint',
      records: records.map((record) => JSON.stringify([record])),
      epics,
    });
  }

  /** Q3 */
  async units(query: RowsQuery): Promise<UnitRow[]> {
    const page: UnitRow[] = [];
    for (let after: number | undefined = query.after ?? -1; after !== undefined; ) {
      const { units } = await this.#ask({
        type: 'units',
        query: { ...query, after, limit: query.limit - page.length },
      });
      if (!units) throw unanswered('units');
      page.push(...units.rows);
      after = units.next;
    }
    return page;
  }

  async due(query: DueQuery): Promise<DuePage> {
    const { due } = await this.#ask({ type: 'due', query });
    if (!due) throw unanswered('due');
    return due;
  }

  /** Q3 */
  async history({ after, limit }: { after: number; limit: number }): Promise<HistoryEntry[]> {
    const page: HistoryEntry[] = [];
    while (page.length < limit) {
      const from = page.at(-1)?.seq ?? after;
      const { history } = await this.#ask({ type: 'history', after: from, limit: limit - page.length });
      if (!history) throw unanswered('history');
      if (history.length === 0) break;
      for (const entry of history) {
        page.push({ ...entry, records: JSON.parse(entry.records) as EpicRecord[] });
      }
    }
    return page;
  }

  async close(): Promise<void> {
    await this.#ask({ type: 'close' }).catch(() => {});
    await this.#thread.terminate();
  }

  #ask(request: Asked, moved: ArrayBuffer[] = []): Promise<Answer> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#waiting.set(id, { resolve, reject });
      this.#thread.postMessage({ ...request, id }, moved);
    });
  }

  #answer(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply);
    else waiting?.reject(new GimmeError(reply.code, reply.message));
  }

  #fail(cause: Error): void {
    const text = `the store ${this.#dir} failed: ${cause.message}`;
    this.#ended ??= new GimmeError('store_failed', text, { cause });
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended);
    this.#waiting.clear();
  }
}

function unanswered(request: string): GimmeError {
  return new GimmeError('internal', `the store's thread did not answer ${request}`);
}

/** Megabytes for what dies young in the thread: one append at a time. V8 would let it grow to 48, to no use here. */
const THREAD_YOUNG_MB = 6;

/** Starts the thread from the build, or from source, which a thread on Node 20 does not read by itself. */
function startThread(): Worker {
  const resourceLimits = { maxYoungGenerationSizeMb: THREAD_YOUNG_MB };
  if (!import.meta.url.endsWith('.ts')) {
    return new Worker(new URL('./sqliteThread.js', import.meta.url), { resourceLimits });
  }
  const [tsx, file] = [
    import.meta.resolve('tsx/esm/api'),
    new URL('./sqliteThread.ts', import.meta.url).href,
  ];
  const code = `import(${JSON.stringify(tsx)}).then((api) => (api.register(), import(${JSON.stringify(file)})))`;
  return new Worker(code, { eval: true, resourceLimits });
}
