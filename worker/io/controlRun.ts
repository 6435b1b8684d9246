/**
 * A control run: a scatter, a fold or a read, as this worker runs it. Owns the order of what it exchanges with the
 * master, the time that users' code is given, and how what they throw is classified; what it exchanges is the task's.
 *
 * R1: a part is made only when the one before is taken, so a scatter of any size costs one part of memory.
 * R2: a run ends once; what users' code does after that is ignored.
 * R3: it has no effect that counts before its outcome does, so where it is stopped it is handed back.
 */
import type { ScatterContext } from '../../shared/core/gather.ts';
import {
  CONTROL_ATTEMPTS_MAX,
  CONTROL_RETRY_FIRST_MS,
  CONTROL_TIMEOUT_MS,
  RETRY_DELAY_MS_MAX,
  SOURCE_ATTEMPTS_MAX,
  SOURCE_RETRY_MS_MAX,
} from '../../shared/core/limits.ts';
import { PermanentError, RetryableError } from '../../shared/core/work.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import { codeFrom } from '../../shared/protocol/check.ts';
import type { Control } from '../../shared/protocol/messages.ts';
import type { Given } from '../core/exchanges.ts';
import type { Run } from '../core/held.ts';
import type { Outcome } from '../core/outcomes.ts';
import type { Heard } from '../core/output.ts';
import { isPromise } from './unitCheck.ts';
import { messageOf } from './warnings.ts';

export type ControlPorts = {
  give: (run: Run, given: Given) => void;
  want: (run: Run, after: number) => void;
  finish: (run: Run, outcome: Outcome) => void;
  setTimer: Clock['setTimer'];
  log: Log;
  /** Told what users' code threw. */
  threw: (error: unknown) => void;
};

export type Page = Extract<Heard, { type: 'answers' }>;

/** What a control run does with users' code; what it throws ends the run. */
export type Task = (run: ControlRun) => Promise<void>;

/** How often each is tried, how long the longest pause is, and as what it fails when that was in vain. */
const TRIES: Record<Control, { attempts: number; delayMsMax: number; failed: string; exhausted: string }> = {
  scatter: triesOf('scatter_failed'),
  fold: triesOf('fold_failed'),
  read: {
    attempts: SOURCE_ATTEMPTS_MAX,
    delayMsMax: SOURCE_RETRY_MS_MAX,
    failed: 'source_failed',
    exhausted: 'retries_exhausted', // A person decides: nothing of it is lost.
  },
};

const OVER = new Error('the run is over');

export class ControlRun {
  readonly #run: Run;
  readonly #control: Control;
  readonly #task: Task;
  readonly #ports: ControlPorts;
  readonly #controller = new AbortController();
  #waits: { resolve: (heard: Heard) => void; reject: (error: Error) => void } | undefined;
  #over = false;
  #attempt: number;

  constructor(run: Run, task: Task, ports: ControlPorts) {
    this.#run = run;
    this.#control = run.held.control as Control;
    this.#task = task;
    this.#ports = ports;
    this.#attempt = run.attempts[0] ?? 1;
  }

  /** What the master sent with it. */
  get bytes(): Uint8Array {
    return this.#run.bytes;
  }

  async start(): Promise<void> {
    try {
      await this.#task(this);
      this.#end({ kind: 'ok' });
    } catch (error) {
      if (!this.#over) this.#threw(error);
    }
  }

  /** What it waits for is there. */
  heard(heard: Heard): void {
    this.#waits?.resolve(heard);
  }

  /** Fires its signal and hands it back (R3). */
  abort(reason: string): void {
    if (this.#over) return;
    this.#end({ kind: 'retry', step: 0, attempt: this.#attempt, delayMs: 0, code: 'stopped' });
    this.#controller.abort(new Error(reason));
  }

  /** Has a part sent, and waits until it is taken (R1). */
  async give(given: Given): Promise<void> {
    await this.#answered(() => this.#ports.give(this.#run, given));
    // Where what was given is kept, what comes next is tried anew.
    if (this.#control === 'read') this.#attempt = 1;
  }

  /** Asks for the answers of units above `after`. */
  page(after: number): Promise<Page> {
    return this.#answered(() => this.#ports.want(this.#run, after)) as Promise<Page>;
  }

  /** Waits for users' code, for no longer than it may take. */
  async wait<T>(given: T | PromiseLike<T>): Promise<T> {
    if (!isPromise(given)) return given;
    const { signal } = this.#controller;
    let end = (): void => {};
    const instead = new Promise<never>((_resolve, reject) => {
      const stopped = (): void => reject(OVER);
      const cancel = this.#ports.setTimer(CONTROL_TIMEOUT_MS, () => {
        const message = `it took longer than ${CONTROL_TIMEOUT_MS / 1_000} s`;
        const late = new RetryableError(message, { code: 'step_timeout' });
        reject(late);
        this.#controller.abort(late);
      });
      signal.addEventListener('abort', stopped);
      end = () => {
        cancel();
        signal.removeEventListener('abort', stopped);
      };
    });
    try {
      return (await Promise.race([given, instead])) as T;
    } finally {
      end();
    }
  }

  /** Resolves after this time; `cancel` ends the waiting for it. */
  after(ms: number): { passed: Promise<undefined>; cancel: () => void } {
    let cancel = (): void => {};
    const passed = new Promise<undefined>((resolve) => {
      cancel = this.#ports.setTimer(ms, () => resolve(undefined));
    });
    return { passed, cancel };
  }

  context(): ScatterContext {
    const { epic, work } = this.#run.held;
    const { log } = this.#ports;
    return {
      epic,
      attempt: this.#attempt,
      signal: this.#controller.signal,
      log: (message, fields) => log.info(message, { ...fields, work, epic, step: this.#control }),
    };
  }

  /** Says something and waits for its answer: as long as that takes, for the master may be away. */
  #answered(say: () => void): Promise<Heard> {
    return new Promise((resolve, reject) => {
      if (this.#over) return reject(OVER);
      this.#waits = { resolve, reject };
      say();
    });
  }

  #threw(error: unknown): void {
    this.#ports.threw(error);
    const { attempts, delayMsMax, failed, exhausted } = TRIES[this.#control];
    const message = messageOf(error);
    const attempt = this.#attempt;
    const fail = (code: string, told: string): void =>
      this.#end({ kind: 'failed', code: codeFrom(code), message: told, step: '', attempt });
    // An error that names no code of its own is told as what it made impossible.
    const code = codeOf(error) === 'step_failed' ? failed : codeOf(error);
    if (error instanceof PermanentError) return fail(code, message);
    if (attempt >= attempts) return fail(exhausted, `after ${attempt} attempts: ${message}`);
    const asked = error instanceof RetryableError ? error.afterMs : undefined;
    const ownMs = Math.min(CONTROL_RETRY_FIRST_MS * 2 ** (attempt - 1), delayMsMax);
    const delayMs = Math.min(Math.max(0, asked ?? ownMs), RETRY_DELAY_MS_MAX);
    this.#end({ kind: 'retry', step: 0, attempt: attempt + 1, delayMs, code: codeFrom(code) });
  }

  #end(outcome: Outcome): void {
    if (this.#over) return; // R2
    this.#over = true;
    this.#waits?.reject(OVER);
    this.#ports.finish(this.#run, outcome);
  }
}

function triesOf(failed: string): (typeof TRIES)[Control] {
  return { attempts: CONTROL_ATTEMPTS_MAX, delayMsMax: RETRY_DELAY_MS_MAX, failed, exhausted: failed };
}

function codeOf(error: unknown): string {
  return error instanceof PermanentError || error instanceof RetryableError ? error.code : 'step_failed';
}
