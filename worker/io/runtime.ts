/**
 * The worker's shell: takes frames and time to the core, starts what it gives, and sends what it says.
 *
 * V1: after each pass over startable units the loop is free again within PASS_MS, so that frames, timers
 *     and sockets are served.
 * V2: draining ends when everything begun is settled, or after `drainMs`.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { RESEND_MS } from '../../shared/core/limits.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { SourceDefinition } from '../../shared/core/userSource.ts';
import type { WorkDefinition } from '../../shared/core/work.ts';
import type { Bus } from '../../shared/io/bus.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import { decodeMasterMessage, encodeFrame } from '../../shared/protocol/codec.ts';
import type { MasterMessage } from '../../shared/protocol/messages.ts';
import type { WorkerOutput } from '../core/output.ts';
import { Worker, type WorkerIdentity, type WorkerInput } from '../core/worker.ts';
import { Controls } from './controls.ts';
import { Executor, type ExecutorParts } from './executor.ts';
import { Preparations } from './preparations.ts';
import type { Stretch } from './stretch.ts';
import type { Threads } from './threads.ts';

/** Longest time of one pass over startable units. */
const PASS_MS = 5;
/** Units started between two looks at the clock. */
const PASS_UNITS = 64;

export type WorkerParts = {
  identity: WorkerIdentity;
  works: ReadonlyMap<string, WorkDefinition>;
  /** By name, those that the identity names. */
  sources?: ReadonlyMap<string, SourceDefinition>;
  bus: Bus;
  clock: Clock;
  random: Rng;
  log: Log;
  heartbeatMs?: number;
  onStep?: ExecutorParts['onStep'];
  /** For steps that want a thread; without, they run on the loop. */
  threads?: Threads;
};

export class WorkerRuntime {
  readonly #parts: WorkerParts;
  readonly #core: Worker;
  readonly #executor: Executor;
  readonly #controls: Controls;
  readonly #preparations = new Preparations();
  /** Briefs asked for and not yet here, and when they were asked for. */
  readonly #wanted = new Map<string, { works: Set<string>; askedMs: number }>();
  readonly #closed: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void };
  readonly #toldToDrain = withResolvers();
  /** The pass that is to come. */
  #scheduled: NodeJS.Immediate | undefined;
  #cancelWake: () => void = () => {};
  #wakeAt = Number.POSITIVE_INFINITY;
  #drained: (() => void) | undefined;
  #over = false;
  #hasHeard = false;
  #heldMax = 0;
  #preparing = 0;
  #ups = 0;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    const { identity, random, heartbeatMs } = parts;
    this.#core = new Worker({
      identity,
      random,
      ...(heartbeatMs !== undefined && { heartbeatMs }),
      keyOf: (run) => this.#executor.keyOf(run),
    });
    const finish: ExecutorParts['finish'] = (run, outcome) => {
      this.#core.finish(run, outcome);
      this.#schedule();
    };
    this.#executor = new Executor({
      works: parts.works,
      preparations: this.#preparations,
      random,
      monoMs: () => parts.clock.monoMs(),
      setTimer: (ms, fn) => parts.clock.setTimer(ms, fn),
      log: parts.log,
      ...(parts.onStep && { onStep: parts.onStep }),
      ...(parts.threads && { threads: parts.threads }),
      ask: (run, want) => {
        this.#core.ask(run, want);
        this.#schedule();
      },
      finish,
    });
    this.#controls = new Controls({
      ...parts,
      preparations: this.#preparations,
      setTimer: (ms, fn) => parts.clock.setTimer(ms, fn),
      give: (run, given) => {
        this.#core.exchanges.give(run, given);
        this.#schedule();
      },
      want: (run, after) => {
        this.#core.exchanges.want(run, after);
        this.#schedule();
      },
      finish,
    });
    this.#warnOfThreads();
    this.#closed = withResolvers();
    this.#closed.promise.catch(() => {});
  }

  /** Resolves when this worker has ended; rejects when a master refused it for good. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Resolves when an operator drains this worker through its master. */
  get toldToDrain(): Promise<void> {
    return this.#toldToDrain.promise;
  }

  /** Units held and not yet told settled: this worker's mailbox. */
  get held(): number {
    return this.#core.held;
  }

  /** Most units ever held. */
  get heldMax(): number {
    return this.#heldMax;
  }

  get running(): number {
    return this.#core.running;
  }

  /** Whether code of users runs here: steps, scatters, folds, what prepares a brief. */
  get busy(): boolean {
    return this.#core.running + this.#preparing > 0;
  }

  /** How often a lost link was made again. */
  get reconnects(): number {
    return Math.max(0, this.#ups - 1);
  }

  /** The step that kept the loop longest since this was last asked. */
  longestStretch(): Stretch {
    return this.#executor.stretches.take();
  }

  /** Says that the loop was blocked, and by what as far as that is known. */
  tellBlocked(ms: number, longest: Stretch): void {
    const { log } = this.#parts;
    if (2 * longest.ms >= ms) {
      const { work, step } = longest;
      const cure = 'give the step the option thread: true';
      return log.warn('a step blocked the event loop: heartbeats and all other units waited', {
        work,
        step,
        ms,
        cure,
      });
    }
    log.warn(
      'the event loop stood still: a step computed for long after an await, or the process was stopped',
      {
        ms,
        running: this.#executor.onLoop().join(', '),
        cure: 'give a step that computes for long the option thread: true',
      },
    );
  }

  /** Whether a master was heard yet: over a server the link can be up without one. */
  get hasHeard(): boolean {
    return this.#hasHeard;
  }

  /** Opens the link; what makes that impossible ends the worker (`closed` rejects too). */
  async open(): Promise<void> {
    const opened = this.#parts.bus.open({
      onFrame: (_from, frame) => this.#frame(frame),
      onUp: () => {
        this.#ups += 1;
        this.#step({ type: 'up' });
      },
      onDown: (reason) => {
        if (this.#over) return;
        this.#parts.log.warn('the link to the master is down; trying again', { reason });
        this.#step({ type: 'down' });
      },
    });
    opened.catch((error: unknown) => {
      if (!this.#over) this.#closed.reject(error as Error);
    });
    return opened;
  }

  /** Asks for nothing more, hands back what has not begun, ends what has, and closes (V2). */
  async drain(reason: string, drainMs: number): Promise<void> {
    const { log, clock, bus } = this.#parts;
    if (this.#over) return;
    log.info('draining', { reason, running: this.#core.running, held: this.#core.held });
    const done = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    const cancel = clock.setTimer(drainMs, () => {
      log.error('gave up draining: these did not end in time', {
        steps: [...this.#executor.waitingFor(), ...this.#controls.waitingFor()].join(', '),
      });
      this.#drained?.();
    });
    this.#controls.stopReads('the worker drains');
    this.#step({ type: 'drain' });
    await done;
    cancel();
    this.#over = true;
    this.#cancelWake();
    this.#executor.close();
    bus.send({ to: 'masters' }, encodeFrame({ t: 'bye', reason: 'gone' }));
    await bus.close();
    this.#closed.resolve();
  }

  #frame(frame: Uint8Array): void {
    if (this.#over) return;
    let decoded: ReturnType<typeof decodeMasterMessage>;
    try {
      decoded = decodeMasterMessage(frame);
    } catch (error) {
      if (!(error instanceof GimmeError)) throw error;
      return this.#parts.log.warn('refused a message', { code: error.code, why: error.message });
    }
    this.#hasHeard = true;
    const { message, units } = decoded;
    if (message.t === 'brief') return this.#takeBrief(message, units.at(0));
    const isIdle = this.#core.running === 0 && this.#core.pending === 0;
    this.#step({ type: 'message', message, units });
    // Nothing else would have a part in the pass that is to come, so nobody waits for it.
    if (isIdle && message.t === 'work') this.#pass();
  }

  #step(input: WorkerInput): void {
    const nowMs = this.#parts.clock.monoMs();
    this.#executor.stretches.begin(nowMs);
    const output = this.#core.step(input, nowMs);
    if (this.#core.held > this.#heldMax) this.#heldMax = this.#core.held;
    for (const { to, message, payload } of output.messages) {
      this.#parts.bus.send(to, encodeFrame(message, payload));
    }
    for (const run of output.aborts) {
      (run.held.control ? this.#controls : this.#executor).abort(run, 'the master stopped this unit');
    }
    for (const heard of output.heard) this.#controls.heard(heard);
    for (const { run, go } of output.proceeds) {
      if (go) this.#executor.proceed(run);
      else this.#core.dropped(run);
    }
    for (const { work, hash } of output.briefs) this.#wantBrief(work, hash);
    this.#after(output, input);
  }

  #after(output: WorkerOutput, input: WorkerInput): void {
    if (output.fatal) {
      const { code, message } = output.fatal;
      this.#over = true;
      const known = code === 'protocol_version' ? 'protocol_version' : 'bad_message';
      this.#closed.reject(new GimmeError(known, message));
      return;
    }
    if (input.type === 'tick') this.#askAgain();
    if (output.drain) this.#toldToDrain.resolve();
    if (output.drained) this.#drained?.();
    this.#wake(output.wakeAt);
    if (input.type !== 'ran') this.#schedule();
  }

  #warnOfThreads(): void {
    const { works, threads, log } = this.#parts;
    for (const work of works.values()) {
      const steps = work.steps.filter((step) => step.thread).map((step) => step.name);
      if (steps.length === 0 || threads?.has(work.name)) continue;
      const why = 'a thread can load a work only from a module';
      log.warn('steps with thread: true run on the main thread', {
        work: work.name,
        steps: steps.join(','),
        why,
      });
    }
  }

  /** Runs a pass soon; many reasons within one turn of the loop make one pass. */
  #schedule(): void {
    if (this.#over) return;
    this.#scheduled ??= setImmediate(() => this.#pass());
  }

  #pass(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    if (this.#over) return;
    const { clock } = this.#parts;
    const { stretches } = this.#executor;
    stretches.begin(clock.monoMs());
    const untilMs = stretches.nowMs + PASS_MS;
    let started = 0;
    for (let run = this.#core.next(); run; run = this.#core.next()) {
      (run.held.control ? this.#controls : this.#executor).start(run);
      started += 1;
      if (started % PASS_UNITS === 0) stretches.begin(clock.monoMs());
      if (stretches.nowMs >= untilMs) {
        this.#schedule(); // V1
        break;
      }
    }
    this.#step({ type: 'ran' });
  }

  #wake(atMs: number): void {
    if (atMs >= this.#wakeAt || this.#over) return;
    this.#cancelWake();
    this.#wakeAt = atMs;
    this.#cancelWake = this.#parts.clock.setTimer(Math.max(0, atMs - this.#parts.clock.monoMs()), () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      if (!this.#over) this.#step({ type: 'tick' });
    });
  }

  #wantBrief(work: string, hash: string): void {
    const wanted = this.#wanted.get(hash) ?? {
      works: new Set<string>(),
      askedMs: this.#parts.clock.monoMs(),
    };
    wanted.works.add(work);
    this.#wanted.set(hash, wanted);
    this.#parts.bus.send({ to: 'masters' }, encodeFrame({ t: 'want-brief', hash }));
  }

  /** A request or a part may have been lost. */
  #askAgain(): void {
    const nowMs = this.#parts.clock.monoMs();
    for (const [hash, wanted] of this.#wanted) {
      if (nowMs - wanted.askedMs < RESEND_MS) continue;
      wanted.askedMs = nowMs;
      this.#parts.bus.send({ to: 'masters' }, encodeFrame({ t: 'want-brief', hash }));
    }
  }

  #takeBrief(message: Extract<MasterMessage, { t: 'brief' }>, bytes: Uint8Array): void {
    const { hash, part, parts } = message;
    const wanted = this.#wanted.get(hash);
    if (!wanted) return;
    const whole = this.#preparations.take(hash, part, parts, bytes);
    if (!whole) return;
    this.#wanted.delete(hash);
    for (const name of wanted.works) void this.#prepare(name, hash, whole);
  }

  async #prepare(name: string, hash: string, bytes: Buffer): Promise<void> {
    const work = this.#parts.works.get(name);
    if (!work) return;
    this.#preparing += 1;
    await this.#preparations.prepare(work, hash, bytes); // It never throws.
    this.#preparing -= 1;
    if (this.#over) return;
    this.#step({ type: 'brief-ready', work: name, hash });
    for (const key of this.#core.forgetBriefs()) this.#preparations.forget(key);
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve: () => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
