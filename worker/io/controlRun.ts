/**
 * A control run: one scatter or one fold of a gather, as this worker runs it. Owns the order of what it exchanges with
 * the master, the time that users' code is given, and how what they throw is classified.
 *
 * R1: a part is made only when the one before is taken, so a scatter of any size costs one part of memory.
 * R2: a run ends once; what users' code does after that is ignored.
 * R3: it has no effect that counts before its outcome does, so where it is stopped it is handed back.
 */

import type { FoldContext, Gather, ScatterContext } from '../../shared/core/gather.ts';
import { appendRange, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import {
  BRIEF_BYTES_MAX,
  CONTROL_ATTEMPTS_MAX,
  CONTROL_RETRY_FIRST_MS,
  CONTROL_TIMEOUT_MS,
  RETRY_DELAY_MS_MAX,
  UNIT_BYTES_MAX,
} from '../../shared/core/limits.ts';
import { PermanentError, RetryableError } from '../../shared/core/work.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import { codeFrom } from '../../shared/protocol/check.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Control, Ranges } from '../../shared/protocol/messages.ts';
import type { Given } from '../core/exchanges.ts';
import type { Run } from '../core/held.ts';
import type { Outcome } from '../core/outcomes.ts';
import type { Heard } from '../core/output.ts';
import { jsonOf } from './json.ts';
import type { Prepared } from './preparations.ts';
import { labelsFrom, partsFrom } from './scatter.ts';
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

const OVER = new Error('the run is over');

/** What the master says of a gather whose answers are to be folded. */
type Standing = { failed: number; unknown: number; items: number };
type Page = Extract<Heard, { type: 'answers' }>;

export class ControlRun {
  readonly #run: Run;
  readonly #control: Control;
  readonly #gather: Gather;
  readonly #prepared: Extract<Prepared, { ok: true }>;
  readonly #ports: ControlPorts;
  readonly #controller = new AbortController();
  #waits: { resolve: (heard: Heard) => void; reject: (error: Error) => void } | undefined;
  #over = false;

  constructor(run: Run, gather: Gather, prepared: Extract<Prepared, { ok: true }>, ports: ControlPorts) {
    this.#run = run;
    this.#control = run.held.control as Control;
    this.#gather = gather;
    this.#prepared = prepared;
    this.#ports = ports;
  }

  get #attempt(): number {
    return this.#run.attempts[0] ?? 1;
  }

  async start(): Promise<void> {
    try {
      await (this.#control === 'scatter' ? this.#scatter() : this.#fold());
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

  async #scatter(): Promise<void> {
    const { scatter } = this.#gather;
    const wait = this.#wait.bind(this);
    const given = await wait(scatter.run(this.#prepared.brief, this.#context()));
    if (scatter.kind === 'labels') return this.#give(labelsFrom(given));
    for await (const part of partsFrom(given, wait)) await this.#give(part); // R1
  }

  async #fold(): Promise<void> {
    const standing = JSON.parse(Buffer.from(this.#run.bytes).toString()) as Standing;
    const { answers, units, missing } = await this.#answers();
    const { failed, unknown, items } = standing;
    const complete = missing.length === 0 && failed === 0 && unknown === 0;
    const lost = IntervalSet.of(missing);
    const isMissing = (item: number): boolean => lost.has(item);
    const brief = this.#prepared.brief;
    const context: FoldContext = {
      ...this.#context(),
      brief,
      missing,
      isMissing,
      failed,
      unknown,
      items,
      complete,
      units,
    };
    const value = jsonOf(await this.#wait(this.#gather.fold(answers, context)));
    if (!value.ok)
      throw new PermanentError(`what the fold returned cannot be written as JSON: it ${value.why}`);
    const { bytes } = value;
    if (bytes.length > BRIEF_BYTES_MAX)
      throw new PermanentError(
        `what the fold returned has ${bytes.length} bytes as JSON, over ${BRIEF_BYTES_MAX}`,
      );
    for (let at = 0; at < bytes.length; at += UNIT_BYTES_MAX) {
      const end = at + UNIT_BYTES_MAX;
      await this.#give({ items: [bytes.subarray(at, end)], last: end >= bytes.length });
    }
  }

  /** All answers, and what is missing, page by page. */
  async #answers(): Promise<{ answers: unknown[]; units: number[]; missing: Ranges }> {
    const answers: unknown[] = [];
    const units: number[] = [];
    const missing: number[] = [];
    for (let isLast = false; !isLast; ) {
      const page = await this.#page(Math.max(units.at(-1) ?? -1, (missing.at(-1) ?? 0) - 1));
      for (let i = 0; i < page.missing.length; i += 2)
        appendRange(missing, page.missing[i] as number, page.missing[i + 1] as number);
      eachOf(page.units, (unit) => units.push(unit));
      for (let i = 0; i < page.bytes.count; i++) answers.push(parsed(page.bytes, i));
      isLast = page.last;
    }
    return { answers, units, missing };
  }

  #page(after: number): Promise<Page> {
    return this.#answered(() => this.#ports.want(this.#run, after)) as Promise<Page>;
  }

  async #give(given: Given): Promise<void> {
    await this.#answered(() => this.#ports.give(this.#run, given));
  }

  /** Says something and waits for its answer: as long as that takes, for the master may be away. */
  #answered(say: () => void): Promise<Heard> {
    return new Promise((resolve, reject) => {
      if (this.#over) return reject(OVER);
      this.#waits = { resolve, reject };
      say();
    });
  }

  /** Waits for users' code, for no longer than it may take. */
  async #wait<T>(given: T | PromiseLike<T>): Promise<T> {
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

  #context(): ScatterContext {
    const { epic, work } = this.#run.held;
    const { log } = this.#ports;
    return {
      epic,
      attempt: this.#attempt,
      signal: this.#controller.signal,
      log: (message, fields) => log.info(message, { ...fields, work, epic, step: this.#control }),
    };
  }

  #threw(error: unknown): void {
    this.#ports.threw(error);
    const own = this.#control === 'scatter' ? 'scatter_failed' : 'fold_failed';
    const message = messageOf(error);
    const attempt = this.#attempt;
    const fail = (code: string, told: string): void =>
      this.#end({ kind: 'failed', code: codeFrom(code), message: told, step: '', attempt });
    // An error that names no code of its own is told as what it made impossible.
    const code = codeOf(error) === 'step_failed' ? own : codeOf(error);
    if (error instanceof PermanentError) return fail(code, message);
    if (attempt >= CONTROL_ATTEMPTS_MAX) return fail(own, `after ${attempt} attempts: ${message}`);
    const asked = error instanceof RetryableError ? error.afterMs : undefined;
    const delayMs = Math.min(
      Math.max(0, asked ?? CONTROL_RETRY_FIRST_MS * 2 ** (attempt - 1)),
      RETRY_DELAY_MS_MAX,
    );
    this.#end({ kind: 'retry', step: 0, attempt: attempt + 1, delayMs, code: codeFrom(code) });
  }

  #end(outcome: Outcome): void {
    if (this.#over) return; // R2
    this.#over = true;
    this.#waits?.reject(OVER);
    this.#ports.finish(this.#run, outcome);
  }
}

function codeOf(error: unknown): string {
  return error instanceof PermanentError || error instanceof RetryableError ? error.code : 'step_failed';
}

function parsed(bytes: UnitBytes, i: number): unknown {
  return JSON.parse(Buffer.from(bytes.at(i)).toString());
}
