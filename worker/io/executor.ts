/**
 * The executor runs units through the steps of their work: parse, check, then each step in turn, and
 * classifies how it ended. Owns timeouts and signals; what to do with an outcome is the core's business.
 *
 * X1: a step that fails is retried alone: its input is kept on the run, the steps before it are not run again.
 * X2: a unit ends once: what its step does after its time is ignored.
 * X3: in an at-most-once step an error that is not classed leaves a doubt, so the unit becomes unknown.
 * X4: a step that returns at once costs no timer, closure or promise.
 * X5: a unit that is stopped goes on only where an effect may have happened: then it is told how it ended.
 * X6: no at-most-once effect begins, and no step after one with a checkpoint, before the master has answered.
 */
import { RETRY_DELAY_MS_MAX } from '../../shared/core/limits.ts';
import { backoffMs } from '../../shared/core/retry.ts';
import type { Rng } from '../../shared/core/rng.ts';
import {
  isSkip,
  PermanentError,
  RetryableError,
  type Step,
  UnknownOutcomeError,
  type WorkDefinition,
} from '../../shared/core/work.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import { codeFrom } from '../../shared/protocol/check.ts';
import type { Want } from '../core/askings.ts';
import type { Held, Run } from '../core/held.ts';
import type { Outcome } from '../core/outcomes.ts';
import { encodeState } from '../core/stepState.ts';
import { outcomeOf } from './answer.ts';
import { Job } from './job.ts';
import type { StepOutcome } from './metrics.ts';
import type { Preparations, Prepared } from './preparations.ts';
import { Stretches } from './stretch.ts';
import type { Threads } from './threads.ts';
import { checkUnit, isPromise } from './unitCheck.ts';
import { unitKey } from './unitKey.ts';
import type { ParsedUnit } from './unitParser.ts';
import { messageOf, Warnings } from './warnings.ts';

/** How often running steps are looked at for their timeout. */
const SWEEP_MS = 250;
/** What a step gets after its signal fired before its unit is ended without it. */
const GRACE_MS = 5_000;
/** Lost workers that a unit survives beyond its step's attempts: one that kills each of its workers must end. */
const LOST_RUNS_MAX = 20;

export type ExecutorParts = {
  works: ReadonlyMap<string, WorkDefinition>;
  preparations: Preparations;
  random: Rng;
  monoMs: () => number;
  /** Runs `fn` once after `ms`; returns the cancel. */
  setTimer: Clock['setTimer'];
  log: Log;
  /** The run may go on only after an answer (see `proceed`). */
  ask: (run: Run, want: Want) => void;
  finish: (run: Run, outcome: Outcome) => void;
  /** Told of each run of a step, where somebody measures. */
  onStep?: (work: string, step: string, outcome: StepOutcome, ms: number) => void;
  /** Where steps run that want a thread; here without. */
  threads?: Threads;
};

type Context = { work: WorkDefinition; prepared: Prepared };

export class Executor {
  /** How long steps keep the loop; whoever calls in begins a stretch. */
  readonly stretches = new Stretches();
  readonly #parts: ExecutorParts;
  /** Jobs whose step has not returned yet. */
  readonly #jobs = new Map<Run, Job>();
  /** The job whose step returned last of those that were waited for. */
  #returned: Job | undefined;
  #cancelSweep: (() => void) | undefined;
  readonly #warnings: Warnings;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#warnings = new Warnings(parts.log);
  }

  /** Starts or resumes a run, of which step number `allowed` may begin its at-most-once effect. */
  start(run: Run, allowed?: number): void {
    const { work, prepared } = this.#contextOf(run.held);
    const job = new Job(run, work, prepared, this.#parts.log);
    job.allowed = allowed;
    const { state } = run;
    run.state = undefined;
    if (run.isUnreadable || (state && state.index >= work.steps.length)) {
      return this.#fail(job, 'state_not_kept', 'the state that it was granted with cannot be read');
    }
    if (!prepared.ok) return this.#fail(job, 'bad_brief', prepared.message);
    if (state) this.#advance(job, state.input, state.index);
    else this.#check(job, prepared);
  }

  /** What its work calls a unit; undefined where it says nothing. */
  keyOf(run: Run): string | undefined {
    if (run.held.control) return undefined;
    const { work, prepared } = this.#contextOf(run.held);
    return unitKey(work, prepared, run);
  }

  /** Work and brief of a grant, looked up once for all its units. */
  #contextOf(held: Held): Context {
    const known = held.context as Context | undefined;
    if (known) return known;
    const work = this.#parts.works.get(held.work) as WorkDefinition;
    const context = { work, prepared: this.#parts.preparations.get(held.work, held.brief) };
    held.context = context;
    return context;
  }

  /** Goes on with a run that asked to begin. */
  proceed(run: Run): void {
    this.start(run, run.begun ? run.state?.index : undefined);
  }

  /**
   * Fires the signal of a run whose outcome is decided elsewhere. An at-most-once effect that has begun is
   * left to end by itself: stopping it would turn what is about to be certain into a doubt.
   */
  abort(run: Run, reason: string): void {
    if (!run.begun) this.#jobs.get(run)?.abort(reason, this.#parts.monoMs() + GRACE_MS);
  }

  /** Running steps, by work and step name, longest first: what a shutdown waits for. */
  waitingFor(): string[] {
    return [...this.#jobs.values()].map((job) => `${job.effectKey} (${job.stepName})`);
  }

  /** Steps on the loop, as `<work> <step>`: those that wait for something, and the last one that did. */
  onLoop(): string[] {
    const jobs = [...this.#jobs.values(), ...(this.#returned ? [this.#returned] : [])];
    const names = jobs.filter(({ thread }) => !thread).map((job) => `${job.work.name} ${job.stepName}`);
    return [...new Set(names)];
  }

  close(): void {
    this.#cancelSweep?.();
  }

  #check(job: Job, prepared: Extract<Prepared, { ok: true }>): void {
    const checked = checkUnit(job.work, prepared, job.run);
    if (!isPromise(checked))
      this.#begin(job, checked); // X4
    else void checked.then((value) => this.#onward(() => this.#begin(job, value)));
  }

  #begin(job: Job, checked: ParsedUnit): void {
    if (checked.ok) this.#advance(job, checked.value, 0);
    else this.#fail(job, checked.code, checked.message);
  }

  /** Runs the steps from number `index` on, until one does not return at once. */
  #advance(job: Job, input: unknown, index: number): void {
    const { steps } = job.work;
    let value = input;
    for (let i = index; i < steps.length; i++) {
      const step = steps[i] as Step;
      if (job.run.stopped && !job.run.begun && !hadEffect(steps, i)) {
        const attempt = job.attemptOf(i);
        job.run.state = { input: value, index: i };
        return this.#end(job, { kind: 'retry', step: i, attempt, delayMs: 0, code: 'stopped' }); // X5
      }
      if (this.#asks(job, i, value)) return;
      if (job.attemptOf(i) > step.retry.attempts + LOST_RUNS_MAX) {
        return this.#fail(
          job,
          'retries_exhausted',
          `its worker was lost ${job.attemptOf(i) - 1} times`,
          step,
        );
      }
      job.enter(i, this.#parts.onStep ? this.#parts.monoMs() : 0);
      let output: unknown;
      try {
        output = this.#call(job, step, value);
      } catch (error) {
        return this.#threw(job, i, value, error);
      }
      if (isPromise(output)) return this.#await(job, i, value, output);
      this.#ran(job, step, isSkip(output) ? 'skipped' : 'done');
      if (isSkip(output)) return this.#end(job, { kind: 'skipped' });
      value = output;
    }
    this.#end(job, outcomeOf(job.work, value, job.attempt));
  }

  /** Asks for what step number `index` needs before it begins: leave for its effect, its state kept (X6). */
  #asks(job: Job, index: number, input: unknown): boolean {
    const { run, work } = job;
    const effect = work.steps[index]?.effect === 'at-most-once' && job.allowed !== index;
    // No look before the first: V8 takes an index of -1 for a name, which costs as much as a step.
    const isKept = index > 0 && work.steps[index - 1]?.checkpoint;
    const state = isKept ? this.#stateAt(job, index, input) : undefined;
    if (!effect && !state) return false;
    run.state = { input, index };
    this.#parts.ask(run, state ? { effect, state } : { effect });
    return true;
  }

  /** The state that step number `index` begins with, unless it is kept already, or cannot be. */
  #stateAt(job: Job, index: number, input: unknown): Uint8Array | undefined {
    const { attempts, bytes, kept } = job.run;
    if (kept?.step === index) return undefined;
    const encoded = encodeState({ step: index, input, attempts }, bytes.length);
    if (encoded.ok) return encoded.bytes;
    const step = job.work.steps[index - 1] as Step;
    this.#warnings.once(
      `${job.work.name} ${step.name} checkpoint`,
      'a checkpoint is not kept; its step may run again',
      {
        work: job.work.name,
        step: step.name,
        unit: job.effectKey,
        error: `what it returned ${encoded.why}`,
      },
    );
    return undefined;
  }

  #await(job: Job, index: number, input: unknown, promise: PromiseLike<unknown>): void {
    const step = job.work.steps[index] as Step;
    job.wait(job.thread ? job.deadlineMs : this.stretches.nowMs + step.timeoutMs, input);
    this.#jobs.set(job.run, job);
    this.#cancelSweep ??= this.#sweepLater();
    promise.then(
      (output) => {
        if (!this.#arrived(job)) return; // X2
        this.#ran(job, step, isSkip(output) ? 'skipped' : 'done');
        if (isSkip(output)) this.#end(job, { kind: 'skipped' });
        else this.#onward(() => this.#advance(job, output, index + 1));
      },
      (error: unknown) => {
        if (this.#arrived(job)) this.#threw(job, index, input, error);
      },
    );
  }

  /** Calls a step: here, or in a thread where it wants one and its work has a module to load there. */
  #call(job: Job, step: Step, input: unknown): unknown {
    const { threads, monoMs } = this.#parts;
    if (step.thread && threads?.has(job.work.name)) {
      const allow = (startMs: number): void => job.begin(monoMs(), startMs + step.timeoutMs);
      job.thread = threads.run(job, step, input, allow);
      return job.thread.output;
    }
    try {
      return step.run(input, job);
    } finally {
      this.stretches.end(job.work.name, step.name, monoMs());
    }
  }

  /** Goes on after something that was waited for. */
  #onward(go: () => void): void {
    this.stretches.begin(this.#parts.monoMs());
    go();
  }

  /** Takes a job out of those that are waited for; false when its unit has ended without it. */
  #arrived(job: Job): boolean {
    if (job.over) return false;
    this.#jobs.delete(job.run);
    if (!job.thread) this.#returned = job;
    job.thread = undefined;
    return true;
  }

  #threw(job: Job, index: number, input: unknown, error: unknown): void {
    const step = job.work.steps[index] as Step;
    const message = messageOf(error);
    this.#warnings.threw(job.work.name, step.name, job.effectKey, error);
    if (error instanceof PermanentError) return this.#fail(job, error.code, message, step);
    const doubt = step.effect === 'at-most-once' && !(error instanceof RetryableError); // X3
    if (error instanceof UnknownOutcomeError || doubt) {
      const code = error instanceof UnknownOutcomeError ? error.code : 'effect_unknown';
      this.#ran(job, step, 'unknown');
      return this.#end(job, {
        kind: 'unknown',
        code: codeFrom(code),
        message,
        step: step.name,
        attempt: job.attemptOf(index),
      });
    }
    const code = error instanceof RetryableError ? error.code : job.timedOut ? 'step_timeout' : 'step_failed';
    this.#retry(
      job,
      index,
      input,
      code,
      message,
      error instanceof RetryableError ? error.afterMs : undefined,
    );
  }

  #retry(
    job: Job,
    index: number,
    input: unknown,
    code: string,
    message: string,
    afterMs: number | undefined,
  ): void {
    const step = job.work.steps[index] as Step;
    const attempt = job.attemptOf(index);
    if (attempt >= step.retry.attempts) {
      const told = `after ${attempt} attempts: ${message}`;
      return this.#fail(job, 'retries_exhausted', told, step);
    }
    this.#ran(job, step, 'retried');
    job.run.state = { input, index }; // X1
    const delayMs = delayFrom(afterMs ?? backoffMs(step.retry.backoff, attempt, this.#parts.random()));
    this.#end(job, { kind: 'retry', step: index, attempt: attempt + 1, delayMs, code: codeFrom(code) });
  }

  /** Ends a unit as failed: in a step, or before the first one. */
  #fail(job: Job, code: string, message: string, step?: Step): void {
    if (step) this.#ran(job, step, 'failed');
    const attempt = job.attemptOf(step ? job.work.steps.indexOf(step) : 0);
    this.#end(job, { kind: 'failed', code: codeFrom(code), message, step: step?.name ?? '', attempt });
  }

  /** Counts a run of a step. */
  #ran(job: Job, step: Step, outcome: StepOutcome): void {
    const counter = job.count(step.name);
    if (outcome === 'done' || outcome === 'skipped') counter.done += 1;
    else if (outcome === 'retried') counter.retried += 1;
    else counter.failed += 1;
    this.#parts.onStep?.(job.work.name, step.name, outcome, this.#parts.monoMs() - job.enteredMs);
  }

  #end(job: Job, outcome: Outcome): void {
    job.over = true;
    this.#parts.finish(job.run, outcome);
  }

  /** Fires the signals of steps that are over their time, and ends units whose step does not heed it. */
  #sweepJobs(): void {
    const nowMs = this.#parts.monoMs();
    for (const job of this.#jobs.values()) {
      if (nowMs < job.deadlineMs) continue;
      if (!job.aborted) {
        job.timedOut = true;
        job.abort(`${job.stepName} took longer than its timeout`, nowMs + GRACE_MS);
        continue;
      }
      this.#jobs.delete(job.run);
      this.#giveUp(job);
    }
    this.#cancelSweep = this.#jobs.size > 0 ? this.#sweepLater() : undefined;
  }

  #sweepLater(): () => void {
    return this.#parts.setTimer(SWEEP_MS, () => this.#sweepJobs());
  }

  #giveUp(job: Job): void {
    const step = job.work.steps[job.index] as Step;
    const message = `${step.name} did not end ${GRACE_MS} ms after its signal fired`;
    job.thread?.end(message);
    if (step.effect !== 'at-most-once') {
      return this.#retry(job, job.index, job.input, 'step_timeout', message, undefined);
    }
    const attempt = job.attemptOf(step ? job.work.steps.indexOf(step) : 0);
    this.#end(job, { kind: 'unknown', code: 'effect_unknown', message, step: step.name, attempt });
  }
}

/** Whether a step before number `index` has an effect outside. */
function hadEffect(steps: readonly Step[], index: number): boolean {
  return steps.slice(0, index).some((step) => step.effect !== 'none');
}

/** A delay that a message can carry, whatever a step asked for. */
function delayFrom(ms: number): number {
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), RETRY_DELAY_MS_MAX);
}
