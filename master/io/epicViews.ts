/**
 * What readers are told of epics: the ledger of synced records, and beside it what is only for display (how fast
 * they are, what their steps count, what went wrong first). It changes nothing.
 *
 * V1: everything here follows records that are durable.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { EpicState, EpicStatus } from '../../shared/protocol/api.ts';
import type { StepCounters } from '../../shared/protocol/messages.ts';
import type { Epic } from '../core/epic.ts';
import { Ledger } from '../core/ledger.ts';
import type { EpicRecord } from '../core/records.ts';
import type { MasterState } from '../core/state.ts';
import { FaultExamples } from './faultExamples.ts';
import { Rates, StepTotals, statusOf } from './status.ts';
import type { Store } from './store.ts';

export type EpicFilter = { state?: EpicState; work?: string; after?: string; limit: number };

export class EpicViews {
  readonly ledger = new Ledger();
  readonly #core: MasterState;
  readonly #clock: Pick<Clock, 'monoMs'>;
  readonly #rates = new Rates();
  readonly #steps: StepTotals;
  readonly #examples = new FaultExamples();

  constructor(core: MasterState, clock: Pick<Clock, 'monoMs'>) {
    this.#core = core;
    this.#clock = clock;
    this.#steps = new StepTotals((session) => core.sessions.has(session));
  }

  /** Takes a record that is durable (V1). */
  see(record: EpicRecord): void {
    this.ledger.apply(record);
    this.#examples.take(record);
    if (record.k !== 'purged') return;
    this.#steps.forget(record.epic);
    this.#examples.forget(record.epic);
  }

  /** Finds again what went wrong first in the epics of before this process. */
  recall(store: Pick<Store, 'units'>): Promise<void> {
    return this.#examples.recall(store, this.ledger);
  }

  /** Takes a worker's step counters. */
  countSteps(session: string, steps: Readonly<Record<string, StepCounters>>): void {
    this.#steps.take(session, steps, (epic) => this.ledger.epics.has(epic));
  }

  /** Notes how far each epic is, for its rate. */
  sample(): void {
    this.#rates.sample(this.ledger.epics.values(), this.#clock.monoMs());
  }

  /** Throws not_found, and wrong_state where an operator can change nothing of it any more. */
  assertSteerable(id: string): void {
    const { name, active, state, closing, closingAs } = this.known(id);
    if (!active) throw new GimmeError('wrong_state', `epic ${name} is ${state} already`);
    if (closing !== undefined && closingAs === 'cancelled')
      throw new GimmeError('wrong_state', `epic ${name} is being cancelled already`);
  }

  /** Throws not_found. */
  known(id: string): Epic {
    const epic = this.ledger.epics.get(id);
    if (!epic) throw new GimmeError('not_found', `there is no epic ${id}`);
    return epic;
  }

  /** Throws not_found. */
  status(id: string): EpicStatus {
    const epic = this.known(id);
    const perSecond = this.#rates.of(epic, this.#clock.monoMs());
    return statusOf(epic, this.#core, this.#steps, perSecond, this.#examples.of(id));
  }

  /** By id, or the newest of this name. */
  find(idOrName: string): EpicStatus | undefined {
    const { epics } = this.ledger;
    const epic = epics.get(idOrName) ?? [...epics.values()].findLast(({ name }) => name === idOrName);
    return epic && this.status(epic.id);
  }

  named(name: string): number {
    return [...this.ledger.epics.values()].filter((epic) => epic.name === name).length;
  }

  /** Newest first. */
  page({ state, work, after, limit }: EpicFilter): EpicStatus[] {
    const page: EpicStatus[] = [];
    const order = [...this.ledger.epics.values()];
    let from = order.length - 1;
    if (after !== undefined) from = order.findIndex(({ id }) => id === after) - 1;
    for (let i = from; i >= 0 && page.length < limit; i--) {
      const epic = order[i] as Epic;
      if ((state && epic.state !== state) || (work && epic.work !== work)) continue;
      page.push(this.status(epic.id));
    }
    return page;
  }
}
