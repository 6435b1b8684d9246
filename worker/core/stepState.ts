/**
 * What a unit goes on with where its steps are not run from the first: which step is next, what it is given, and
 * how often steps have been run. It leaves the worker as JSON; to the master it is bytes. Owns that form, and
 * which of the states that a run has can stand for it elsewhere.
 *
 * Z1: only plain JSON is kept, so that a step is given elsewhere what it would have been given here. What is not,
 *     or is too large, is not kept: the unit resumes from the last state that was, or from its first step.
 * Z2: a step with an at-most-once effect that has happened is never before the one that a unit resumes at.
 */
import { GRANT_BYTES_MAX, STATE_DEPTH_MAX, STEPS_MAX, UNIT_BYTES_MAX } from '../../shared/core/limits.ts';
import type { Run } from './held.ts';

export type StepState = {
  /** Index of the step to run next. Before the first one its input is the unit itself, and not in here. */
  step: number;
  input: unknown;
  attempts: Attempts;
};

/** By index of a step: which run of it is the next, where that is not its first. */
export type Attempts = readonly number[];

export type Encoded = { ok: true; bytes: Uint8Array } | { ok: false; why: string };

/** What a unit brings that is to go on elsewhere: its bytes, and the state where it has one. */
export type TakenAlong = { ok: true; brings: Uint8Array[] } | { ok: false; why: string };

export const NO_ATTEMPTS: Attempts = [];
/** Lengths before the two parts of a payload, with room to spare. */
const PREFIX_BYTES = 64;

/** Attempts once a step is to be run again as `attempt`: those before it have succeeded, and begin anew. */
export function attemptsWith(attempts: Attempts, step: number, attempt: number): Attempts {
  return [...new Array<number>(step).fill(1), attempt, ...attempts.slice(step + 1)];
}

/** Encodes the state of a unit of which `unitBytes` are kept beside it; says why where it cannot be kept (Z1). */
export function encodeState({ step, input, attempts }: StepState, unitBytes: number): Encoded {
  const bytesMax = Math.min(UNIT_BYTES_MAX, GRANT_BYTES_MAX - unitBytes - PREFIX_BYTES);
  const tooLarge = { ok: false, why: `is over ${bytesMax} bytes as JSON` } as const;
  try {
    const walk = new Walk(bytesMax);
    if (!walk.isPlain(input, 0)) return { ok: false, why: 'is not plain JSON' };
    if (walk.left < 0) return tooLarge;
    const counted = attempts.some((attempt) => attempt > 1);
    const bytes = new TextEncoder().encode(JSON.stringify({ step, input, ...(counted && { attempts }) }));
    return bytes.length <= bytesMax ? { ok: true, bytes } : tooLarge;
  } catch {
    return { ok: false, why: 'cannot be read' }; // A getter of a step's own may throw.
  }
}

/** Reads a state; undefined where it is none. */
export function decodeState(bytes: Uint8Array): StepState | undefined {
  let state: Partial<StepState> | null;
  try {
    state = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as typeof state;
  } catch {
    return undefined;
  }
  const { step, input, attempts = NO_ATTEMPTS } = state ?? {};
  if (!isCount(step) || step >= STEPS_MAX) return undefined;
  if (!Array.isArray(attempts) || attempts.length > STEPS_MAX || !attempts.every(isCount)) return undefined;
  return { step, input, attempts };
}

/**
 * What a run whose step number `next` is to be run again elsewhere takes along: the state that this step begins
 * with, else the last one kept, else none; not one by which a step would be run again that must not be (Z2).
 */
export function takeAlong(run: Run, next: number): TakenAlong {
  const { bytes, attempts, kept, state } = run;
  let why = 'is not kept';
  // One that is kept already is taken as it was: what a step was given it may have changed.
  if (next > 0 && next !== kept?.step && next === state?.index) {
    const encoded = encodeState({ step: next, input: state.input, attempts }, bytes.length);
    if (encoded.ok) return { ok: true, brings: [bytes, encoded.bytes] };
    why = encoded.why;
  }
  const from = kept?.step ?? 0;
  if (run.held.hasEffectOnce(from, next)) return { ok: false, why };
  const last = kept && decodeState(kept.bytes);
  // The attempts of step number `next` are told beside the state; those of others only in it.
  const others = attempts.some((attempt, i) => attempt > 1 && i !== next);
  if (!last && !others) return { ok: true, brings: [bytes] };
  const encoded = encodeState({ step: from, input: last?.input, attempts }, bytes.length);
  if (encoded.ok) return { ok: true, brings: [bytes, encoded.bytes] };
  return { ok: true, brings: kept ? [bytes, kept.bytes] : [bytes] };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Looks whether a value is plain JSON, no further than what fits: a value may contain itself, or be huge. */
class Walk {
  /** Bytes that may follow, at least one for each value. */
  left: number;

  constructor(bytesMax: number) {
    this.left = bytesMax;
  }

  /** Undefined is left out by JSON: as the whole value or in an object it is what a step is given again. */
  isPlain(value: unknown, depth: number): boolean {
    this.left -= 1;
    if (this.left < 0) return true; // It is too large, whatever follows.
    switch (typeof value) {
      case 'string':
        this.left -= value.length;
        return true;
      case 'number':
        return Number.isFinite(value);
      case 'boolean':
        return true;
      case 'undefined':
        return depth === 0;
      case 'object':
        return value === null || this.#isPlainObject(value, depth);
      default:
        return false;
    }
  }

  #isPlainObject(value: object, depth: number): boolean {
    if (depth >= STATE_DEPTH_MAX || Object.getOwnPropertySymbols(value).length > 0) return false;
    if (Array.isArray(value)) return this.#isPlainArray(value, depth);
    const parent: unknown = Object.getPrototypeOf(value);
    if (parent !== Object.prototype && parent !== null) return false;
    for (const key of Object.keys(value)) {
      this.left -= key.length;
      const item = (value as Record<string, unknown>)[key];
      if (item !== undefined && !this.isPlain(item, depth + 1)) return false;
      if (this.left < 0) return true;
    }
    return true;
  }

  /** By index, so that a hole is found: JSON would make it null. */
  #isPlainArray(value: readonly unknown[], depth: number): boolean {
    if (value.length > this.left) this.left = -1;
    if (this.left < 0) return true;
    if (Object.keys(value).length !== value.length) return false;
    for (let i = 0; i < value.length; i++) {
      if (!this.isPlain(value[i], depth + 1)) return false;
      if (this.left < 0) return true;
    }
    return true;
  }
}
