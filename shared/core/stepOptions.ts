/**
 * What may stand in the options of a step, and of what else a work has. Owns the refusal of everything else: a field
 * that is misspelt would otherwise be a setting that silently does nothing.
 */
import { durationMs } from './duration.ts';
import type { StepOptions } from './work.ts';

/** Says what a value must be, or nothing where it is. */
type Check = (value: unknown) => string | undefined;
type Fields = { readonly [name: string]: Check | Fields };
/** A row for each field: one that is added to the type cannot be forgotten here. */
export type FieldsOf<T> = Record<keyof T, Check | Fields>;
type Retry = NonNullable<StepOptions['retry']>;

const EFFECTS: readonly unknown[] = ['none', 'at-least-once', 'at-most-once'];

export const duration: Check = (value) => {
  try {
    durationMs(value as string);
    return undefined;
  } catch {
    return 'a duration such as 250ms, 60s, 2m, 2h or 7d';
  }
};
export const positiveDuration: Check = (value) => {
  const must = duration(value);
  return must === undefined && durationMs(value as string) === 0 ? 'a duration above zero' : must;
};
const atLeastOne: Check = (value) =>
  typeof value === 'number' && value >= 1 ? undefined : 'a number of at least 1';
export const whole: Check = (value) =>
  Number.isInteger(value) && Number(value) >= 1 ? undefined : 'a whole number of at least 1';
const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false');
const effect: Check = (value) => (EFFECTS.includes(value) ? undefined : `one of ${EFFECTS.join(', ')}`);

const BACKOFF = { first: duration, factor: atLeastOne, max: duration } satisfies FieldsOf<
  NonNullable<Retry['backoff']>
>;
const RETRY = { attempts: whole, backoff: BACKOFF } satisfies FieldsOf<Retry>;
const STEP = {
  effect,
  timeout: duration,
  retry: RETRY,
  thread: flag,
  checkpoint: flag,
} satisfies FieldsOf<StepOptions>;

/** Throws a TypeError that names the first field that is not known, or whose value cannot be. */
export function checkStepOptions(step: string, options: unknown): asserts options is StepOptions {
  checkOptions(`step ${step}`, options, STEP);
}

/** Throws a TypeError that says where, and names the first field that is not among these, or whose value cannot be. */
export function checkOptions(where: string, options: unknown, fields: Fields): void {
  check(where, '', options, fields);
}

function check(where: string, path: string, value: unknown, fields: Fields): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`${where}: ${path === '' ? 'its options' : path} must be an object`);
  for (const [name, given] of Object.entries(value)) {
    const at = path === '' ? name : `${path}.${name}`;
    const known = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (known === undefined)
      throw new TypeError(`${where} has no option ${at}; there are ${Object.keys(fields).join(', ')}`);
    if (given === undefined) continue;
    if (typeof known === 'object') check(where, at, given, known);
    else {
      const must = known(given);
      if (must !== undefined) throw new TypeError(`${where}: ${at} must be ${must}, not ${shown(given)}`);
    }
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
