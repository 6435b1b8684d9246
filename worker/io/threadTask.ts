/**
 * What goes between a worker and its threads: a task, its reply, and what is told while it runs. Owns how values and
 * errors are written, so that they arrive as they were sent.
 *
 * H1: a Buffer arrives as a Buffer, which a message between threads alone would not do.
 * H2: an error keeps its class, and with it what becomes of its unit.
 */
import { deserialize, serialize } from 'node:v8';
import type { MessagePort } from 'node:worker_threads';
import { unreachable } from '../../shared/core/errors.ts';
import {
  PermanentError,
  RetryableError,
  type StepContext,
  UnknownOutcomeError,
} from '../../shared/core/work.ts';

export type ThreadTask = Pick<StepContext, 'epic' | 'unit' | 'attempt' | 'effectKey'> & {
  module: string;
  work: string;
  step: string;
  input: Uint8Array;
  /** Hash of the brief, and its envelope in memory that all threads share. */
  brief: string;
  envelope: SharedArrayBuffer;
  /** For what is told while it runs; the thread closes it at the end. */
  port: MessagePort;
};

export type ThreadReply =
  | { kind: 'done'; output: Uint8Array }
  | { kind: 'skip'; reason: string }
  | { kind: 'threw'; error: Thrown };

/** From the thread: the step itself begins now; a line for the log. */
export type ThreadNews =
  | { type: 'begun' }
  | { type: 'log'; message: string; fields: Record<string, unknown> | undefined };

/** To the thread: the signal fires. */
export type ThreadAbort = { reason: string };

/** What a step threw. */
export type Thrown = {
  kind: 'retryable' | 'permanent' | 'unknown' | 'error';
  message: string;
  stack: string | undefined;
  code: string;
  afterMs: number | undefined;
};

export function write(value: unknown): Uint8Array {
  return serialize(value);
}

export function read(bytes: Uint8Array): unknown {
  return deserialize(bytes);
}

/** An error for what cannot be written. */
export function notCloneable(step: string, what: 'input' | 'output', cause: unknown): PermanentError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const text = `the ${what} of step ${step} cannot be copied between threads (${why}): pass plain data, or leave out thread: true`;
  return new PermanentError(text, { code: 'not_cloneable', cause });
}

export function writeError(error: unknown): Thrown {
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  const told = { message, stack, afterMs: undefined };
  if (error instanceof RetryableError)
    return { ...told, kind: 'retryable', code: error.code, afterMs: error.afterMs };
  if (error instanceof PermanentError) return { ...told, kind: 'permanent', code: error.code };
  if (error instanceof UnknownOutcomeError) return { ...told, kind: 'unknown', code: error.code };
  return { ...told, kind: 'error', code: '' };
}

export function readError(thrown: Thrown): Error {
  const error = errorOf(thrown);
  error.stack = thrown.stack ?? thrown.message;
  return error;
}

function errorOf({ kind, message, code, afterMs }: Thrown): Error {
  switch (kind) {
    case 'retryable':
      return new RetryableError(message, { code, ...(afterMs !== undefined && { afterMs }) });
    case 'permanent':
      return new PermanentError(message, { code });
    case 'unknown':
      return new UnknownOutcomeError(message, { code });
    case 'error':
      return new Error(message);
    default:
      return unreachable(kind);
  }
}
