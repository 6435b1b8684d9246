/**
 * The worker's core: takes what the master says and what runs came to, and decides what to hold, what
 * to start, what to report and how much to ask for.
 *
 * The shell's duties: send the messages; start what `next` gives as long as it gives something; call
 * `step` with `ran` after each such pass, and with `tick` at `wakeAt`.
 *
 * W1: level = capacity − units held (but for a few that wait), whatever happened to earlier messages (G8).
 * W2: a grant number is taken once; older ones are refused. A gap is told to the master at once.
 * W3: a report is kept until Settled, and sent again after RESEND_MS and after every reconnection.
 * W4: no effect of an at-most-once step begins without Proceed.
 * W5: nothing is given up because of the worker's own clock.
 * W6: who holds something and hears nothing says Hello to all masters: the one it knows may have been replaced,
 *     and the word of the new one lost.
 * W7: demand names the term that it is told to: what another master has granted is refused from then on.
 */
import { unreachable } from '../../shared/core/errors.ts';
import { countOf, eachOf } from '../../shared/core/intervalSet.ts';
import { HEARTBEAT_MS, RESEND_MS, WORK_AVAILABLE_JITTER_MS } from '../../shared/core/limits.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import {
  type MasterMessage,
  PROTOCOL_VERSION,
  type Proceed,
  type Work,
  type WorkerMessage,
  type WorkManifest,
} from '../../shared/protocol/messages.ts';
import type { Want } from './askings.ts';
import { Demand } from './demand.ts';
import { Exchanges } from './exchanges.ts';
import type { Run } from './held.ts';
import { Holdings, type KeyOf } from './holdings.ts';
import { KnownBriefs } from './knownBriefs.ts';
import type { Outcome } from './outcomes.ts';
import { blankOutput, type WorkerOutput } from './output.ts';
import { StepTallies } from './stepTallies.ts';

export type WorkerIdentity = {
  name: string;
  works: WorkManifest[];
  labels: Record<string, string>;
  slots: number;
  version: string;
  /** Names of the sources that it can read. */
  sources?: readonly string[];
};

export type WorkerInput =
  | { type: 'up' }
  | { type: 'down' }
  | { type: 'message'; message: MasterMessage; units: UnitBytes }
  | { type: 'ran' }
  | { type: 'tick' }
  | { type: 'brief-ready'; work: string; hash: string }
  | { type: 'drain' };

/** Heartbeats come this often while the counters they carry for display change. */
const BUSY_HEARTBEAT_MS = 500;
/** So long without a word from a master, while something is held, makes the worker look for one (W6). */
const SILENT_MS = 3 * RESEND_MS;
/** Least time between two Hellos that a master asks for. */
const HELLO_GAP_MS = 1_000;

export class Worker {
  /** What scatters and folds give and want; said with the next step. */
  readonly exchanges = new Exchanges();
  readonly #identity: WorkerIdentity;
  readonly #random: Rng;
  readonly #heartbeatMs: number;
  readonly #demand: Demand;
  readonly #holdings: Holdings;
  readonly #briefs = new KnownBriefs();
  readonly #tallies = new StepTallies();
  #up = false;
  #master: { id: string; term: number } | undefined;
  #lastGrant = 0;
  #at = 0;
  /** Level the master believes in, less what it granted since. */
  #offered = 0;
  #done = 0;
  #busy = false;
  #nowMs = 0;
  #beatMs = 0;
  #beatNow = false;
  /** When a WorkAvailable is to be answered. */
  #answerAtMs: number | undefined;
  #countersChanged = false;
  #draining = false;
  #helloMs = Number.NEGATIVE_INFINITY;
  #heardMs = 0;
  /** Whether a master has answered the last Hello. */
  #answered = false;
  #out: WorkerOutput = blankOutput();

  constructor(options: { identity: WorkerIdentity; random: Rng; heartbeatMs?: number; keyOf?: KeyOf }) {
    this.#identity = options.identity;
    this.#random = options.random;
    this.#heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
    this.#holdings = new Holdings(options.keyOf ?? (() => undefined), () => this.#demand.waitingMax);
    this.#demand = new Demand(options.identity.slots);
  }

  get running(): number {
    return this.#holdings.running;
  }

  get held(): number {
    return this.#holdings.units;
  }

  get pending(): number {
    return this.#holdings.pending;
  }

  step(input: WorkerInput, monoMs: number): WorkerOutput {
    if (this.#busy) this.#demand.measure(this.#done, monoMs - this.#nowMs);
    this.#done = 0;
    this.#nowMs = monoMs;
    this.#take(input);
    this.#holdings.waiting.wake(monoMs);
    this.#out.aborts.push(...this.exchanges.over(monoMs));
    this.#tell();
    this.#busy = this.running > 0 || this.pending > 0;
    const output = this.#out;
    output.wakeAt = this.#wakeAt();
    output.drained = this.#draining && this.running === 0 && this.held === 0;
    this.#out = blankOutput();
    return output;
  }

  /** Gives the next unit to start, if a slot is free; the caller ends it by `finish` or `dropped`. */
  next(): Run | undefined {
    if (this.running >= this.#identity.slots) return undefined;
    // A read of a source has what it needs with it, and is no part of what is done with its units.
    return this.#holdings.start((held) => held.control === 'read' || this.#briefs.isReady(held.briefKey));
  }

  /**
   * Asks whether an at-most-once effect may begin (W4), or has the state made durable that the run goes on with, or
   * both; the answer comes as a `proceeds` of a later step.
   */
  ask(run: Run, want: Want = { effect: true }): void {
    this.#holdings.ask(run, want);
  }

  /** Ends a run. */
  finish(run: Run, outcome: Outcome): void {
    this.#done += 1;
    this.#countersChanged = true;
    this.exchanges.forget(run);
    this.#holdings.finish(run, outcome, !this.#draining, this.#nowMs);
  }

  /** Briefs, as `<work> <hash>`, that need not be kept: many newer ones came and no grant needs them. */
  forgetBriefs(): string[] {
    return this.#briefs.forget(new Set([...this.#holdings.all()].map((held) => held.briefKey)));
  }

  /** Ends a run that was not allowed to go on. */
  dropped(run: Run): void {
    this.#holdings.drop(run, this.#nowMs);
  }

  #take(input: WorkerInput): void {
    switch (input.type) {
      case 'up':
        this.#up = true;
        return this.#hello();
      case 'down':
        this.#up = false;
        return;
      case 'message':
        this.#heardMs = this.#nowMs;
        return this.#message(input.message, input.units);
      case 'brief-ready':
        this.#briefs.arrived(`${input.work} ${input.hash}`);
        return;
      case 'drain':
        return this.#drain();
      case 'ran':
      case 'tick':
        return;
      default:
        return unreachable(input);
    }
  }

  #message(message: MasterMessage, units: UnitBytes): void {
    switch (message.t) {
      case 'available':
        return this.#available(message.master, message.term);
      case 'work':
        return this.#work(message, units);
      case 'proceed':
        return this.#proceed(message);
      case 'took': {
        const run = this.exchanges.took(this.#holdings.get(message.term, message.n), message.part);
        if (run) this.#out.heard.push({ type: 'took', run });
        return;
      }
      case 'answers': {
        const { term, n, after, missing, last } = message;
        const run = this.exchanges.answered(this.#holdings.get(term, n), after);
        const page = { units: message.units, bytes: units, missing, last };
        if (run) this.#out.heard.push({ type: 'answers', run, ...page });
        return;
      }
      case 'settled':
        for (const { n, units: settled } of message.grants) {
          const held = this.#holdings.get(message.term, n);
          if (held) this.#holdings.forget(held, settled);
        }
        return;
      case 'recall':
        if (message.term !== this.#master?.term) return; // G5
        if (message.next === 'end') this.#out.drain = true;
        return this.#holdings.recall(message.count, message.epic, this.#nowMs);
      case 'abort':
        if (message.term !== this.#master?.term) return; // G5
        this.#out.aborts.push(...this.#holdings.abort(message.epic, message.units, this.#nowMs));
        return;
      case 'brief':
        return; // The shell puts briefs together.
      case 'refused':
        return this.#refused(message.code, message.message);
      default:
        return unreachable(message);
    }
  }

  #available(master: string, term: number): void {
    if (this.#master && term < this.#master.term) return;
    this.#answered = true;
    if (this.#master?.id === master && this.#master.term === term) {
      this.#answerAtMs ??= this.#nowMs + this.#random() * WORK_AVAILABLE_JITTER_MS;
      return;
    }
    const answersHello = this.#master === undefined && this.#helloMs > Number.NEGATIVE_INFINITY;
    this.#master = { id: master, term };
    this.#lastGrant = 0;
    this.#offered = 0; // W7: what it was told of demand named no term, or another.
    if (!answersHello) this.#hello();
  }

  #work(work: Work, bytes: UnitBytes): void {
    if (!this.#master || work.term !== this.#master.term) return;
    if (work.n <= this.#lastGrant) return; // W2
    const gap = work.n > this.#lastGrant + 1;
    this.#lastGrant = work.n;
    const count = countOf(work.units);
    this.#offered -= count;
    if (gap || count === 0) this.#beatNow = true; // W2
    if (count === 0) return;
    const offered = work.control ? undefined : this.#identity.works.find(({ name }) => name === work.work);
    const steps = offered?.steps ?? [];
    const held = this.#holdings.take(work, bytes, this.#tallies.of(work.epic), steps);
    if (work.control !== 'read' && this.#briefs.need(held.briefKey))
      this.#out.briefs.push({ work: work.work, hash: work.brief });
    if (this.#draining) this.#holdings.giveBackAll(this.#nowMs);
  }

  #proceed({ term, n, at, go, skip }: Proceed): void {
    const held = this.#holdings.get(term, n);
    if (!held) return;
    const answer = (unit: number, allowed: boolean): void => {
      const run = held.asks.answer(unit, at, allowed); // W4
      if (run) this.#out.proceeds.push({ run, go: allowed });
    };
    eachOf(go, (unit) => answer(unit, true));
    eachOf(skip, (unit) => answer(unit, false));
  }

  #refused(code: string, message: string): void {
    if (code === 'too_many_sessions') return; // It says hello again with the next heartbeat.
    if (code !== 'unknown_session') this.#out.fatal = { code, message };
    else if (this.#nowMs - this.#helloMs >= HELLO_GAP_MS) this.#hello();
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#send({ t: 'bye', reason: 'draining' });
    this.#holdings.giveBackAll(this.#nowMs);
  }

  /** Sends what is due: reports with demand, then begins, then the heartbeat. */
  #tell(): void {
    if (!this.#up) return;
    if (this.#nowMs >= this.#nextHelloMs()) this.#hello();
    if (!this.#master) return;
    const quarter = this.#demand.capacity >> 2;
    const waiting = Math.max(1, Math.min(quarter, this.pending));
    // What was asked for and has not come yet need not be asked for again.
    const room = Math.max(1, Math.min(quarter, this.pending + this.#offered));
    const asked = this.#answerAtMs !== undefined && this.#nowMs >= this.#answerAtMs;
    const overdue = this.#nowMs >= (this.#holdings.outbox.dueMs ?? Number.POSITIVE_INFINITY);
    if (this.#holdings.outbox.count >= waiting || overdue || this.#level() - this.#offered >= room || asked) {
      this.#answerAtMs = undefined;
      this.#gimme();
    }
    this.#askAll();
    // Said only to a master that is there: what nobody could hear would count as not answered.
    const said = this.#answered ? this.exchanges.take(this.#nowMs) : [];
    for (const { message, payload } of said) this.#send(message, payload);
    if (this.#nowMs >= this.#nextBeatMs()) this.#heartbeat();
  }

  #nextHelloMs(): number {
    if (!this.#answered) return this.#helloMs + this.#heartbeatMs;
    if (this.held === 0) return Number.POSITIVE_INFINITY;
    return Math.max(this.#heardMs, this.#helloMs) + SILENT_MS; // W6
  }

  #nextBeatMs(): number {
    if (this.#beatNow) return 0;
    const busyMs = this.#countersChanged ? BUSY_HEARTBEAT_MS : this.#heartbeatMs;
    return this.#beatMs + Math.min(this.#heartbeatMs, busyMs);
  }

  #level(): number {
    return this.#draining ? 0 : this.#demand.level(this.held, this.#holdings.waiting.size); // W1
  }

  #gimme(): void {
    for (let more = true; more; ) {
      const taken = this.#holdings.outbox.take(this.#nowMs);
      this.#send({ t: 'gimme', ...this.#stand(), reports: taken.reports }, taken.payload);
      more = taken.more;
    }
  }

  /** Says where this worker stands: the demand part of a message. */
  #stand(): { at: number; term: number; lastGrant: number; level: number } {
    this.#at += 1;
    this.#offered = this.#level();
    const term = this.#master?.term ?? 0;
    return { at: this.#at, term, lastGrant: this.#lastGrant, level: this.#offered };
  }

  #askAll(): void {
    for (const { message, payload } of this.#holdings.begins(this.#at + 1, this.#nowMs)) {
      this.#at = message.at;
      this.#send(message, payload);
    }
  }

  #heartbeat(): void {
    const steps = this.#tallies.tell(new Set([...this.#holdings.all()].map((held) => held.epic)));
    const held: number[] = [];
    const older: number[] = [];
    for (const item of this.#holdings.all()) {
      if (item.term === this.#master?.term) held.push(item.n);
      else older.push(item.term, item.n);
      if (this.#nowMs - item.sentMonoMs >= RESEND_MS) this.#holdings.outbox.again(item, this.#nowMs); // W3
    }
    this.#send({ t: 'heartbeat', ...this.#stand(), held, ...(older.length > 0 && { older }), steps });
    this.#beatMs = this.#nowMs;
    this.#beatNow = false;
    this.#countersChanged = false;
  }

  #hello(): void {
    this.#helloMs = this.#nowMs;
    this.#answered = false;
    const parts = this.#holdings.claims();
    for (const [i, held] of parts.entries()) {
      const hello = { t: 'hello', v: PROTOCOL_VERSION, ...this.#identity, ...this.#stand(), held } as const;
      const message = i > 0 ? { ...hello, part: i } : hello;
      this.#out.messages.push({ to: { to: 'masters' }, message, payload: [] });
    }
    this.#beatMs = this.#nowMs;
    this.#beatNow = true; // It lists every grant held: a part of what was said now may be lost.
    if (!this.#master) return;
    this.exchanges.again();
    for (const item of this.#holdings.all()) {
      this.#holdings.outbox.again(item, this.#nowMs); // W3
      // Asked again after the reports: what they clear must not undo the new asking.
      item.asks.again();
    }
    if (this.#draining) this.#send({ t: 'bye', reason: 'draining' });
  }

  #send(message: WorkerMessage, payload: readonly Uint8Array[] = []): void {
    if (!this.#up || !this.#master) return;
    this.#out.messages.push({ to: { to: 'master', id: this.#master.id }, message, payload });
  }

  #wakeAt(): number {
    const { outbox, waiting } = this.#holdings;
    // While the link is down or no master is known nothing can be told: only retries fall due.
    const told = this.#up && this.#master ? [this.#nextBeatMs(), outbox.dueMs, this.#answerAtMs] : [];
    if (told.length > 0 && this.#answered) told.push(this.exchanges.dueMs);
    if (this.#up) told.push(this.#nextHelloMs());
    let at = this.#nowMs + this.#heartbeatMs;
    for (const due of [...told, waiting.nextMs]) if (due !== undefined) at = Math.min(at, due);
    return Math.max(at, this.#nowMs + 1);
  }
}
