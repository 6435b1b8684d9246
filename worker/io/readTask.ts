/**
 * What a read of a named source does on a worker: gives the units after a cursor in batches, until the source has no
 * more or as many as are wanted are given. Owns the cut into batches and the refusal of what is no unit.
 *
 * T1: a batch ends with the cursor of its last unit; nothing is asked of the source beyond what is wanted.
 * T2: a unit does not wait longer than SOURCE_FLUSH_MS for those that come after it.
 * T3: a record that cannot be a unit has its number all the same, and ends as failed: it never stops the others.
 * T4: what a source gave before it threw is sent first: each try gets further.
 */
import {
  FAULT_MESSAGE_CHARS_MAX,
  GRANT_BYTES_MAX,
  GRANT_UNITS_MAX,
  SOURCE_BAD_MAX,
  SOURCE_FLUSH_MS,
  UNIT_BYTES_MAX,
} from '../../shared/core/limits.ts';
import type { ReadContext, SourceDefinition } from '../../shared/core/userSource.ts';
import { PermanentError } from '../../shared/core/work.ts';
import { TEXT_CHARS_MAX } from '../../shared/protocol/check.ts';
import type { BadItem, ReadInput } from '../../shared/protocol/messages.ts';
import type { Given } from '../core/exchanges.ts';
import type { ControlRun, Task } from './controlRun.ts';
import { type Iterated, iteratorOf } from './iterated.ts';
import { jsonOf } from './json.ts';

/** Bytes of a batch that a unit costs beside its own: its length. */
const UNIT_COSTS = 4;
const NOTHING = new Uint8Array();

/** What was collected for one part. */
type Batch = { items: Uint8Array[]; bad: BadItem[]; bytes: number; cursor: string };

/** Gives the units of the source that `sources` has under the name that the master says. */
export function readTask(sources: ReadonlyMap<string, SourceDefinition>): Task {
  return async (run) => {
    const input = JSON.parse(Buffer.from(run.bytes).toString()) as ReadInput;
    const source = sources.get(input.source);
    if (!source) throw new PermanentError(`this worker has no source ${input.source}`);
    await new Reading(run, source, input).give();
  };
}

class Reading {
  readonly #run: ControlRun;
  readonly #source: SourceDefinition;
  readonly #input: ReadInput;
  #batch: Batch = emptyBatch();
  /** When the first unit of the batch has waited long enough. */
  #late: { passed: Promise<undefined>; cancel: () => void } | undefined;
  #units = 0;
  #bytes = 0;

  constructor(run: ControlRun, source: SourceDefinition, input: ReadInput) {
    this.#run = run;
    this.#source = source;
    this.#input = input;
  }

  async give(): Promise<void> {
    const { args, cursor } = this.#input;
    const context: ReadContext = { ...this.#run.context(), args: JSON.parse(args) };
    const after: unknown = cursor === undefined ? undefined : JSON.parse(cursor);
    const items = iteratorOf(this.#source.read(after, context));
    if (!items) throw this.#bad('must return an iterable, as `async *read(cursor)` does');
    let isDone = false;
    try {
      let next = this.#next(items);
      while (!this.#isEnough) {
        const step = await this.#within(next).catch((error: unknown) => this.#threw(error));
        if (step?.done) {
          isDone = true;
          break;
        }
        if (step) {
          this.#take(step.value);
          if (!this.#isEnough) next = this.#next(items);
        }
        if (!step || this.#isFull) await this.#flush();
      }
    } finally {
      this.#late?.cancel();
      // Its own cleaning up is not waited for, and what goes wrong there changes nothing.
      const end = async (): Promise<void> => void (await items.return?.());
      if (!isDone) end().catch(() => {});
    }
    await this.#run.give({ ...givenOf(this.#batch), last: true, ...(isDone && { end: true }) });
  }

  /** T1 */
  get #isEnough(): boolean {
    return this.#units >= this.#input.units || this.#bytes >= this.#input.bytes;
  }

  /** Whether the next unit, however large, might not fit. */
  get #isFull(): boolean {
    const { items, bad, bytes } = this.#batch;
    const isLong = items.length >= GRANT_UNITS_MAX || bad.length >= SOURCE_BAD_MAX;
    return isLong || bytes + UNIT_COSTS + UNIT_BYTES_MAX > GRANT_BYTES_MAX;
  }

  #next(items: Iterated): Promise<IteratorResult<unknown>> {
    const next = this.#run.wait(items.next());
    next.catch(() => {}); // It may fail while a batch is on its way: whoever waits for it then is told.
    return next;
  }

  /** The next item, or nothing where units wait for it too long (T2). */
  async #within(next: Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown> | undefined> {
    if (this.#batch.items.length === 0) return next;
    this.#late ??= this.#run.after(SOURCE_FLUSH_MS);
    return Promise.race([next, this.#late.passed]);
  }

  /** T4 */
  async #threw(error: unknown): Promise<never> {
    if (this.#batch.items.length > 0) await this.#flush();
    throw error;
  }

  #take(value: unknown): void {
    const record = this.#input.first + this.#units + 1;
    const { unit, cursor } = this.#checked(value, record);
    const batch = this.#batch;
    const json = unit === undefined ? ({ ok: false, why: 'is undefined' } as const) : jsonOf(unit);
    const item = batch.items.length;
    const bad = (code: string, what: string): Uint8Array => {
      const message = `record ${record} of source ${this.#source.name} ${what}`;
      batch.bad.push({ item, code, message: message.slice(0, FAULT_MESSAGE_CHARS_MAX) });
      return NOTHING;
    };
    const bytes = !json.ok
      ? bad('invalid_unit', `cannot be written as JSON: it ${json.why}`)
      : json.bytes.length > UNIT_BYTES_MAX
        ? bad('unit_too_large', `has ${json.bytes.length} bytes as JSON, over ${UNIT_BYTES_MAX}`)
        : json.bytes; // T3
    batch.items.push(bytes);
    batch.bytes += UNIT_COSTS + bytes.length;
    batch.cursor = cursor;
    this.#units += 1;
    this.#bytes += UNIT_COSTS + bytes.length;
  }

  #checked(value: unknown, record: number): { unit: unknown; cursor: string } {
    const isItem = typeof value === 'object' && value !== null && 'unit' in value && 'cursor' in value;
    if (!isItem) throw this.#bad(`must give { unit, cursor } for each unit, not so for record ${record}`);
    const { unit, cursor } = value;
    const json = cursor === undefined ? undefined : jsonOf(cursor);
    if (!json?.ok) throw this.#bad(`gives no cursor that can be written as JSON with record ${record}`);
    const text = Buffer.from(json.bytes).toString();
    if (text.length > TEXT_CHARS_MAX)
      throw this.#bad(
        `gives a cursor of ${text.length} characters with record ${record}, over ${TEXT_CHARS_MAX}`,
      );
    return { unit, cursor: text };
  }

  async #flush(): Promise<void> {
    const given = givenOf(this.#batch);
    this.#batch = emptyBatch();
    this.#late?.cancel();
    this.#late = undefined;
    await this.#run.give({ ...given, last: false });
  }

  #bad(what: string): PermanentError {
    return new PermanentError(`source ${this.#source.name} ${what}`, { code: 'source_failed' });
  }
}

function emptyBatch(): Batch {
  return { items: [], bad: [], bytes: 0, cursor: '' };
}

function givenOf({ items, bad, cursor }: Batch): Omit<Given, 'last'> {
  return { items, ...(items.length > 0 && { cursor }), ...(bad.length > 0 && { bad }) };
}
