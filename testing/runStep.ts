/** One step by itself, as a worker would call it: no timeout, no retry, no other step. */
import type { StepContext, WorkDefinition } from '../shared/core/work.ts';

/** What a step may be given beside its input; the rest is as on a first attempt of a first unit. */
export type StepGiven = Partial<StepContext>;

/**
 * Runs a step of a work with an input and returns what it returns, a `skip(...)` too; what it throws is thrown.
 * `brief` is as the step is given it: what the work's `prepare` makes of one, if it has that. Throws a TypeError where
 * the work has no such step.
 */
export async function runStep(
  work: Pick<WorkDefinition, 'name' | 'steps'>,
  name: string,
  input: unknown,
  given: StepGiven = {},
): Promise<unknown> {
  const step = work.steps.find((it) => it.name === name);
  if (!step) {
    const names = work.steps.map((it) => it.name).join(', ');
    throw new TypeError(`${work.name} has no step ${name}; there are ${names}`);
  }
  const { epic = 'test', unit = 0 } = given;
  const context: StepContext = {
    brief: null,
    signal: new AbortController().signal,
    effectKey: `${epic}.${unit}`,
    attempt: 1,
    log: () => {},
    ...given,
    epic,
    unit,
  };
  return step.run(input, context);
}
