/**
 * Gathers: how a user defines what is asked of many and folded into one answer. Owns the definition; a gather is a
 * work whose units come from its scatter and whose answers go to its fold, so what takes a work takes it.
 *
 *   defineGather(name).scatter(fn) or .broadcast(fn), then .step(...), then .gather(options, fold)
 */
import type { Effect, Ranges } from '../protocol/messages.ts';
import { type Duration, durationMs } from './duration.ts';
import { isId } from './ids.ts';
import { checkOptions, type FieldsOf, positiveDuration, whole } from './stepOptions.ts';
import {
  defineWork,
  type Skip,
  type StandardSchema,
  type StepContext,
  type StepOptions,
  WorkDefinition,
  type WorkOptions,
} from './work.ts';

/** What a scatter is given beside the request. */
export type ScatterContext = Pick<StepContext, 'epic' | 'attempt' | 'signal' | 'log'>;

/** What a fold is given beside the answers. */
export type FoldContext<Input = unknown> = ScatterContext & {
  /** The request, as steps have it. */
  readonly brief: Input;
  /** Numbers of the items that nobody answered in time, as ranges `[from, to, …]`: items are counted from 0. */
  readonly missing: Ranges;
  /** Whether the item of this number is among them. */
  readonly isMissing: (item: number) => boolean;
  /** Items whose steps failed for good, and those of which nobody knows. */
  readonly failed: number;
  readonly unknown: number;
  /** Items in all. */
  readonly items: number;
  /** Every item was answered or declined. */
  readonly complete: boolean;
  /** The item that each answer is of: `units[i]` is the number of that of `answers[i]`. */
  readonly units: readonly number[];
};

/** Several, at once or one by one. */
export type Items<T> = Iterable<T> | AsyncIterable<T>;

/** An item for one responder: only the worker of that name gets it. Without `to` it is for anybody. */
export type AddressedItem<T = unknown> = { readonly data: T; readonly to?: string | undefined };

/** What the first step is given of an item: its `data`, where it has that and at most `to` beside it. */
export type ItemData<T> = T extends { readonly data: infer Data }
  ? Exclude<keyof T, 'data' | 'to'> extends never
    ? Data
    : T
  : T;

export type GatherOptions = {
  /** Answers are taken for this long from the submit on, unless the submit says otherwise. */
  deadline: Duration;
  /** Answers that end it early. Defaults to all. */
  enough?: number;
  /** Answers there must be at the deadline; with fewer it fails. Defaults to 0: a partial answer is one, however small. */
  quorum?: number;
  /**
   * An item that has no answer for this long is given to a second worker too; the first answer counts. Only where no
   * step has an effect, since both may run. Defaults to never.
   */
  reissueAfter?: Duration;
};

/** What a work has that is a gather. */
export type Gather = {
  scatter: {
    /** Whether it gives items, or the labels of the responders that are all asked the same. */
    kind: 'items' | 'labels';
    run(input: unknown, ctx: ScatterContext): unknown;
  };
  deadlineMs: number;
  enough: number | undefined;
  quorum: number | undefined;
  reissueAfterMs: number | undefined;
  fold(answers: unknown[], ctx: FoldContext): unknown;
};

/** A work that is a gather, as `.gather(...)` returns it. */
export type GatherDefinition<Input = unknown, Answer = unknown, Value = unknown> = WorkDefinition<
  unknown,
  Input,
  Answer
> & {
  readonly gather: Gather & { fold(answers: Answer[], ctx: FoldContext<Input>): Value | PromiseLike<Value> };
};

/** As for a work; `key` and `schema` are about one item. */
export type GatherWorkOptions<Input> = Omit<WorkOptions<never, Input>, 'schema'> & {
  schema?: StandardSchema<unknown>;
};

/** Defines a gather. Names match `[A-Za-z0-9_-]{1,64}`; say next how its items come about. */
export function defineGather<Input, Answer = unknown, Value = unknown>(
  name: string,
  options: GatherWorkOptions<Input> = {},
): GatherStart<Input, Answer, Value> {
  return new GatherStart(name, options);
}

/** A gather of which nothing is known but its name. */
export class GatherStart<Input, Answer, Value> {
  readonly #name: string;
  readonly #options: unknown;

  constructor(name: string, options: GatherWorkOptions<Input>) {
    if (!isId(name))
      throw new TypeError(`gather name ${JSON.stringify(name)} must match [A-Za-z0-9_-]{1,64}`);
    this.#name = name;
    this.#options = options;
  }

  /**
   * Has `run` make the items of a request: an array, an iterable, an async iterable, or a promise of one. Each item is
   * JSON of at most 256 KB. An object with exactly `data`, or `data` and `to`, is not the item itself: its `data` is,
   * and it is for the responder named `to`. Nothing is sent before the last item is there, and where `run` throws it
   * is tried again from the first.
   */
  scatter<Item>(
    run: (input: Input, ctx: ScatterContext) => Items<Item> | PromiseLike<Items<Item>>,
  ): GatherSteps<Input, Answer, Value, ItemData<Item>> {
    return this.#steps('items', run as Gather['scatter']['run']);
  }

  /**
   * Has `run` say which labels a responder must have: all workers that have them now are asked, each once, and each is
   * given the request itself.
   */
  broadcast(
    run: (input: Input, ctx: ScatterContext) => Record<string, string> | PromiseLike<Record<string, string>>,
  ): GatherSteps<Input, Answer, Value, Input> {
    return this.#steps('labels', run);
  }

  #steps<Item>(
    kind: Gather['scatter']['kind'],
    run: Gather['scatter']['run'],
  ): GatherSteps<Input, Answer, Value, Item> {
    const called = kind === 'items' ? 'scatter' : 'broadcast';
    if (typeof run !== 'function') throw new TypeError(`${called} of ${this.#name} needs a function`);
    const work = defineWork<Item, Input>(this.#name, this.#options as WorkOptions<Item, Input>);
    return new GatherSteps({ kind, run }, work);
  }
}

/** A gather whose steps are being told. Immutable; `step` returns a new one. */
export class GatherSteps<Input, Answer, Value, Out> {
  readonly #scatter: Gather['scatter'];
  readonly #work: WorkDefinition<unknown, Input, Out>;

  constructor(scatter: Gather['scatter'], work: { readonly name: string }) {
    this.#scatter = scatter;
    this.#work = work as WorkDefinition<unknown, Input, Out>;
  }

  /**
   * Adds a step, as a work has it: the first is given the item. What the last one returns is the answer, which is JSON
   * of at most 256 KB; `skip(reason)` declines, which counts as answered.
   */
  step<Next>(
    name: string,
    run: (input: Out, ctx: StepContext<Input>) => Next,
  ): GatherSteps<Input, Answer, Value, Exclude<Awaited<Next>, Skip>>;
  step<Next>(
    name: string,
    options: StepOptions,
    run: (input: Out, ctx: StepContext<Input>) => Next,
  ): GatherSteps<Input, Answer, Value, Exclude<Awaited<Next>, Skip>>;
  step(name: string, second: unknown, third?: unknown): never {
    const step = this.#work.step.bind(this.#work) as (...given: unknown[]) => { name: string };
    const given = third === undefined ? [name, second] : [name, second, third];
    return new GatherSteps(this.#scatter, step(...given)) as never;
  }

  /**
   * Ends the definition. `fold` is given all answers, in the order of their items, and returns what the request comes
   * to: JSON of at most 25 MB. It may run more than once; `undefined` becomes `null`. Throws a TypeError where options are
   * not as GatherOptions says.
   */
  gather(
    this: GatherSteps<Input, Answer, Value, Answer>,
    options: GatherOptions,
    fold: (answers: Answer[], ctx: FoldContext<Input>) => Value | PromiseLike<Value>,
  ): GatherDefinition<Input, Answer, Value> {
    const { name, options: own, steps } = this.#work;
    checkGather(name, options, steps);
    if (typeof fold !== 'function') throw new TypeError(`gather of ${name} needs a function that folds`);
    const { deadline, enough, quorum, reissueAfter } = options;
    const gather: Gather = {
      scatter: this.#scatter,
      deadlineMs: durationMs(deadline),
      enough,
      quorum,
      reissueAfterMs: reissueAfter === undefined ? undefined : durationMs(reissueAfter),
      fold,
    };
    const work = new WorkDefinition<unknown, Input, Answer>(name, own, steps, gather);
    return work as GatherDefinition<Input, Answer, Value>;
  }
}

const GATHER = {
  deadline: positiveDuration,
  enough: whole,
  quorum: whole,
  reissueAfter: positiveDuration,
} satisfies FieldsOf<GatherOptions>;

function checkGather(
  name: string,
  options: GatherOptions,
  steps: readonly { name: string; effect: Effect }[],
): void {
  const where = `gather of ${name}`;
  checkOptions(where, options, GATHER);
  const { deadline, enough, quorum, reissueAfter } = options as Partial<GatherOptions>;
  if (deadline === undefined) throw new TypeError(`${where} needs a deadline such as 30s or 2m`);
  if (steps.length === 0) throw new TypeError(`${where} has no step; add one with .step(...)`);
  if (enough !== undefined && quorum !== undefined && quorum > enough)
    throw new TypeError(`${where}: quorum (${quorum}) must be at most enough (${enough})`);
  const effect = reissueAfter === undefined ? undefined : steps.find((step) => step.effect !== 'none');
  if (effect)
    throw new TypeError(
      `${where}: reissueAfter may run step ${effect.name} twice at once; its effect must be none`,
    );
}
