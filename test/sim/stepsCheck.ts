/**
 * How units go through their steps, followed from grants, Begins and runs.
 *
 * S1: an effect begins, and a unit goes on after a checkpoint, only once that is recorded for whoever holds it, and
 *     it is told so only once that is durable.
 * S2: who is granted a unit is given the state that is kept of it, and begins there.
 * S3: a step before a durable state is never run again by who was granted the unit with it, or was told of it.
 * S4: a step is given what the one before it returned, wherever that ran.
 */
import type { Begin, MasterMessage, Work } from '../../shared/protocol/messages.ts';
import type { Run } from '../../worker/core/held.ts';
import type { Account } from './account.ts';
import type { Holders } from './holders.ts';
import { Broken, each, type Story, tokenOf } from './story.ts';
import { outputOf } from './works.ts';

type Proceed = Extract<MasterMessage, { t: 'proceed' }>;
/** Units whose effect is to begin, and the steps whose state is to be kept, as one Begin says. */
type Asked = { epic: string; effects: ReadonlySet<number>; saved: ReadonlyMap<number, number> };

export type StepsParts = {
  story: Story;
  of: (epic: string) => { decided: Account; durable: Account; holders: Holders };
};

export class StepsCheck {
  readonly #parts: StepsParts;
  /** By session and number of the Begin. */
  readonly #asked = new Map<string, Asked>();
  /** The first step that each token may still run of a unit. */
  readonly #floors = new Map<string, number>();

  constructor(parts: StepsParts) {
    this.#parts = parts;
  }

  /** A worker asks whether units may go on. */
  asked(session: string, { at, epic, units, saved = [] }: Begin): void {
    const effects = new Set<number>();
    each(units, (unit) => effects.add(unit));
    this.#asked.set(`${session} ${at}`, {
      epic,
      effects,
      saved: new Map(saved.map(({ unit, step }) => [unit, step])),
    });
  }

  /** The master answers (S1). */
  answered(session: string, message: Proceed): void {
    const asked = this.#askedIn(session, message);
    const token = tokenOf({ session, term: message.term, n: message.n });
    each(message.go, (unit) => {
      const { decided, holders } = this.#parts.of(asked.epic);
      const isHeld = holders.holds(session, message.term, message.n, unit);
      if (!isHeld) throw new Broken('S1', asked.epic, unit, `goes on by ${token}, which does not hold it`);
      this.#mayGoOn(decided, asked, { unit, token, begun: decided.begun.get(unit) });
      this.#parts.story.add(asked.epic, [unit, unit + 1], `${token} is told that it may go on`);
    });
  }

  /** An answer of the master leaves (S1). */
  leaves(session: string, message: Proceed): void {
    const asked = this.#askedIn(session, message);
    const token = tokenOf({ session, term: message.term, n: message.n });
    each(message.go, (unit) => {
      const { durable } = this.#parts.of(asked.epic);
      // It may have gone further meanwhile, or back: what an answer states was true, and is passed over then.
      const begun = asked.effects.has(unit) && durable.everBegun.has(`${unit} ${token}`) ? token : undefined;
      if (!durable.outcomes.has(unit) && !durable.parked.has(unit))
        this.#mayGoOn(durable, asked, { unit, token, begun });
      const saved = asked.saved.get(unit);
      if (saved !== undefined) this.#floors.set(keyOf(asked.epic, token, unit), saved);
    });
  }

  /** A grant is sent (S2). */
  granted(session: string, { epic, term, n, units, again = [] }: Work): void {
    const { states } = this.#parts.of(epic).decided;
    const given = new Set(again.filter(({ state }) => state).map(({ unit }) => unit));
    const token = tokenOf({ session, term, n });
    each(units, (unit) => {
      const state = states.get(unit);
      if (given.has(unit) !== (state !== undefined)) {
        throw new Broken('S2', epic, unit, `is granted to ${token} without the state of step ${state}`);
      }
      this.#floors.set(keyOf(epic, token, unit), state ?? 0);
    });
  }

  /** A worker runs a step of a unit (S3, S4). */
  runs(session: string, { unit, held }: Run, index: number, input: unknown): void {
    const token = tokenOf({ session, term: held.term, n: held.n });
    const floor = this.#floors.get(keyOf(held.epic, token, unit)) ?? 0;
    this.#parts.story.add(held.epic, [unit, unit + 1], `${token} runs step ${index}`);
    if (index < floor) {
      throw new Broken('S3', held.epic, unit, `runs step ${index} again by ${token}, kept at step ${floor}`);
    }
    const expected = index > 0 ? outputOf(unit, index - 1) : undefined;
    if (input === expected) return;
    throw new Broken(
      'S4',
      held.epic,
      unit,
      `has step ${index} given «${String(input)}» and not «${expected}»`,
    );
  }

  #mayGoOn(
    { states, isClosing }: Account,
    { epic, effects, saved }: Asked,
    { unit, token, begun }: { unit: number; token: string; begun: string | undefined },
  ): void {
    if (effects.has(unit) && begun !== token) {
      throw new Broken('S1', epic, unit, `may begin by ${token}, and ${begun} has begun it`);
    }
    const step = saved.get(unit);
    // What is cancelled goes nowhere else: its state need not be kept.
    const kept = states.get(unit);
    if (step !== undefined && (kept ?? 0) < step && !isClosing) {
      throw new Broken('S1', epic, unit, `goes on by ${token} at step ${step}, kept is that of step ${kept}`);
    }
    if (effects.has(unit) || step !== undefined) return;
    throw new Broken('S1', epic, unit, `is told to go on by ${token}, which did not ask`);
  }

  #askedIn(session: string, { at }: Proceed): Asked {
    const asked = this.#asked.get(`${session} ${at}`);
    if (!asked) throw new Broken('S1', '*', undefined, `: ${session} is answered what it did not ask`);
    return asked;
  }
}

function keyOf(epic: string, token: string, unit: number): string {
  return `${epic} ${token} ${unit}`;
}
