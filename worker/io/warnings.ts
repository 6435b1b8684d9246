/** Warnings about users' code: each distinct one is logged once, so that a fault shows and a flood does not. */
import { PermanentError, RetryableError, UnknownOutcomeError } from '../../shared/core/work.ts';
import type { Log } from '../../shared/io/log.ts';

/** Distinct warnings that are logged. */
const TOLD_MAX = 100;

export class Warnings {
  readonly #log: Log;
  readonly #told = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  once(key: string, message: string, fields: Record<string, unknown>): void {
    if (this.#told.has(key) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(key);
    this.#log.warn(message, fields);
  }

  /** What a step, a scatter or a fold threw, unless its class says that it meant to. */
  threw(work: string, step: string, unit: string, error: unknown): void {
    const classed = error instanceof RetryableError || error instanceof PermanentError;
    if (classed || error instanceof UnknownOutcomeError) return;
    const where = error instanceof Error ? (error.stack?.split('\n')[1]?.trim() ?? '') : '';
    const message = messageOf(error);
    const fields = { work, step, unit, error: message, where };
    this.once(`${work} ${step} ${message}`, 'a step threw; the same error is not logged again', fields);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
