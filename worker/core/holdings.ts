/**
 * What this worker holds: grants, the queue of what is not started, runs that wait for a retry, and what
 * is to be reported of them. Every unit leaves only by `forget`: the master has it.
 */
import { unreachable } from '../../shared/core/errors.ts';
import { countOf, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { HELLO_GRANTS_MAX, LOCAL_DELAY_MAX_MS } from '../../shared/core/limits.ts';
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type {
  Begin,
  HeldGrant,
  Ranges,
  StepCounters,
  StepManifest,
  Work,
} from '../../shared/protocol/messages.ts';
import type { Want } from './askings.ts';
import { Held, type Run } from './held.ts';
import { Outbox } from './outbox.ts';
import { listed, NUMBERS_MAX, type Outcome, type Retry } from './outcomes.ts';
import { attemptsWith, type TakenAlong, takeAlong } from './stepState.ts';
import { type Item, Waiting } from './waiting.ts';

/** Names a unit for people, where its work does; asked only for units that are told one by one. */
export type KeyOf = (run: Run) => string | undefined;

export class Holdings {
  readonly outbox = new Outbox();
  readonly waiting = new Waiting();
  readonly #grants = new Map<string, Held>();
  /** Grants with pending units, in the order they came. */
  readonly #queue: Held[] = [];
  #units = 0;
  #pending = 0;
  #running = 0;
  /** The run that was started last, until it ends or another starts: most end at once, and are never listed. */
  #latest: Run | undefined;
  readonly #keyOf: KeyOf;
  readonly #waitingMax: () => number;

  /** No more than `waitingMax` wait here, where they can leave. */
  constructor(keyOf: KeyOf, waitingMax: () => number) {
    this.#keyOf = keyOf;
    this.#waitingMax = waitingMax;
  }

  /** Units not yet told settled. */
  get units(): number {
    return this.#units;
  }

  /** Units not yet started. */
  get pending(): number {
    return this.#pending;
  }

  get running(): number {
    return this.#running;
  }

  all(): IterableIterator<Held> {
    return this.#grants.values();
  }

  get(term: number, n: number): Held | undefined {
    return this.#grants.get(`${term}.${n}`);
  }

  take(work: Work, bytes: UnitBytes, counters: StepCounters, steps: readonly StepManifest[]): Held {
    const held = new Held(work, bytes, counters, steps);
    this.#grants.set(`${work.term}.${work.n}`, held);
    this.#units += held.units.count;
    this.#pending += held.units.count;
    // Others wait for what a control run gives; units that are held are done in time.
    if (work.control) this.#queue.unshift(held);
    else this.#queue.push(held);
    return held;
  }

  /** Starts a run whose delay is over, or else the next pending unit of a grant that may start. */
  start(mayStart: (held: Held) => boolean): Run | undefined {
    this.#list();
    const resumed = this.waiting.next();
    if (resumed) {
      this.#running += 1;
      this.#latest = resumed;
      return resumed;
    }
    const first = this.#queue[0];
    // An epic whose brief is on its way does not block the others.
    const held = first && mayStart(first) ? first : this.#queue.find(mayStart);
    const run = held?.start();
    if (!held || !run) return undefined;
    if (held.pending.isEmpty) this.#unqueue(held);
    this.#pending -= 1;
    this.#running += 1;
    this.#latest = run;
    return run;
  }

  /** Has a run wait for the master's leave to go on. */
  ask(run: Run, want: Want): void {
    run.held.asks.add(run, want, want.state && this.#keyOf(run));
  }

  /** The Begin messages that are due, the first of them numbered `at`. */
  begins(at: number, nowMs: number): { message: Begin; payload: Uint8Array[] }[] {
    const begins: { message: Begin; payload: Uint8Array[] }[] = [];
    let next = at;
    for (const { epic, term, n, asks } of this.#grants.values()) {
      for (let asked = asks.take(next, nowMs); asked; asked = asks.take(next, nowMs)) {
        const { units, saved, payload } = asked;
        const more = saved.length > 0 && { saved };
        begins.push({ message: { t: 'begin', at: next, epic, term, n, units, ...more }, payload });
        next += 1;
      }
    }
    return begins;
  }

  /** Ends a run; a retry waits here when it is short and `mayWait`, else it goes back to the master. */
  finish(run: Run, outcome: Outcome, mayWait: boolean, nowMs: number): void {
    const { held, unit } = run;
    this.#end(run);
    if (!held.units.has(unit)) return; // Taken back meanwhile.
    switch (outcome.kind) {
      case 'ok':
        if (outcome.answer) held.fresh.answers.push(listed({ unit }, [outcome.answer], undefined));
        else held.fresh.ok.add(unit, unit + 1);
        break;
      case 'skipped':
        held.fresh.skipped.add(unit, unit + 1);
        break;
      case 'retry':
        // A scatter or a fold waits at the master, who counts how often it is tried.
        return this.#again(run, outcome, mayWait && !run.stopped && !held.control, nowMs);
      case 'failed':
      case 'unknown': {
        const { kind, code, message, step, attempt } = outcome;
        const fault = { unit, code, message, step, attempt };
        held.fresh.fail(kind, fault, run.bytes, this.#keyOf(run));
        break;
      }
      default:
        return unreachable(outcome);
    }
    this.outbox.add(held, 1, nowMs);
  }

  /**
   * Ends a run that was not allowed to go on: its outcome is decided elsewhere. Where a step of it has had its effect
   * that is told, for whom it concerns: the unit is done in part, and never again from the first step.
   */
  drop(run: Run, nowMs: number): void {
    const { held, unit, kept, state } = run;
    const next = state?.index ?? 0;
    if (!held.hasEffectOnce(kept?.step ?? 0, next)) {
      this.#end(run);
      return this.forget(held, [unit, unit + 1]);
    }
    const step = held.stepName(next);
    const message = `it was stopped before ${step}, after a step that must not run twice`;
    const attempt = run.attempts[next] ?? 1;
    this.finish(run, { kind: 'unknown', code: 'effect_unknown', message, step, attempt }, false, nowMs);
  }

  /**
   * Gives back up to `count` units that have not started, the last ones first; of one epic where it is named, and
   * then also those that wait for a retry.
   */
  recall(count: number, epic: string | undefined, nowMs: number): void {
    let left = count;
    for (let i = this.#queue.length - 1; i >= 0 && left > 0; i--) {
      const held = this.#queue[i] as Held;
      if (epic === undefined || held.epic === epic) left -= this.#giveBack(held, left, nowMs);
    }
    if (epic === undefined) return;
    for (const item of this.waiting.take(({ held }) => held.epic === epic, left)) {
      const along = takeAlong(item.run, item.retry.step);
      if (along.ok) this.#leave(item, along, nowMs);
      else this.waiting.add(item);
    }
  }

  /** Gives back everything that is not running. */
  giveBackAll(nowMs: number): void {
    this.recall(Number.MAX_SAFE_INTEGER, undefined, nowMs);
    for (const item of this.waiting.take(() => true)) {
      this.#leave(item, takeAlong(item.run, item.retry.step), nowMs);
    }
  }

  /** Stops units of an epic: hands back what is not running, returns what is. */
  abort(epic: string, units: Ranges | undefined, nowMs: number): Run[] {
    const stopped: Run[] = [];
    this.#list();
    for (const held of this.#grants.values()) {
      if (held.epic !== epic) continue;
      const theirs = units ?? held.units.ranges();
      const back = IntervalSet.of(held.pending.intersect(theirs));
      this.#pending -= held.pending.removeAll(theirs);
      if (held.pending.isEmpty) this.#unqueue(held);
      const wanted = IntervalSet.of(theirs);
      // One whose effect has happened goes on to its end, so that it is told as it is.
      const waits = (run: Run): boolean => run.held === held && wanted.has(run.unit) && !run.begun;
      for (const item of this.waiting.take(waits)) {
        const along = takeAlong(item.run, item.retry.step);
        // It has run: handed back as unstarted, its attempts would be forgotten and its effects not accounted for.
        if (along.ok) this.#leave(item, along, nowMs);
        else back.add(item.run.unit, item.run.unit + 1);
      }
      if (!back.isEmpty) {
        held.fresh.back.addAll(back.ranges());
        this.outbox.add(held, back.count, nowMs);
      }
      eachOf(held.units.intersect(theirs), (unit) => {
        const run = held.running.get(unit);
        if (!run) return;
        run.stopped = true;
        stopped.push(run);
      });
    }
    return stopped;
  }

  /** What is held, in as many parts as Hellos have room for; a grant that fills one by itself has its own. */
  claims(): HeldGrant[][] {
    let claims: HeldGrant[] = [];
    const parts = [claims];
    let numbers = 0;
    for (const { epic, term, n, units, seal, granted } of this.#grants.values()) {
      const isWhole = units.count === countOf(granted);
      const more = 2 * units.intervalCount + (isWhole ? 0 : granted.length);
      numbers += more;
      if (claims.length >= HELLO_GRANTS_MAX || (claims.length > 0 && numbers > NUMBERS_MAX)) {
        claims = [];
        parts.push(claims);
        numbers = more;
      }
      claims.push({ epic, term, n, units: units.ranges(), seal, ...(!isWhole && { granted }) });
    }
    return parts;
  }

  /** Drops units that the master has settled or taken back. */
  forget(held: Held, units: Ranges): void {
    this.#units -= held.units.removeAll(units);
    this.#pending -= held.pending.removeAll(units);
    held.sent.forget(units);
    held.fresh.forget(units);
    if (held.pending.isEmpty) this.#unqueue(held);
    if (held.fresh.count === 0 || held.units.isEmpty) this.outbox.forget(held);
    if (held.units.isEmpty) this.#grants.delete(`${held.term}.${held.n}`);
  }

  /** Puts the latest run among those of its grant. */
  #list(): void {
    if (this.#latest) this.#latest.held.running.set(this.#latest.unit, this.#latest);
    this.#latest = undefined;
  }

  #end(run: Run): void {
    if (run === this.#latest) this.#latest = undefined;
    else run.held.running.delete(run.unit);
    run.held.asks.forget(run.unit);
    this.#running -= 1;
  }

  #fits(delayMs: number): boolean {
    return delayMs <= LOCAL_DELAY_MAX_MS && this.waiting.size < this.#waitingMax();
  }

  /** Has a run tried again: here where it `mayWait`, and where its delay is short or it cannot leave. */
  #again(run: Run, retry: Retry, mayWait: boolean, nowMs: number): void {
    run.attempts = attemptsWith(run.attempts, retry.step, retry.attempt);
    const item = { run, retry, dueMonoMs: nowMs + retry.delayMs };
    if (mayWait && this.#fits(retry.delayMs)) return this.#wait(item, nowMs);
    const along = takeAlong(run, retry.step);
    if (mayWait && !along.ok) this.#wait(item, nowMs);
    else this.#leave(item, along, nowMs);
  }

  #wait(item: Item, nowMs: number): void {
    const { run, retry } = item;
    // What an earlier step did stays begun: were that forgotten, a crash would have it done again.
    if (run.begun && !run.held.hasEffectOnce(run.kept?.step ?? 0, retry.step)) {
      run.begun = false;
      run.held.fresh.cleared.add(run.unit, run.unit + 1);
      this.outbox.add(run.held, 1, nowMs);
      this.outbox.hurry();
    }
    this.waiting.add(item);
  }

  /** Hands a unit to the master, to be run again by any worker; it fails where it cannot take along what that needs. */
  #leave({ run, retry, dueMonoMs }: Item, along: TakenAlong, nowMs: number): void {
    const { held, unit, bytes } = run;
    const { step, attempt, code } = retry;
    const key = this.#keyOf(run);
    if (along.ok) {
      const delayMs = Math.ceil(Math.max(0, dueMonoMs - nowMs));
      held.fresh.later.push(listed({ unit, attempt, step, delayMs, code }, along.brings, key));
    } else {
      const [before, next] = [held.stepName(step - 1), held.stepName(step)];
      const cure = `return plain JSON from ${before}, and larger data by reference`;
      const message = `what ${before} returned ${along.why}, so the unit cannot wait elsewhere for ${next}: ${cure}`;
      held.fresh.fail('failed', { unit, code: 'state_not_kept', message, step: next, attempt }, bytes, key);
    }
    this.outbox.add(held, 1, nowMs);
  }

  #giveBack(held: Held, count: number, nowMs: number): number {
    const back = held.takeLast(count);
    const taken = countOf(back);
    if (taken === 0) return 0;
    this.#pending -= taken;
    if (held.pending.isEmpty) this.#unqueue(held);
    held.fresh.back.addAll(back);
    this.outbox.add(held, taken, nowMs);
    return taken;
  }

  #unqueue(held: Held): void {
    const i = this.#queue.indexOf(held);
    if (i >= 0) this.#queue.splice(i, 1);
  }
}
