/**
 * Records: the only things that change durable state. A journal of these, replayed through
 * `Ledger.apply`, gives the state that wrote them.
 */
import type { EpicState } from '../../shared/protocol/api.ts';
import type { Ranges, UnitFault, WorkManifest } from '../../shared/protocol/messages.ts';
import type { SourceSpec } from './source.ts';

/** Who held a grant: `n` counts the grants of `term` to `session`. */
export type Token = { session: string; term: number; n: number };

/** What the store keeps of a unit: its bytes as they were read, and the state (JSON, UTF-8) that its step begins with. */
export type UnitData = { bytes: Uint8Array; state?: Uint8Array };

/**
 * A unit that waits in the store until `dueWallMs` and is then run again as `attempt` of its step number `step`.
 * Without `data` the store has it from before.
 */
export type ParkedUnit = {
  unit: number;
  attempt: number;
  step: number;
  dueWallMs: number;
  code: string;
  key?: string;
  data?: UnitData;
};

/** A unit in a worker's hands that goes on at its step number `step`, also in another's. */
export type SavedUnit = { unit: number; step: number; key?: string; data?: UnitData };

/** A fault with what the store keeps of its unit. `stepIndex` is absent where no step had begun. */
export type RecordedFault = Omit<UnitFault, 'brings'> & { stepIndex?: number; data?: UnitData };

export type Outcome = 'succeeded' | 'failed' | 'unknown' | 'skipped' | 'cancelled' | 'missing';

/**
 * How a unit that is neither settled nor parked and has run before goes on: as `attempt` of its step number `step`.
 * The bytes of a `stored` one are in the store, those of the others in the source.
 */
export type Resume = { attempt: number; step: number; stored?: true };

/** Whose units an epic tries again: `effects` is the epic whose effect keys they have, `only` says which. */
export type RetryOf = { epic: string; effects: string; only: Ranges };

/**
 * A stretch of the source as it was read once: units `first` to `end`. Reading at `offset` again, up to `next`,
 * gives the same units.
 */
export type Extent = { first: number; end: number; offset: number; next: number };

export type EpicCheckpoint = {
  k: 'epic-checkpoint';
  epic: string;
  name: string;
  work: string;
  source: SourceSpec;
  brief: string;
  wallMs: number;
  state: EpicState;
  manifest?: WorkManifest;
  read: number;
  offset: number;
  drained: boolean;
  extents: Extent[];
  closing?: string;
  paused?: string;
  finishedWallMs?: number;
  retryOf?: RetryOf;
  /** Settled or parked, or absent. */
  passed: Ranges;
  parked: Ranges;
  absent: number;
  counts: Record<Outcome, number>;
  faults: [string, number][];
  begun: [number, Token][];
  resume: [number, Resume][];
  /** Outstanding units beyond their first step, by step. Absent in what older versions wrote. */
  stages?: [number, Ranges][];
  unknownBy: [number, { by: Token; code: string }][];
};

export type EpicRecord =
  | {
      k: 'epic-submitted';
      epic: string;
      name: string;
      work: string;
      source: SourceSpec;
      brief: string;
      wallMs: number;
      retryOf?: RetryOf;
    }
  /** The first manifest seen freezes how this epic is run. */
  | { k: 'settings-frozen'; epic: string; manifest: WorkManifest }
  /** Units below `to` have been read and may be granted; the next read begins at `offset`. */
  | { k: 'horizon'; epic: string; to: number; offset: number; end: boolean; absent?: Ranges }
  | {
      k: 'settled';
      epic: string;
      by?: Token;
      succeeded?: Ranges;
      skipped?: Ranges;
      cancelled?: Ranges;
      failed?: RecordedFault[];
      unknown?: RecordedFault[];
      /** Which of those that did not fail have a row in the store: it is needed no more. */
      rows?: Ranges;
    }
  /** An `unknown` outcome made certain by the token that began it. */
  | { k: 'resolved'; epic: string; by: Token; succeeded?: Ranges; failed?: RecordedFault[] }
  | { k: 'begun'; epic: string; by: Token; units: Ranges }
  /** The effect begun on these units certainly did not happen. */
  | { k: 'cleared'; epic: string; units: Ranges }
  /** Out of memory, in the store; they still count as outstanding. */
  | { k: 'parked'; epic: string; units: ParkedUnit[] }
  /** Parked ones that go on. `resume` has three numbers for each of `units`: the unit, its attempt, its step. */
  | { k: 'unparked'; epic: string; units: Ranges; resume: number[] }
  | { k: 'saved'; epic: string; units: SavedUnit[] }
  /** All parked units of a closing epic at once. */
  | { k: 'parked-cancelled'; epic: string }
  | { k: 'paused'; epic: string; reason: string; wallMs: number }
  | { k: 'resumed'; epic: string; wallMs: number }
  /**
   * A session was lost: `again` are granted anew, `unknown` had begun an at-most-once effect. After a crash of the
   * master (session `-`) `unclaimed` had been read before and nobody claimed them in time: they are granted
   * anew, and whether a worker that was lost meanwhile held them is not known.
   */
  | {
      k: 'lease-expired';
      epic: string;
      session: string;
      again: Ranges;
      unknown: Ranges;
      unclaimed?: Ranges;
      wallMs: number;
    }
  | { k: 'closing'; epic: string; reason: string; wallMs: number }
  /** The whole of an epic at one moment; stands for all its records before. */
  | EpicCheckpoint
  | { k: 'epic-finished'; epic: string; outcome: 'finished' | 'failed' | 'cancelled'; wallMs: number }
  /** A finished epic is forgotten, with its rows. */
  | { k: 'purged'; epic: string };

export type EpicRecordOf<K extends EpicRecord['k']> = Extract<EpicRecord, { k: K }>;
