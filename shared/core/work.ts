/**
 * Works: how a user defines what is done with a unit. Owns the definition and the outcomes a step can
 * steer by; running is the worker's executor's business.
 */
import type { Effect } from '../protocol/messages.ts';
import { type Duration, durationMs } from './duration.ts';
import type { Gather } from './gather.ts';
import { isId } from './ids.ts';
import { STEPS_MAX } from './limits.ts';
import { checkStepOptions } from './stepOptions.ts';

/**
 * What a step threw or returned, known by a mark and not by its class: a user's module may bring its own
 * copy of this package.
 */
const KIND = Symbol.for('gimmework.kind');

function kindOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (value as { [KIND]?: unknown })[KIND] : undefined;
}

/** Thrown by a step: try this step again, after `afterMs` if given, else by the step's backoff. */
export class RetryableError extends Error {
  readonly [KIND] = 'retryable';
  readonly code: string;
  readonly afterMs: number | undefined;
  constructor(message: string, options: { code?: string; afterMs?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'RetryableError';
    this.code = options.code ?? 'step_failed';
    this.afterMs = options.afterMs;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'retryable';
  }
}

/** Thrown by a step: this unit has failed for good. */
export class PermanentError extends Error {
  readonly [KIND] = 'permanent';
  readonly code: string;
  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'PermanentError';
    this.code = options.code ?? 'step_failed';
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'permanent';
  }
}

/** Thrown by a step: nobody can know whether the effect happened. The unit becomes `unknown`. */
export class UnknownOutcomeError extends Error {
  readonly [KIND] = 'unknown';
  readonly code: string;
  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'UnknownOutcomeError';
    this.code = options.code ?? 'effect_unknown';
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return kindOf(value) === 'unknown';
  }
}

export type Skip = { readonly [KIND]: 'skip'; readonly reason: string };

/** Returned by a step: this unit needs nothing more. It ends as `skipped`. */
export function skip(reason: string): Skip {
  return { [KIND]: 'skip', reason };
}

export function isSkip(value: unknown): value is Skip {
  return kindOf(value) === 'skip';
}

/** What a step is given beside its input. */
export type StepContext<Brief = unknown> = {
  readonly brief: Brief;
  /** Fires on timeout, cancel, deadline or when the master gave the unit to another worker. */
  readonly signal: AbortSignal;
  /** `<epic>.<unit>`: the same at every attempt, on every worker, and where a person has it tried again. */
  readonly effectKey: string;
  /** Which run of this step it is, from 1; begins anew where a step that had succeeded must be run again. */
  readonly attempt: number;
  readonly epic: string;
  readonly unit: number;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
};

/** Exponential backoff with full jitter: attempt n waits a random time up to first · factor^(n−1), at most max. */
export type Backoff = { firstMs: number; factor: number; maxMs: number };
export type Retry = { attempts: number; backoff: Backoff };

export type StepOptions = {
  /**
   * `none`: no outside effect, may run any number of times. `at-least-once`: may run again after a crash.
   * `at-most-once`: never runs again unless it certainly did not happen; a doubt ends as `unknown`. Defaults to `none`.
   */
  effect?: Effect;
  /** Longest time of one attempt. Defaults to 60 s. */
  timeout?: Duration;
  /** Defaults to 5 attempts, first 1 s, factor 2, max 60 s. */
  retry?: { attempts?: number; backoff?: { first?: Duration; factor?: number; max?: Duration } };
  /**
   * Runs the step in a thread of the worker's pool, for work that computes for long: elsewhere it would hold up
   * heartbeats and all other units. What goes in and out is copied, so it must be plain data. Defaults to false.
   */
  thread?: boolean;
  /**
   * What this step returns is durable before the next one begins: after a crash the unit goes on there, on any
   * worker, and this step is not run again. It must be plain JSON of at most 256 KB together with a little about
   * the unit (384 KB with the unit's own bytes); put larger data elsewhere and return where it is. What cannot be
   * kept is not: the unit goes on, and resumes from what was kept before. Each costs a round trip to the master
   * and a write to its store. Of no effect on the last step. Defaults to false.
   */
  checkpoint?: boolean;
};

export type Step = {
  name: string;
  effect: Effect;
  thread: boolean;
  timeoutMs: number;
  retry: Retry;
  checkpoint: boolean;
  run(input: unknown, ctx: StepContext): unknown;
};

/** Standard Schema (https://standardschema.dev), the part used here. */
export type StandardSchema<T> = {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): SchemaResult<T> | Promise<SchemaResult<T>>;
  };
};
type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] }[] };

export type WorkOptions<Unit, Brief> = {
  /** Checks each unit; one that does not fit ends as `failed`, `invalid_unit`. */
  schema?: StandardSchema<Unit>;
  /** Names a unit for people (an address, an order number). */
  key?: (unit: Unit) => string;
  /** Prepares the brief once per epic and worker (compile templates here); throws to refuse it. */
  prepare?: (brief: Brief) => unknown;
  /** Runs once when a worker starts, before it takes work; throws to stop it (server unreachable). */
  start?: () => Promise<void> | void;
  /** Runs once when a worker stops, after its last unit. */
  stop?: () => Promise<void> | void;
};

/** A work: a name and its steps in order, and for a gather what is around them. Immutable; `step` returns a new one. */
export class WorkDefinition<Unit = unknown, Brief = unknown, Out = unknown> {
  readonly name: string;
  readonly options: WorkOptions<Unit, Brief>;
  readonly steps: readonly Step[];
  readonly gather: Gather | undefined;

  constructor(name: string, options: WorkOptions<Unit, Brief>, steps: readonly Step[], gather?: Gather) {
    this.name = name;
    this.options = options;
    this.steps = steps;
    this.gather = gather;
  }

  /** Adds a step: it gets what the step before returned (the first gets the unit). */
  step<Next>(
    name: string,
    run: (input: Out, ctx: StepContext<Brief>) => Next,
  ): WorkDefinition<Unit, Brief, Exclude<Awaited<Next>, Skip>>;
  step<Next>(
    name: string,
    options: StepOptions,
    run: (input: Out, ctx: StepContext<Brief>) => Next,
  ): WorkDefinition<Unit, Brief, Exclude<Awaited<Next>, Skip>>;
  step(name: string, second: unknown, third?: unknown): never {
    const options = third === undefined ? {} : second;
    const run = (third ?? second) as Step['run'];
    if (!isId(name)) throw new TypeError(`step name ${JSON.stringify(name)} must match [A-Za-z0-9_-]{1,64}`);
    if (typeof run !== 'function') throw new TypeError(`step ${name} of ${this.name} needs a function`);
    if (this.gather) throw new TypeError(`step ${name} of ${this.name} must come before its gather`);
    if (this.steps.some((s) => s.name === name))
      throw new TypeError(`${this.name} has two steps named ${name}`);
    if (this.steps.length >= STEPS_MAX) throw new TypeError(`${this.name} has more than ${STEPS_MAX} steps`);
    return new WorkDefinition(this.name, this.options, [
      ...this.steps,
      stepFrom(name, options, run),
    ]) as never;
  }
}

/** Defines a work. Names match `[A-Za-z0-9_-]{1,64}`; add steps with `.step(...)`. */
export function defineWork<Unit, Brief = unknown>(
  name: string,
  options: WorkOptions<Unit, Brief> = {},
): WorkDefinition<Unit, Brief, Unit> {
  if (!isId(name)) throw new TypeError(`work name ${JSON.stringify(name)} must match [A-Za-z0-9_-]{1,64}`);
  return new WorkDefinition(name, options, []);
}

function stepFrom(name: string, options: unknown, run: Step['run']): Step {
  checkStepOptions(name, options);
  const backoff = options.retry?.backoff;
  const retry = {
    attempts: options.retry?.attempts ?? 5,
    backoff: {
      firstMs: durationMs(backoff?.first ?? 1_000),
      factor: backoff?.factor ?? 2,
      maxMs: durationMs(backoff?.max ?? 60_000),
    },
  };
  return {
    name,
    effect: options.effect ?? 'none',
    thread: options.thread ?? false,
    timeoutMs: durationMs(options.timeout ?? 60_000),
    retry,
    checkpoint: options.checkpoint ?? false,
    run,
  };
}
