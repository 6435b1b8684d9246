/**
 * What people and programs do with single units of an epic: list those that are kept one by one, see what went
 * wrong, hear the story of one, and have them tried again.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { countOf } from '../../shared/core/intervalSet.ts';
import type {
  EpicStatus,
  FailureGroup,
  RetryAnswer,
  RetryBody,
  UnitPage,
  UnitStory,
} from '../../shared/protocol/api.ts';
import type { MasterState } from '../core/state.ts';
import type { UnitsApi } from './api.ts';
import type { EpicViews } from './epicViews.ts';
import {
  candidatesOf,
  checkRetry,
  nothingToRetry,
  retriable,
  type Submission,
  submissionOf,
} from './retries.ts';
import type { Store } from './store.ts';
import { storyOf, type UnitName } from './unitStory.ts';
import { failureGroups, rowsOf, type UnitsFilter, unitPage } from './unitViews.ts';

export type UnitsParts = {
  store: Pick<Store, 'units' | 'history'>;
  views: EpicViews;
  core: MasterState;
  /** Submits at once; resolves when the epic is durable. */
  submit: (submission: Submission) => Promise<EpicStatus>;
};

export class Units implements UnitsApi {
  readonly #parts: UnitsParts;

  constructor(parts: UnitsParts) {
    this.#parts = parts;
  }

  async page(id: string, filter: UnitsFilter): Promise<UnitPage> {
    const { store, views } = this.#parts;
    return unitPage(store, views.known(id), filter);
  }

  async failures(id: string): Promise<FailureGroup[]> {
    const { store, views } = this.#parts;
    return failureGroups(store, views.known(id));
  }

  async *answers(id: string): AsyncGenerator<{ unit: number; bytes: Uint8Array }> {
    const { store, views } = this.#parts;
    const { id: epic } = views.known(id);
    for await (const { unit, data } of rowsOf(store, { epic, states: ['answered'] })) {
      if (data) yield { unit, bytes: data.bytes };
    }
  }

  async story(id: string, name: UnitName): Promise<UnitStory> {
    const { views } = this.#parts;
    return storyOf({ ...this.#parts, ledger: views.ledger }, views.known(id), name);
  }

  async retry(id: string, body: RetryBody): Promise<RetryAnswer> {
    const { store, views, core, submit } = this.#parts;
    const epic = views.known(id);
    checkRetry(epic, body);
    const candidates = await candidatesOf(store, core.ledger, epic, body);
    // What was recorded meanwhile counts, also where it is not durable yet.
    const { only, leftOut, rest, elsewhere } = retriable(core.ledger, epic, candidates);
    const count = countOf(only);
    const answer = { count, leftOut, ...(rest > 0 && { rest }) };
    if (body.dryRun) return answer;
    if (count === 0) throw nothingToRetry(epic, body, elsewhere);
    if (!core.ledger.epics.has(id)) throw new GimmeError('not_found', `epic ${epic.name} is gone`);
    return { ...answer, epic: await submit(submissionOf(core.ledger, epic, only)) };
  }
}
