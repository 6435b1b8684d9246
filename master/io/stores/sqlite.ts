/**
 * A store in one SQLite file: the journal and its checkpoint. Owns the file through a thread of its own,
 * so that no fsync stops the loop; what is in the file is `sqliteFile.ts`.
 *
 * Q1: requests are carried out in the order they were made.
 * Q2: `synchronous=FULL`: what is acknowledged survives a power failure. (NORMAL lost acknowledged records
 *     in half of the images of a cut WAL that were tried, FULL in none.)
 */
import { Worker } from 'node:worker_threads';
import { type ErrorCode, GimmeError } from '../../../shared/core/errors.ts';
import type { EpicRecord } from '../../core/records.ts';
import type { Opened, Store } from '../store.ts';
import { damaged } from './sqliteFile.ts';

export type Request =
  | { id: number; type: 'open'; dir: string }
  | { id: number; type: 'append'; records: string }
  | { id: number; type: 'checkpoint'; epics: string[] }
  | { id: number; type: 'close' };
export type Reply =
  | { id: number; ok: true; opened?: { term: number; records: string[] } }
  | { id: number; ok: false; code: ErrorCode; message: string };

type Waiting = { resolve: (reply: Extract<Reply, { ok: true }>) => void; reject: (error: Error) => void };
/** A request without its number. */
type Asked = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

export class SqliteStore implements Store {
  readonly kind = 'sqlite';
  readonly description: string;
  readonly #dir: string;
  readonly #thread: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  /** Why no request can be made any more. */
  #ended: GimmeError | undefined;

  /** `dir` is the data directory; the file in it is `journal.db`. */
  constructor(dir: string) {
    this.#dir = dir;
    this.description = `sqlite ${dir}`;
    this.#thread = startThread();
    this.#thread.on('message', (reply: Reply) => this.#answer(reply));
    this.#thread.on('error', (error) => this.#fail(error));
    this.#thread.on('exit', () => this.#fail(new Error('its thread ended')));
  }

  /** Throws data_in_use, data_newer, data_corrupt or store_failed. */
  async open(): Promise<Opened> {
    const { opened } = await this.#ask({ type: 'open', dir: this.#dir }).catch(async (error: unknown) => {
      await this.#thread.terminate();
      throw error;
    });
    if (!opened) throw new GimmeError('internal', 'the store opened without saying what is in it');
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
    await this.#ask({ type: 'append', records: JSON.stringify(records) });
  }

  async checkpoint(records: readonly EpicRecord[]): Promise<void> {
    await this.#ask({ type: 'checkpoint', epics: records.map((record) => JSON.stringify([record])) });
  }

  async close(): Promise<void> {
    await this.#ask({ type: 'close' }).catch(() => {});
    await this.#thread.terminate();
  }

  #ask(request: Asked): Promise<Extract<Reply, { ok: true }>> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#waiting.set(id, { resolve, reject });
      this.#thread.postMessage({ ...request, id });
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

/** Starts the thread from the build, or from source, which a thread on Node 20 does not read by itself. */
function startThread(): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./sqliteThread.js', import.meta.url));
  const [tsx, file] = [
    import.meta.resolve('tsx/esm/api'),
    new URL('./sqliteThread.ts', import.meta.url).href,
  ];
  const code = `import(${JSON.stringify(tsx)}).then((api) => (api.register(), import(${JSON.stringify(file)})))`;
  return new Worker(code, { eval: true });
}
