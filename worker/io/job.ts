/** One run on its way through the steps: what a step is given as `ctx`, made once per run. */
import type { StepContext, WorkDefinition } from '../../shared/core/work.ts';
import type { Log } from '../../shared/io/log.ts';
import type { Run } from '../core/held.ts';
import type { Prepared } from './preparations.ts';
import type { ThreadCall } from './threadCall.ts';

type Counter = { done: number; failed: number; retried: number };

const NO_ENVELOPE = new SharedArrayBuffer(0);

export class Job implements StepContext {
  readonly run: Run;
  readonly work: WorkDefinition;
  readonly brief: unknown;
  /** Envelope of its brief, for threads. */
  readonly envelope: SharedArrayBuffer;
  /** Number of the step that runs, and what it was given. */
  index = 0;
  input: unknown;
  /** Monotonic time at which its signal fires or, once fired, at which it is given up. */
  deadlineMs = Number.POSITIVE_INFINITY;
  enteredMs = 0;
  timedOut = false;
  /** The thread that its step runs in. */
  thread: ThreadCall | undefined;
  /** Index of the step whose at-most-once effect may begin. */
  allowed: number | undefined;
  over = false;
  readonly #log: Log;
  #controller: AbortController | undefined;
  #reason: string | undefined;

  constructor(run: Run, work: WorkDefinition, prepared: Prepared, log: Log) {
    this.run = run;
    this.work = work;
    this.brief = prepared.ok ? prepared.brief : undefined;
    this.envelope = prepared.ok ? prepared.envelope : NO_ENVELOPE;
    this.#log = log;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(new Error(this.#reason));
    }
    return this.#controller.signal;
  }

  get effectKey(): string {
    return `${this.run.held.effects}.${this.run.unit}`;
  }

  get attempt(): number {
    return this.attemptOf(this.index);
  }

  get epic(): string {
    return this.run.held.epic;
  }

  get unit(): number {
    return this.run.unit;
  }

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  get stepName(): string {
    return this.work.steps[this.index]?.name ?? '';
  }

  /** A function of its own, so that a step may pass it on; made only when asked for. */
  get log(): StepContext['log'] {
    return (message, fields) => this.logOf(this.stepName, message, fields);
  }

  /** Writes a line of a step of this run, be it over or not. */
  logOf(step: string, message: string, fields?: Record<string, unknown>): void {
    this.#log.info(message, { ...fields, work: this.work.name, unit: this.effectKey, step });
  }

  attemptOf(index: number): number {
    return this.run.attempts[index] ?? 1;
  }

  /** Steps into step number `index` at monotonic time `nowMs` (0 where nobody measures). */
  enter(index: number, nowMs: number): void {
    this.index = index;
    this.enteredMs = nowMs;
    this.deadlineMs = Number.POSITIVE_INFINITY;
  }

  /** Its step begins in a thread now, or a thread for it does, which takes a while. */
  begin(nowMs: number, allowedMs: number): void {
    this.enteredMs = nowMs;
    if (!this.aborted) this.deadlineMs = nowMs + allowedMs;
  }

  wait(deadlineMs: number, input: unknown): void {
    this.deadlineMs = deadlineMs;
    this.input = input;
  }

  abort(reason: string, giveUpAtMs: number): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.deadlineMs = giveUpAtMs;
    this.#controller?.abort(new Error(reason));
  }

  count(step: string): Counter {
    const { counters } = this.run.held;
    counters[step] ??= { done: 0, failed: 0, retried: 0 };
    return counters[step];
  }
}
