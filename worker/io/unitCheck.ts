/** A unit on its way to the first step: parsed, and checked by its work's schema. A bad one is a value too. */
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { Run } from '../core/held.ts';
import type { Prepared } from './preparations.ts';
import type { ParsedUnit } from './unitParser.ts';

type Ready = Extract<Prepared, { ok: true }>;
type Checked = { value?: unknown; issues?: readonly { message: string; path?: readonly unknown[] }[] };

/** Parses a unit and checks it; a promise only where the schema answers by one. Never throws, never rejects. */
export function checkUnit(
  work: WorkDefinition,
  prepared: Ready,
  run: Run,
): ParsedUnit | PromiseLike<ParsedUnit> {
  const parsed = prepared.parser.parse(run);
  const { schema } = work.options;
  if (!parsed.ok || !schema) return parsed;
  const record = `record ${run.unit + 1}`;
  const judged = ({ value, issues }: Checked): ParsedUnit => {
    if (!issues) return { ok: true, value };
    const says = issues.map(({ message, path }) => (path?.length ? `${pathOf(path)}: ${message}` : message));
    return { ok: false, code: 'invalid_unit', message: `${record}: ${says.join('; ')}` };
  };
  const broke = (error: unknown): ParsedUnit => {
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, code: 'invalid_unit', message: `${record}: the schema threw: ${message}` };
  };
  try {
    const checked: unknown = schema['~standard'].validate(parsed.value);
    if (!isPromise(checked)) return judged(checked as Checked);
    return checked.then((late) => judged(late as Checked)).then(undefined, broke);
  } catch (error) {
    return broke(error);
  }
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

function pathOf(path: readonly unknown[]): string {
  const keys = path.map((part) =>
    typeof part === 'object' && part !== null && 'key' in part ? part.key : part,
  );
  return `field ${keys.join('.')}`;
}
