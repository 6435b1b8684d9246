/**
 * One run of a step in a thread, as the worker sees it: waiting for a free thread, then with the thread, then over.
 *
 * J1: its output settles once, whatever becomes of the thread.
 * J2: a thread that ends under it fails this unit only, and not as a typed error: in an at-most-once step that leaves
 *     a doubt.
 */
import { MessageChannel } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { unreachable } from '../../shared/core/errors.ts';
import { THREAD_START_MS } from '../../shared/core/limits.ts';
import { PermanentError, type Step, skip, UnknownOutcomeError } from '../../shared/core/work.ts';
import type { Job } from './job.ts';
import {
  notCloneable,
  read,
  readError,
  type ThreadAbort,
  type ThreadNews,
  type ThreadReply,
  type ThreadTask,
  write,
} from './threadTask.ts';

type Settle = { resolve: (output: unknown) => void; reject: (error: Error) => void };

export class ThreadCall {
  /** What the step returned, or what it threw. */
  readonly output: Promise<unknown>;
  readonly #job: Job;
  readonly #step: Step;
  readonly #task: Omit<ThreadTask, 'port'>;
  readonly #allow: (startMs: number) => void;
  readonly #kill = new AbortController();
  #settle: Settle | undefined;
  #tell: ((abort: ThreadAbort) => void) | undefined;
  readonly #onAbort = (): void => this.#abort();

  /**
   * `allow` is told when a time begins in which this must end: its step's, and so many milliseconds. Throws
   * PermanentError `not_cloneable` for an input that no thread can be given.
   */
  constructor(job: Job, step: Step, module: string, input: unknown, allow: (startMs: number) => void) {
    this.#job = job;
    this.#step = step;
    this.#allow = allow;
    this.#task = taskOf(job, step, module, input);
    this.output = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    job.signal.addEventListener('abort', this.#onAbort);
  }

  get over(): boolean {
    return this.#settle === undefined;
  }

  /** Runs it in a thread of this pool; resolves when that thread is free again, or gone. */
  async start(pool: Piscina): Promise<void> {
    const { port1: own, port2: port } = new MessageChannel();
    own.on('message', (news: ThreadNews) => this.#hear(news));
    own.unref();
    this.#tell = (abort) => own.postMessage(abort);
    if (this.#job.signal.aborted) this.#abort();
    this.#allow(THREAD_START_MS);
    try {
      const options = { transferList: [port], signal: this.#kill.signal };
      this.#take((await pool.run({ ...this.#task, port }, options)) as ThreadReply);
    } catch (error) {
      own.close();
      this.#fail(new Error(`its thread ended under it: ${(error as Error).message}`, { cause: error }));
    }
  }

  /** Terminates the thread, or gives up waiting for one. */
  end(reason: string): void {
    this.#kill.abort();
    this.#fail(new Error(reason));
  }

  #abort(): void {
    const { reason } = this.#job.signal as { reason: Error };
    if (this.#tell) this.#tell({ reason: reason.message });
    else this.#fail(reason);
  }

  #hear(news: ThreadNews): void {
    switch (news.type) {
      case 'begun':
        if (!this.over) this.#allow(0);
        return;
      case 'log':
        return this.#job.logOf(this.#step.name, news.message, news.fields);
      default:
        return unreachable(news);
    }
  }

  #take(reply: ThreadReply): void {
    switch (reply.kind) {
      case 'done':
        return this.#done(read(reply.output));
      case 'skip':
        return this.#done(skip(reply.reason));
      case 'threw': {
        const error = readError(reply.error);
        const happened = error instanceof PermanentError && error.code === 'not_cloneable';
        // The effect did happen, so it must not look as if it had not.
        if (happened && this.#step.effect === 'at-most-once')
          return this.#fail(new UnknownOutcomeError(error.message, { code: error.code }));
        return this.#fail(error);
      }
      default:
        return unreachable(reply);
    }
  }

  #done(output: unknown): void {
    this.#over()?.resolve(output);
  }

  #fail(error: Error): void {
    this.#over()?.reject(error);
  }

  /** J1 */
  #over(): Settle | undefined {
    const settle = this.#settle;
    this.#settle = undefined;
    this.#job.signal.removeEventListener('abort', this.#onAbort);
    return settle;
  }
}

function taskOf(job: Job, step: Step, module: string, input: unknown): Omit<ThreadTask, 'port'> {
  const { epic, unit, attempt, effectKey, envelope } = job;
  let bytes: Uint8Array;
  try {
    bytes = write(input);
  } catch (cause) {
    throw notCloneable(step.name, 'input', cause);
  }
  const { work, brief } = job.run.held;
  return { epic, unit, attempt, effectKey, module, work, step: step.name, input: bytes, brief, envelope };
}
