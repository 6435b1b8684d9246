/** What fields of any request have in common: how one is refused, and texts. */
import { GimmeError } from '../../shared/core/errors.ts';

export function textOf(value: unknown, field: string, charsMax: number): string {
  if (typeof value !== 'string' || value === '') refuse(`field ${field} must be a text, given once`);
  if (value.length > charsMax) refuse(`field ${field} is over ${charsMax} characters`);
  return value;
}

export function refuse(message: string): never {
  throw new GimmeError('bad_request', message);
}
