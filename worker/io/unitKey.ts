/** What a work calls one of its units: told to people beside its number, and only where it is listed by itself. */
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { Run } from '../core/held.ts';
import type { Prepared } from './preparations.ts';
import { isPromise } from './unitCheck.ts';

/** Names a unit; undefined where its work has no key, or where the unit does not have what the key is made of. */
export function unitKey(work: WorkDefinition, prepared: Prepared, run: Run): string | undefined {
  const { key, schema } = work.options;
  if (!key || !prepared.ok) return undefined;
  try {
    const parsed = prepared.parser.parse(run);
    if (!parsed.ok) return undefined;
    // A bad unit has a name too, and a schema that answers later is not waited for: then it is named as it came.
    const checked: unknown = schema?.['~standard'].validate(parsed.value);
    if (isPromise(checked)) checked.then(undefined, () => {});
    const { value = parsed.value } = (checked ?? {}) as { value?: unknown };
    const name: unknown = key(value);
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined; // A name is a help; without it the unit has its number.
  }
}
