/** What a master offers to its HTTP face (and to whoever embeds it). The runtime implements it. */
import type { Readable } from 'node:stream';
import type {
  EpicState,
  EpicStatus,
  FailureGroup,
  MasterView,
  RetryAnswer,
  RetryBody,
  UnitPage,
  UnitStory,
  WorkerView,
} from '../../shared/protocol/api.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';
import type { Epic } from '../core/epic.ts';
import type { EndsAsked, EpicRecord } from '../core/records.ts';
import type { SourceSpec } from '../core/source.ts';
import type { UnitName } from './unitStory.ts';
import type { UnitsFilter } from './unitViews.ts';

export type SubmitRequest = {
  /** The id that the epic is to have: where an epic has it already, see `submit`. */
  id?: string;
  work: string;
  name?: string;
  source: SourceSpec;
  brief: unknown;
} & EndsAsked;

/** A gather: its input is the brief of its epic. What is not asked for is as its work says. */
export type GatherRequest = {
  id?: string;
  work: string;
  name?: string;
  input: unknown;
  enough?: number;
  quorum?: number;
} & EndsAsked;

/** What a gather came to: its value as JSON text of `bytes` bytes. */
export type GatherResult = {
  complete: boolean;
  missing: Ranges;
  failed: number;
  bytes: number;
  value: Readable;
};

/** About single units of an epic, by its id. All throw not_found. */
export type UnitsApi = {
  /** Those that are kept one by one: they wait, are tried again, have failed or are unknown. */
  page(id: string, filter: UnitsFilter): Promise<UnitPage>;
  failures(id: string): Promise<FailureGroup[]>;
  /** What the units of a gather returned, as JSON, in the order of their numbers; those that come meanwhile, too. */
  answers(id: string): AsyncIterable<{ unit: number; bytes: Uint8Array }>;
  /** Throws also ambiguous_name, where several units have the key. */
  story(id: string, name: UnitName): Promise<UnitStory>;
  /** Makes a new epic of failed or unknown units. Throws also wrong_state, bad_request, too_many_epics. */
  retry(id: string, body: RetryBody): Promise<RetryAnswer>;
};

export type MasterApi = {
  readonly id: string;
  readonly units: UnitsApi;
  /**
   * Records a new epic whose source is already durable; resolves once the epic itself is. Where an epic has the `id` that
   * is asked for: resolves with that epic if it was submitted with the same payload, else throws idempotency_conflict; a
   * source that it does not need then is removed.
   */
  submit(request: SubmitRequest): Promise<EpicStatus>;
  /** Records a new gather; resolves once it is durable. With an `id` as `submit`. */
  gather(request: GatherRequest): Promise<EpicStatus>;
  /** Nothing where it is no gather that has finished. Throws not_found. */
  result(id: string): Promise<GatherResult | undefined>;
  /** An epic by id, or the newest one of that name. */
  epic(idOrName: string): EpicStatus | undefined;
  /** How many epics carry this name (a destructive call refuses an ambiguous one). */
  named(name: string): number;
  /** Newest first; `after` is the id of the last one seen. */
  epics(filter: { state?: EpicState; work?: string; after?: string; limit: number }): EpicStatus[];
  /** Throws not_found or wrong_state. */
  cancel(id: string, reason: string): Promise<EpicStatus>;
  /** Throws not_found or wrong_state; one that is paused already stays as it is. */
  pause(id: string, reason: string): Promise<EpicStatus>;
  resume(id: string): Promise<EpicStatus>;
  workers(): WorkerView[];
  /** Has a worker (by id, or by a name that one worker has) drain and end. Throws not_found, ambiguous_name. */
  drainWorker(idOrName: string): WorkerView;
  masters(): MasterView[];
  /** Ids of the epics that changed, told at most every 100 ms. Returns the unsubscribe. */
  onChange(listener: (epics: ReadonlySet<string>) => void): () => void;
  /** Ready to take epics and to grant; else the reason why not. */
  readiness(): { ready: true } | { ready: false; reason: string };
};

/** Told of what metrics count. */
export type RuntimeObserver = {
  synced(record: EpicRecord, epic: Epic | undefined, wallMs: number): void;
  appended(seconds: number, records: number): void;
  granted(work: string, waitedMs: number): void;
  /** The link is up, at first or again. */
  linked(): void;
};
