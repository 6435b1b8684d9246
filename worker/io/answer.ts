/** What a unit comes to whose steps have all run: in a gather, its answer goes with it. */
import { UNIT_BYTES_MAX } from '../../shared/core/limits.ts';
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { Outcome } from '../core/outcomes.ts';
import { jsonOf } from './json.ts';

/** The same for all that bring no answer: nobody changes it. */
const OK: Outcome = Object.freeze({ kind: 'ok' });

/** How a unit ended of which `value` is what the last step returned, at its run number `attempt`. */
export function outcomeOf(work: WorkDefinition, value: unknown, attempt: number): Outcome {
  if (!work.gather) return OK;
  const json = jsonOf(value);
  if (json.ok && json.bytes.length <= UNIT_BYTES_MAX) return { kind: 'ok', answer: json.bytes };
  const step = work.steps.at(-1)?.name ?? '';
  // Its effect has happened: what failed could be tried again, and would do it twice.
  const isDone = work.steps.some(({ effect }) => effect === 'at-most-once');
  return {
    kind: isDone ? 'unknown' : 'failed',
    code: json.ok ? 'result_too_large' : 'result_not_json',
    message: json.ok
      ? `what ${step} returned has ${json.bytes.length} bytes as JSON, over ${UNIT_BYTES_MAX}`
      : `what ${step} returned cannot be written as JSON: it ${json.why}`,
    step,
    attempt,
  };
}
