/**
 * Checks of values that came from outside: what is right comes back, what is not throws a Misfit that
 * knows where. Owns the leaf checks and the ways to put them together; what a message has is `shapes.ts`.
 *
 * C1: an object that comes back is a new one with the known fields only, so an extra field is ignored and
 *     a `__proto__` key reaches nobody.
 * C2: checks are put together once, when a module loads; checking builds no closure.
 * C3: what a check accepts is bounded: text, lists, records, and the members of ranges (4 numbers can
 *     name 2^53 units).
 */
import { isId } from '../core/ids.ts';
import { countOf, isRanges } from '../core/intervalSet.ts';
import { FAULT_MESSAGE_CHARS_MAX, RANGES_MAX } from '../core/limits.ts';
import type { Ranges } from './messages.ts';

/** Returns the value as a T or throws a Misfit. */
export type Check<T> = (value: unknown) => T;

/** A check of a field that may be absent. */
export type Optional<T> = Check<T> & { readonly optional: true };

/** A check for each field of T: a field without one, or with one of another type, does not compile. */
export type Shape<T> = {
  [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? Optional<T[K]> : Check<T[K]>;
};

/** Texts of a message: senders cut theirs at a quarter of this. */
export const TEXT_CHARS_MAX = 4 * FAULT_MESSAGE_CHARS_MAX;

/** A value that does not fit; `path` says where in what was checked. */
export class Misfit extends Error {
  path = '';

  /** The same misfit, seen from the value around it. */
  within(outer: string): this {
    this.path = outer + this.path;
    return this;
  }
}

/** A whole number from 0 on, exact as a double. */
export function whole(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new Misfit('must be a whole number from 0 on');
}

/** A length of time in milliseconds, from 0 on; need not be whole. */
export function duration(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  throw new Misfit('must be a number of milliseconds from 0 on');
}

/**
 * An id that may key a plain object. A name that every object has (`constructor`, `__proto__`) is refused:
 * as a key it would read or write what is not the sender's.
 */
export function id(value: unknown): string {
  if (isId(value) && !(value in Object.prototype)) return value;
  throw new Misfit('must be an id: 1 to 64 of A-Z a-z 0-9 _ -');
}

/** An id, or the empty text for none. */
export function idOrNone(value: unknown): string {
  return value === '' ? value : id(value);
}

/** A text of at most TEXT_CHARS_MAX characters. */
export function text(value: unknown): string {
  if (typeof value === 'string' && value.length <= TEXT_CHARS_MAX) return value;
  throw new Misfit(`must be a text of at most ${TEXT_CHARS_MAX} characters`);
}

/** One of these texts. */
export function oneOf<T extends string | number | boolean>(...allowed: readonly T[]): Check<T> {
  const misfit = `must be ${allowed.map((one) => JSON.stringify(one)).join(' or ')}`;
  return (value) => {
    for (const one of allowed) if (value === one) return one;
    throw new Misfit(misfit);
  };
}

export function flag(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new Misfit('must be true or false');
}

/** A whole number, or −1 for what comes before the first. */
export function wholeOrBefore(value: unknown): number {
  return value === -1 ? value : whole(value);
}

/** A whole number below `bound`. */
export function below(bound: number): Check<number> {
  return (value) => {
    if (whole(value) < bound) return value as number;
    throw new Misfit(`must be below ${bound}`);
  };
}

/** At most RANGES_MAX ranges with at most `unitsMax` members in all (C3). */
export function rangesOf(unitsMax: number): Check<Ranges> {
  return (value) => {
    if (!isRanges(value))
      throw new Misfit('must be ascending ranges [from, to, from, to, …] of whole numbers');
    if (value.length > 2 * RANGES_MAX) throw new Misfit(`must have at most ${RANGES_MAX} ranges`);
    if (countOf(value) > unitsMax) throw new Misfit(`must name at most ${unitsMax} units`);
    return value;
  };
}

/** A list of at most `max` items. */
export function listOf<T>(check: Check<T>, max: number): Check<T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new Misfit('must be a list');
    if (value.length > max) throw new Misfit(`must have at most ${max} items`);
    const list: T[] = [];
    try {
      for (const item of value as unknown[]) list.push(check(item));
    } catch (error) {
      throw error instanceof Misfit ? error.within(`[${list.length}]`) : error;
    }
    return list;
  };
}

/** An object of at most `max` values, each under an id. */
export function recordOf<T>(check: Check<T>, max: number): Check<Record<string, T>> {
  return (value) => {
    const given = objectOf(value);
    const keys = Object.keys(given);
    if (keys.length > max) throw new Misfit(`must have at most ${max} keys`);
    const record: Record<string, T> = {};
    let at = '';
    try {
      for (const key of keys) {
        at = ' (a key)'; // A key that is no id is not repeated: it may be long or hold line breaks.
        id(key);
        at = `.${key}`;
        record[key] = check(given[key]);
      }
    } catch (error) {
      throw error instanceof Misfit ? error.within(at) : error;
    }
    return record;
  };
}

/** A field that may be absent; `null` is not absent. */
export function optional<T>(check: Check<T>): Optional<T> {
  return Object.assign((value: unknown) => check(value), { optional: true as const });
}

/** An object with these fields; others are left out (C1). */
export function fieldsOf<T extends object>(shape: Shape<T>): Check<T> {
  const names = Object.keys(shape);
  const checks = Object.values(shape) as (Check<unknown> & { optional?: true })[];
  return (value) => {
    const given = objectOf(value);
    const object: Record<string, unknown> = {};
    let at = 0;
    try {
      for (; at < checks.length; at++) {
        const check = checks[at] as (typeof checks)[number];
        const name = names[at] as string;
        const field = given[name];
        if (field !== undefined || !check.optional) object[name] = check(field);
      }
    } catch (error) {
      throw error instanceof Misfit ? error.within(`.${names[at]}`) : error;
    }
    return object as T;
  };
}

/** Makes any text an id that can stand as a fault's code: other characters become `_`. */
export function codeFrom(given: string): string {
  const code = given.slice(0, 64).replaceAll(/[^A-Za-z0-9_-]/g, '_');
  return code === '' || code in Object.prototype ? 'step_failed' : code;
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new Misfit('must be an object');
}
