/** The control runs of a worker: scatters and folds of gathers, beside the units that its executor runs. */
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { Run } from '../core/held.ts';
import type { Outcome } from '../core/outcomes.ts';
import type { Heard } from '../core/output.ts';
import { type ControlPorts, ControlRun } from './controlRun.ts';
import type { Preparations } from './preparations.ts';
import { Warnings } from './warnings.ts';

export type ControlsParts = Omit<ControlPorts, 'threw'> & {
  works: ReadonlyMap<string, WorkDefinition>;
  preparations: Preparations;
};

export class Controls {
  readonly #parts: ControlsParts;
  readonly #warnings: Warnings;
  readonly #runs = new Map<Run, ControlRun>();

  constructor(parts: ControlsParts) {
    this.#parts = parts;
    this.#warnings = new Warnings(parts.log);
  }

  /** Runs the scatter or the fold that a run stands for. */
  start(run: Run): void {
    const { work: name, brief, control, epic } = run.held;
    const { works, preparations } = this.#parts;
    const prepared = preparations.get(name, brief);
    if (!prepared.ok) return this.#parts.finish(run, failed('bad_brief', prepared.message));
    const gather = works.get(name)?.gather;
    if (!gather)
      return this.#parts.finish(run, failed(`${control}_failed`, `${name} is no gather on this worker`));
    const controlRun = new ControlRun(run, gather, prepared, {
      ...this.#parts,
      finish: (ended, outcome) => {
        this.#runs.delete(ended);
        this.#parts.finish(ended, outcome);
      },
      threw: (error) => this.#warnings.threw(name, control as string, epic, error),
    });
    this.#runs.set(run, controlRun);
    void controlRun.start();
  }

  heard(heard: Heard): void {
    this.#runs.get(heard.run)?.heard(heard);
  }

  abort(run: Run, reason: string): void {
    this.#runs.get(run)?.abort(reason);
  }

  /** Those that run, by work: what a shutdown waits for. */
  waitingFor(): string[] {
    return [...this.#runs.keys()].map(({ held }) => `${held.epic} (${held.control} of ${held.work})`);
  }
}

function failed(code: string, message: string): Outcome {
  return { kind: 'failed', code, message, step: '', attempt: 1 };
}
