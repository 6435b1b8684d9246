/**
 * A worker process of the simulation: the real core, with runs that take their time and end as the dice say.
 * It stands for the shell and the executor: steps in order, no at-most-once step without asking, a retry
 * of one step alone.
 */
import { assert } from '../../shared/core/errors.ts';
import { decodeMasterMessage, encodeFrame } from '../../shared/protocol/codec.ts';
import type { Effect, MasterMessage, WorkerMessage, WorkManifest } from '../../shared/protocol/messages.ts';
import type { Run } from '../../worker/core/held.ts';
import type { Outcome } from '../../worker/core/outcomes.ts';
import type { WorkerOutput } from '../../worker/core/output.ts';
import { encodeState } from '../../worker/core/stepState.ts';
import { Worker, type WorkerInput } from '../../worker/core/worker.ts';
import { Controls, type Told } from './controls.ts';
import type { Dice } from './dice.ts';
import { answerOf, type PlannedGather } from './gatherPlan.ts';
import { Process } from './process.ts';
import type { Source } from './sources.ts';
import { tokenOf } from './story.ts';
import type { Timeline } from './timeline.ts';
import { hasCheckpoint, outputOf } from './works.ts';

const ATTEMPTS = 4;

export type Luck = {
  fail: number;
  retry: number;
  long: number;
  unknown: number;
  skip: number;
  runMs: number;
};

export type WorkerParts = {
  timeline: Timeline;
  dice: Dice;
  session: string;
  works: readonly WorkManifest[];
  slots: number;
  name: string;
  area: string;
  gatherOf: (epic: string) => PlannedGather;
  sourceOf: (epic: string) => Source;
  sources: readonly string[];
  heartbeatMs: number;
  luck: () => Luck;
  send: (to: WorkerOutput['messages'][number]['to'], message: WorkerMessage, frame: Uint8Array) => void;
  /** A run starts, or goes on after it waited. */
  started: (run: Run) => void;
  /** The effect of a step happens now. */
  effect: (run: Run, effect: Effect, index: number) => void;
  /** A step of it begins, with this input. */
  runs: (run: Run, index: number, input: unknown) => void;
  /** A fold has all that it was given. */
  folds: (run: Run, told: Told) => void;
  /** Told after each step. */
  watch: (message: MasterMessage | undefined) => void;
  /** It has drained and ends. */
  ended: () => void;
};

export class WorkerNode {
  readonly core: Worker;
  readonly process: Process;
  readonly session: string;
  readonly #parts: WorkerParts;
  /** Runs whose step has not ended, and those among them whose signal fired. */
  readonly #running = new Set<Run>();
  readonly #aborted = new Set<Run>();
  readonly #controls: Controls;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.session = parts.session;
    this.process = new Process(parts.timeline);
    const { works, slots, name, area, dice, heartbeatMs, session, luck, gatherOf, sourceOf, folds } = parts;
    const { sources } = parts;
    const identity = { name, works: [...works], sources, labels: { area }, slots, version: '0' };
    this.core = new Worker({ identity, random: dice.random, heartbeatMs });
    this.#controls = new Controls({
      core: this.core,
      session,
      dice,
      luck,
      gatherOf,
      sourceOf,
      after: (ms, then) => this.process.after(ms, then),
      ran: () => this.step({ type: 'ran' }),
      folds,
    });
  }

  receive(frame: Uint8Array): void {
    this.process.run(() => {
      const { message, units } = decodeMasterMessage(frame);
      this.step({ type: 'message', message, units });
      this.#parts.watch(message);
    });
  }

  /** One step, and a pass over what may start. */
  step(input: WorkerInput): void {
    if (!this.process.move()) return;
    this.#take(input);
    for (let run = this.core.next(); run; run = this.core.next()) {
      if (run.held.control) {
        this.#controls.start(run);
        continue;
      }
      assert(!run.isUnreadable, `a state that worker ${this.session} was granted is none`);
      this.#parts.started(run);
      this.#advance(run, run.state?.index ?? 0, run.state?.input);
    }
    this.#take({ type: 'ran' });
    if (input.type !== 'message') this.#parts.watch(undefined);
  }

  #take(input: WorkerInput): void {
    const { timeline, dice } = this.#parts;
    const output: WorkerOutput = this.core.step(input, timeline.nowMs);
    assert(output.fatal === undefined, `worker ${this.session} was refused: ${output.fatal?.code}`);
    for (const { to, message, payload } of output.messages) {
      if (this.process.move()) this.#parts.send(to, message, encodeFrame(message, payload));
    }
    // As the executor does: an at-most-once effect that has begun is left to end.
    for (const run of output.aborts) {
      if (run.held.control) this.#controls.abort(run);
      else if (!run.begun) this.#aborted.add(run);
    }
    for (const heard of output.heard) this.#controls.heard(heard);
    for (const { run, go } of output.proceeds) {
      if (!go) this.core.dropped(run);
      else this.#runStep(run, run.state?.index ?? 0, run.state?.input);
    }
    for (const { work, hash } of output.briefs) {
      this.process.after(dice.between(0, 200), () => this.step({ type: 'brief-ready', work, hash }));
    }
    assert(output.wakeAt > timeline.nowMs, `worker ${this.session} wakes at ${output.wakeAt}`);
    this.#wake(output.wakeAt);
    if (output.drain) this.process.after(0, () => this.step({ type: 'drain' }));
    if (output.drained) this.#parts.ended();
  }

  #wake(atMs: number): void {
    if (atMs >= this.#wakeAt) return;
    this.#wakeAt = atMs;
    this.#parts.timeline.at(atMs, () => {
      this.process.run(() => {
        if (this.#wakeAt !== atMs) return;
        this.#wakeAt = Number.POSITIVE_INFINITY;
        this.step({ type: 'tick' });
      });
    });
  }

  #advance(run: Run, index: number, input: unknown): void {
    const step = this.#stepsOf(run)[index];
    if (!step) return this.#end(run, this.#success(run), undefined);
    const effect = step.effect === 'at-most-once';
    const state = this.#stateAt(run, index, input);
    if (!effect && !state) return this.#runStep(run, index, input);
    run.state = { index, input };
    this.core.ask(run, { effect, ...(state && { state }) });
  }

  /** The state that a step begins with, where it is to be kept and is not yet. */
  #stateAt({ held, kept, attempts, bytes }: Run, index: number, input: unknown): Uint8Array | undefined {
    if (!hasCheckpoint(held.work, index - 1) || kept?.step === index) return undefined;
    const encoded = encodeState({ step: index, input, attempts }, bytes.length);
    assert(encoded.ok, 'a state of the simulation can be kept');
    return encoded.bytes;
  }

  #runStep(run: Run, index: number, input: unknown): void {
    const { dice, luck } = this.#parts;
    run.state = undefined;
    this.#parts.runs(run, index, input);
    const { effect, name } = this.#stepsOf(run)[index] as WorkManifest['steps'][number];
    const attempt = run.attempts[index] ?? 1;
    const ms = dice.between(0, luck().runMs);
    const fate = this.#fate(run, index, attempt);
    this.#running.add(run);
    const happens = fate.kind === 'ok' || (fate.kind === 'unknown' && dice.chance(0.5));
    if (effect !== 'none' && happens) {
      this.process.after(ms * dice.random(), () => this.#parts.effect(run, effect, index));
    }
    this.process.after(ms, () => {
      this.#running.delete(run);
      if (this.#aborted.delete(run) && effect === 'none') {
        const stopped = { step: index, attempt: attempt + 1, delayMs: 10, code: 'stopped' };
        this.#end(run, { kind: 'retry', ...stopped }, input);
      } else if (fate.kind === 'ok') this.#advance(run, index + 1, outputOf(run.unit, index));
      else this.#end(run, this.#outcome(fate, name, index, attempt), input);
      this.step({ type: 'ran' });
    });
  }

  #fate(run: Run, index: number, attempt: number): { kind: Outcome['kind'] } {
    const { dice, luck } = this.#parts;
    const { fail, retry, unknown, skip } = luck();
    const effect = this.#stepsOf(run)[index]?.effect ?? 'none';
    if (attempt < ATTEMPTS && dice.chance(retry)) return { kind: 'retry' };
    if (dice.chance(fail)) return { kind: 'failed' };
    if (dice.chance(skip)) return { kind: 'skipped' };
    if (effect !== 'none' && dice.chance(unknown)) return { kind: 'unknown' };
    return { kind: 'ok' };
  }

  #outcome({ kind }: { kind: Outcome['kind'] }, step: string, index: number, attempt: number): Outcome {
    const { dice, luck } = this.#parts;
    switch (kind) {
      case 'ok':
      case 'skipped':
        return { kind };
      case 'failed':
      case 'unknown':
        return { kind, code: 'simulated', message: 'as the dice said', step, attempt };
      default: {
        const delayMs = dice.chance(luck().long) ? dice.between(10_001, 12_000) : dice.between(0, 500);
        return { kind: 'retry', step: index, attempt: attempt + 1, delayMs, code: 'simulated' };
      }
    }
  }

  #end(run: Run, outcome: Outcome, input: unknown): void {
    // As the executor does: a step to be run again keeps its place.
    if (outcome.kind === 'retry') run.state = { index: outcome.step, input };
    this.core.finish(run, outcome);
  }

  #success({ unit, held }: Run): Outcome {
    const { works, session } = this.#parts;
    if (!works.find(({ name }) => name === held.work)?.gather) return { kind: 'ok' };
    const token = tokenOf({ session, term: held.term, n: held.n });
    return { kind: 'ok', answer: new TextEncoder().encode(answerOf(token, unit)) };
  }

  #stepsOf(run: Run): WorkManifest['steps'] {
    const work = this.#parts.works.find(({ name }) => name === run.held.work);
    assert(work, `worker ${this.session} runs ${run.held.work}, which it does not offer`);
    return work.steps;
  }
}
