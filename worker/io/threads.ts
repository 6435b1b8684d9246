/**
 * The threads of a worker, in which steps run that compute for long. Owns the pool and who is next; what runs in a
 * thread is `stepThread.ts`, one run of it `threadCall.ts`.
 *
 * K1: a step waits its turn here, in the order of asking, and not in the pool: its time begins when it has a thread, and
 *     the pool's own queue puts a task that it could not place behind those that came later, again and again.
 * K2: no more wait than the worker has slots, since each of them has one.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { Step } from '../../shared/core/work.ts';
import type { Log } from '../../shared/io/log.ts';
import type { Job } from './job.ts';
import { ThreadCall } from './threadCall.ts';

export type ThreadsOptions = {
  /** By the name of a work, the module that exports it. */
  modules: ReadonlyMap<string, string>;
  /** Threads at most; one is started when it is needed. */
  count: number;
  log: Log;
};

export class Threads {
  readonly #options: ThreadsOptions;
  readonly #waiting: ThreadCall[] = [];
  #pool: Piscina | undefined;
  #busy = 0;
  #closed = false;

  constructor(options: ThreadsOptions) {
    this.#options = options;
  }

  /** Whether the steps of this work can run here: a thread can load its module. */
  has(work: string): boolean {
    return this.#options.modules.has(work);
  }

  /** Runs a step of a work that it has; see ThreadCall. */
  run(job: Job, step: Step, input: unknown, allow: (startMs: number) => void): ThreadCall {
    const module = this.#options.modules.get(job.work.name) as string;
    const call = new ThreadCall(job, step, module, input, allow);
    this.#waiting.push(call);
    this.#next();
    return call;
  }

  /** Terminates all threads, and what runs in them. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#waiting) call.end('the worker ends');
    await this.#pool?.destroy();
  }

  #next(): void {
    while (this.#busy < this.#options.count && !this.#closed) {
      const call = this.#waiting.shift();
      if (!call) return;
      if (call.over) continue;
      this.#busy += 1;
      this.#pool ??= this.#start();
      void call.start(this.#pool).then(() => {
        this.#busy -= 1;
        this.#next();
      });
    }
  }

  #start(): Piscina {
    const fromSource = import.meta.url.endsWith('.ts');
    const file = fromSource
      ? new URL('./stepThread.ts', import.meta.url)
      : new URL('./stepThread.js', import.meta.url);
    const pool = new Piscina({
      filename: fileURLToPath(file),
      name: 'run',
      minThreads: 0,
      maxThreads: this.#options.count,
      idleTimeout: Number.POSITIVE_INFINITY,
      // A thread that waits for its next task serves its timers and sockets meanwhile.
      atomics: 'disabled',
      recordTiming: false,
      ...(fromSource && { execArgv: ['--import', import.meta.resolve('tsx')] }),
    });
    pool.on('error', (error: Error) => {
      this.#options.log.warn('a thread ended between two steps', { error: error.message });
    });
    return pool;
  }
}
