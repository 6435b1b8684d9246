/**
 * Sources that users define: where the units of an epic come from that are no upload. Owns the definition; it is read on
 * a worker, which is the worker's business.
 */
import { isId } from './ids.ts';
import type { StepContext } from './work.ts';

/** A module may bring its own copy of this package: what it exports is known by a mark and not by its class. */
const KIND = Symbol.for('gimmework.kind');

/** What a source is given beside the cursor. */
export type ReadContext<Args = unknown> = Pick<StepContext, 'epic' | 'attempt' | 'signal' | 'log'> & {
  /** What the submit says of this source; null where it says nothing. */
  readonly args: Args;
};

/** A unit (JSON of at most 256 KB) and where to go on after it: any JSON value of at most 2,000 characters. */
export type SourceItem<Unit = unknown, Cursor = unknown> = { readonly unit: Unit; readonly cursor: Cursor };

export type SourceOptions<Unit, Cursor, Args> = {
  /**
   * Gives the units after `cursor`, or all where it is undefined; returns when there are no more. It is called many
   * times, on any worker, each time with the cursor of the last unit that was kept: what it gives after one cursor must
   * always be the same, in the same order. It is left (`return` of its iterator) once enough is read ahead. A throw is
   * tried again after a while, from the last cursor; a PermanentError ends the epic as failed once what was read is done.
   */
  read(
    cursor: Cursor | undefined,
    ctx: ReadContext<Args>,
  ): AsyncIterable<SourceItem<Unit, Cursor>> | Iterable<SourceItem<Unit, Cursor>>;
};

export class SourceDefinition<Unit = unknown, Cursor = unknown, Args = unknown> {
  readonly [KIND] = 'source';
  readonly name: string;
  readonly read: SourceOptions<Unit, Cursor, Args>['read'];

  constructor(name: string, options: SourceOptions<Unit, Cursor, Args>) {
    this.name = name;
    this.read = options.read.bind(options);
  }
}

/** Defines a source. Names match `[A-Za-z0-9_-]{1,64}`; export it from a module that is given to workers. */
export function defineSource<Unit, Cursor = unknown, Args = unknown>(
  name: string,
  options: SourceOptions<Unit, Cursor, Args>,
): SourceDefinition<Unit, Cursor, Args> {
  if (!isId(name)) throw new TypeError(`source name ${JSON.stringify(name)} must match [A-Za-z0-9_-]{1,64}`);
  if (typeof (options as Partial<typeof options> | undefined)?.read !== 'function')
    throw new TypeError(`source ${name} needs a function read(cursor, ctx)`);
  return new SourceDefinition(name, options);
}

/** Whether a module exports this as a source. */
export function isSource(value: unknown): value is SourceDefinition {
  return typeof value === 'object' && value !== null && (value as { [KIND]?: unknown })[KIND] === 'source';
}
