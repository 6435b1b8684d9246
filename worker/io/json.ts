/** Values of users' code as JSON bytes: items of a scatter, answers, what a fold returns. */
import { messageOf } from './warnings.ts';

export type Encoded = { ok: true; bytes: Uint8Array } | { ok: false; why: string };

/** The JSON of a value, `null` for undefined; says why where it has none. */
export function jsonOf(value: unknown): Encoded {
  try {
    const text: unknown = JSON.stringify(value === undefined ? null : value);
    if (typeof text === 'string') return { ok: true, bytes: Buffer.from(text) };
    return { ok: false, why: `is a ${typeof value}` };
  } catch (error) {
    return { ok: false, why: `threw: ${messageOf(error)}` };
  }
}
