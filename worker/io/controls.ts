/**
 * The control runs of a worker: scatters and folds of gathers, and reads of sources, beside the units that its executor
 * runs.
 */
import type { SourceDefinition } from '../../shared/core/userSource.ts';
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { Run } from '../core/held.ts';
import type { Outcome } from '../core/outcomes.ts';
import type { Heard } from '../core/output.ts';
import { type ControlPorts, ControlRun, type Task } from './controlRun.ts';
import { foldTask, scatterTask } from './gatherTasks.ts';
import type { Preparations } from './preparations.ts';
import { readTask } from './readTask.ts';
import { Warnings } from './warnings.ts';

export type ControlsParts = Omit<ControlPorts, 'threw'> & {
  works: ReadonlyMap<string, WorkDefinition>;
  sources?: ReadonlyMap<string, SourceDefinition>;
  preparations: Preparations;
};

const NO_SOURCES: ReadonlyMap<string, SourceDefinition> = new Map();

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
    const { work: name, control, epic } = run.held;
    const task = this.#taskOf(run);
    if (typeof task !== 'function') return this.#parts.finish(run, task);
    const controlRun = new ControlRun(run, task, {
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

  /** Hands back the reads: another worker goes on with them. */
  stopReads(reason: string): void {
    for (const run of [...this.#runs.keys()]) if (run.held.control === 'read') this.abort(run, reason);
  }

  /** What it is to do, or how it ends at once. */
  #taskOf({ held: { work, brief, control } }: Run): Task | Outcome {
    const { works, sources = NO_SOURCES, preparations } = this.#parts;
    if (control === 'read') return readTask(sources);
    const prepared = preparations.get(work, brief);
    if (!prepared.ok) return failed('bad_brief', prepared.message);
    const gather = works.get(work)?.gather;
    if (!gather) return failed(`${control}_failed`, `${work} is no gather on this worker`);
    return control === 'fold' ? foldTask(gather, prepared.brief) : scatterTask(gather, prepared.brief);
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
