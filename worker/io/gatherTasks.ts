/** What the control runs of a gather do: a scatter gives its parts, a fold asks for all answers and gives its value. */
import type { FoldContext, Gather } from '../../shared/core/gather.ts';
import { appendRange, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { BRIEF_BYTES_MAX, UNIT_BYTES_MAX } from '../../shared/core/limits.ts';
import { PermanentError } from '../../shared/core/work.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';
import type { ControlRun, Task } from './controlRun.ts';
import { jsonOf } from './json.ts';
import { labelsFrom, partsFrom } from './scatter.ts';

/** What the master says of a gather whose answers are to be folded. */
type Standing = { failed: number; unknown: number; items: number };

/** Gives what the scatter of this gather makes of a request. */
export function scatterTask({ scatter }: Gather, brief: unknown): Task {
  return async (run) => {
    const wait = run.wait.bind(run);
    const given = await wait(scatter.run(brief, run.context()));
    if (scatter.kind === 'labels') return run.give(labelsFrom(given));
    for await (const part of partsFrom(given, wait)) await run.give(part);
  };
}

/** Gives what the fold of this gather makes of the answers to a request. */
export function foldTask(gather: Gather, brief: unknown): Task {
  return async (run) => {
    const standing = JSON.parse(Buffer.from(run.bytes).toString()) as Standing;
    const { answers, units, missing } = await answersOf(run);
    const { failed, unknown, items } = standing;
    const complete = missing.length === 0 && failed === 0 && unknown === 0;
    const lost = IntervalSet.of(missing);
    const isMissing = (item: number): boolean => lost.has(item);
    const counts = { missing, isMissing, failed, unknown, items, complete, units };
    const context: FoldContext = { ...run.context(), brief, ...counts };
    const value = jsonOf(await run.wait(gather.fold(answers, context)));
    if (!value.ok)
      throw new PermanentError(`what the fold returned cannot be written as JSON: it ${value.why}`);
    const { bytes } = value;
    if (bytes.length > BRIEF_BYTES_MAX)
      throw new PermanentError(
        `what the fold returned has ${bytes.length} bytes as JSON, over ${BRIEF_BYTES_MAX}`,
      );
    for (let at = 0; at < bytes.length; at += UNIT_BYTES_MAX) {
      const end = at + UNIT_BYTES_MAX;
      await run.give({ items: [bytes.subarray(at, end)], last: end >= bytes.length });
    }
  };
}

/** All answers, and what is missing, page by page. */
async function answersOf(run: ControlRun): Promise<{ answers: unknown[]; units: number[]; missing: Ranges }> {
  const answers: unknown[] = [];
  const units: number[] = [];
  const missing: number[] = [];
  for (let isLast = false; !isLast; ) {
    const page = await run.page(Math.max(units.at(-1) ?? -1, (missing.at(-1) ?? 0) - 1));
    for (let i = 0; i < page.missing.length; i += 2)
      appendRange(missing, page.missing[i] as number, page.missing[i + 1] as number);
    eachOf(page.units, (unit) => units.push(unit));
    for (let i = 0; i < page.bytes.count; i++) answers.push(parsed(page.bytes, i));
    isLast = page.last;
  }
  return { answers, units, missing };
}

function parsed(bytes: UnitBytes, i: number): unknown {
  return JSON.parse(Buffer.from(bytes.at(i)).toString());
}
