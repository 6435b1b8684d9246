/**
 * The scatters, folds and reads of a worker of the simulation: they stand for users' code and for what runs it
 * (`worker/io/controlRun.ts`). Each takes its time between two parts, and may fail there.
 */
import { CONTROL_ATTEMPTS_MAX } from '../../shared/core/limits.ts';
import type { BadItem, Ranges, ReadInput } from '../../shared/protocol/messages.ts';
import type { Given } from '../../worker/core/exchanges.ts';
import type { Run } from '../../worker/core/held.ts';
import type { Outcome } from '../../worker/core/outcomes.ts';
import type { Heard } from '../../worker/core/output.ts';
import type { Worker } from '../../worker/core/worker.ts';
import type { Dice } from './dice.ts';
import { itemOf, type PlannedGather, valueOf } from './gatherPlan.ts';
import type { Source } from './sources.ts';
import { each, tokenOf } from './story.ts';

export type Answer = readonly [unit: number, answer: string];

export type ControlsParts = {
  core: Worker;
  session: string;
  dice: Dice;
  luck: () => { fail: number; retry: number; runMs: number };
  gatherOf: (epic: string) => PlannedGather;
  sourceOf: (epic: string) => Source;
  after: (ms: number, then: () => void) => void;
  /** Has the core take a step, so that what was said to it is sent. */
  ran: () => void;
  /** A fold has all that it was given. */
  folds: (run: Run, told: Told) => void;
};

/** What a fold is told. */
export type Told = { answers: Answer[]; missing: number[] };
type Control = Told & { given: Given[] };

export class Controls {
  readonly #parts: ControlsParts;
  readonly #runs = new Map<Run, Control>();

  constructor(parts: ControlsParts) {
    this.#parts = parts;
  }

  start(run: Run): void {
    const { control } = run.held;
    const isFold = control === 'fold';
    const given = isFold ? [] : control === 'read' ? this.#unitsOf(run) : this.#itemsOf(run);
    this.#runs.set(run, { given, answers: [], missing: [] });
    this.#later(run, () => {
      if (!isFold) return this.#give(run);
      this.#parts.core.exchanges.want(run, -1);
    });
  }

  heard(heard: Heard): void {
    const { run } = heard;
    const control = this.#runs.get(run);
    if (!control) return;
    if (heard.type === 'took') return this.#later(run, () => this.#give(run));
    const units = listOf(heard.units);
    for (const [i, unit] of units.entries())
      control.answers.push([unit, new TextDecoder().decode(heard.bytes.at(i))]);
    control.missing.push(...listOf(heard.missing));
    this.#later(run, () => {
      const upTo = Math.max(control.answers.at(-1)?.[0] ?? -1, control.missing.at(-1) ?? -1);
      if (!heard.last) return this.#parts.core.exchanges.want(run, upTo);
      this.#parts.folds(run, control);
      const value = new TextEncoder().encode(valueOf(control.answers));
      const half = value.length >> 1;
      control.given = [
        { items: [value.subarray(0, half)], last: false },
        { items: [value.subarray(half)], last: true },
      ];
      this.#give(run);
    });
  }

  abort(run: Run): void {
    if (!this.#runs.has(run)) return;
    const attempt = run.attempts[0] ?? 1;
    this.#end(run, { kind: 'retry', step: 0, attempt, delayMs: 0, code: 'stopped' });
  }

  /** The parts that a scatter gives. */
  #itemsOf(run: Run): Given[] {
    const { held } = run;
    const { items, partItems, to, labels } = this.#parts.gatherOf(held.epic);
    if (labels) return [{ items: [], last: true, labels }];
    const token = tokenOf({ session: this.#parts.session, term: held.term, n: held.n });
    const given: Given[] = [];
    for (let from = 0; from === 0 || from < items; from += partItems) {
      const until = Math.min(items, from + partItems);
      const texts = Array.from({ length: until - from }, (_, i) => itemOf(token, from + i));
      const bytes = texts.map((text) => new TextEncoder().encode(text));
      given.push({ items: bytes, last: until === items, ...(to && { to: to.slice(from, until) }) });
    }
    return given;
  }

  /** The parts of a read: what the source has after the cursor, as much as is wanted. The cursor is the last unit. */
  #unitsOf({ held, bytes }: Run): Given[] {
    const { sourceOf, dice } = this.#parts;
    const { cursor, units } = JSON.parse(new TextDecoder().decode(bytes)) as ReadInput;
    const source = sourceOf(held.epic);
    const after = cursor === undefined ? -1 : (JSON.parse(cursor) as number);
    const until = Math.min(source.units.length, after + 1 + units);
    const given: Given[] = [];
    for (let from = after + 1; from < until; ) {
      const to = Math.min(until, from + dice.whole(1, 20));
      given.push(partOf(source, from, to));
      from = to;
    }
    // Whether there is more is only known by asking for it.
    if (until < after + 1 + units) given.push({ items: [], last: true, end: true });
    const last = given.pop() as Given;
    return [...given, { ...last, last: true }];
  }

  #give(run: Run): void {
    const next = this.#runs.get(run)?.given.shift();
    const fate = next && this.#fate(run);
    if (!next) this.#end(run, { kind: 'ok' });
    else if (fate) this.#end(run, fate);
    else this.#parts.core.exchanges.give(run, next);
  }

  /** How it ends before its next part; undefined where it goes on. */
  #fate(run: Run): Outcome | undefined {
    const { dice, luck } = this.#parts;
    const attempt = run.attempts[0] ?? 1;
    const fault = { code: 'simulated', message: 'as the dice said', step: '', attempt };
    if (dice.chance(luck().fail / 5)) return { kind: 'failed', ...fault };
    if (!dice.chance(luck().retry / 5)) return undefined;
    if (attempt >= CONTROL_ATTEMPTS_MAX) return { kind: 'failed', ...fault };
    return { kind: 'retry', step: 0, attempt: attempt + 1, delayMs: 100, code: 'simulated' };
  }

  #later(run: Run, then: () => void): void {
    const { dice, luck, after, ran } = this.#parts;
    after(dice.between(0, luck().runMs / 4), () => {
      if (!this.#runs.has(run)) return;
      then();
      ran();
    });
  }

  #end(run: Run, outcome: Outcome): void {
    this.#runs.delete(run);
    this.#parts.core.finish(run, outcome);
  }
}

function partOf(source: Source, from: number, to: number): Given {
  const bad: BadItem[] = [];
  const items: Uint8Array[] = [];
  for (let unit = from; unit < to; unit++) {
    const isBad = source.isBad(unit);
    if (isBad) bad.push({ item: unit - from, code: 'invalid_unit', message: 'bad' });
    items.push(new TextEncoder().encode(isBad ? '' : source.units[unit]));
  }
  return { items, last: false, cursor: String(to - 1), ...(bad.length > 0 && { bad }) };
}

function listOf(ranges: Ranges): number[] {
  const units: number[] = [];
  each(ranges, (unit) => void units.push(unit));
  return units;
}
