/** One scatter, fold or read by itself, and a test that hears what it gives. */
import assert from 'node:assert/strict';
import { defineGather, type FoldContext, type GatherDefinition } from '../../../shared/core/gather.ts';
import { FakeClock } from '../../../shared/io/clock.ts';
import { silentLog } from '../../../shared/io/log.ts';
import { prefixed, unitsOf } from '../../../shared/protocol/codec.ts';
import { CONTROL_UNIT, type Control, type Work } from '../../../shared/protocol/messages.ts';
import type { Given } from '../../../worker/core/exchanges.ts';
import { Held } from '../../../worker/core/held.ts';
import type { Outcome } from '../../../worker/core/outcomes.ts';
import { ControlRun, type Task } from '../../../worker/io/controlRun.ts';
import { foldTask, scatterTask } from '../../../worker/io/gatherTasks.ts';

export const NOBODY = { failed: 0, unknown: 0, items: 0 };

export type Page = { units: number[]; values: unknown[]; missing?: number[]; last: boolean };

/** A control run of a gather; whoever listens takes each part at once, unless the test does not want that. */
export class Rig {
  readonly clock = new FakeClock();
  readonly given: Given[] = [];
  readonly wanted: number[] = [];
  readonly threw: unknown[] = [];
  readonly ended: Promise<Outcome>;
  readonly run: ControlRun;
  /** What answers a want: the numbers and the answers of a page, what is missing, and whether it is the last. */
  pages: (after: number) => Page = () => ({ units: [], values: [], last: true });
  isTaking = true;

  constructor(
    of: GatherDefinition<string> | Task,
    kind: Control,
    { attempt = 1, input = {} }: { attempt?: number; input?: object } = {},
  ) {
    const token = { t: 'work', term: 1, n: 1, epic: 'e', work: 'g', brief: 'b', seal: 's' } as const;
    const units = [CONTROL_UNIT, CONTROL_UNIT + 1];
    const again = [{ unit: CONTROL_UNIT, attempt, step: 0 }];
    const work: Work = { ...token, units, control: kind, again };
    const run = new Held(work, unitsOf(prefixed(Buffer.from(JSON.stringify(input)))), {}).start();
    assert.ok(run);
    let end: (outcome: Outcome) => void = () => {};
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    const task = kind === 'fold' ? foldTask : scatterTask;
    this.run = new ControlRun(run, typeof of === 'function' ? of : task(of.gather, 'request'), {
      give: (_run, given) => {
        this.given.push(given);
        if (this.isTaking) setImmediate(() => this.run.heard({ type: 'took', run }));
      },
      want: (_run, after) => {
        this.wanted.push(after);
        const { units, values, missing = [], last } = this.pages(after);
        const items = values.map((value) => prefixed(Buffer.from(JSON.stringify(value))));
        const ranges = units.flatMap((unit) => [unit, unit + 1]);
        const bytes = unitsOf(Buffer.concat(items));
        setImmediate(() => this.run.heard({ type: 'answers', run, units: ranges, bytes, missing, last }));
      },
      finish: (_run, outcome) => end(outcome),
      setTimer: (ms, fn) => this.clock.setTimer(ms, fn),
      log: silentLog,
      threw: (error) => void this.threw.push(error),
    });
  }

  async end(): Promise<Outcome> {
    void this.run.start();
    return this.ended;
  }
}

export const scatterOf = (
  run: (request: string, ctx: { signal: AbortSignal }) => unknown,
): GatherDefinition<string> =>
  defineGather<string>('g')
    .scatter(run as () => unknown[])
    .step('look', (it) => it)
    .gather({ deadline: '1m' }, (answers) => answers);

export const foldOf = (
  fold: (answers: unknown[], ctx: FoldContext<string>) => unknown,
): GatherDefinition<string> =>
  defineGather<string>('g')
    .scatter(() => [])
    .step('look', (it) => it)
    .gather({ deadline: '1m' }, fold);

export const texts = (given: readonly Given[]): string[] =>
  given.flatMap(({ items }) => items.map((item) => Buffer.from(item).toString()));
