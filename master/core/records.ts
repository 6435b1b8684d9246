/**
 * Records: the only things that change durable state. A journal of these, replayed through
 * `Ledger.apply`, gives the state that wrote them.
 */
import type { EpicState } from '../../shared/protocol/api.ts';
import type { Ranges, UnitFault, WorkManifest } from '../../shared/protocol/messages.ts';
import type { SourceSpec } from './source.ts';

/** Who held a grant: `n` counts the grants of `term` to `session`. */
export type Token = { session: string; term: number; n: number };

/** A unit that waits until `dueWallMs` and is then run again as `attempt` of its step number `step`. */
export type DelayedUnit = { unit: number; attempt: number; step: number; dueWallMs: number; code: string };

export type Outcome = 'succeeded' | 'failed' | 'unknown' | 'skipped' | 'cancelled' | 'missing';

/** How an unsettled unit that has run before goes on: as `attempt` of its step number `step`, not before `dueWallMs`. */
export type Resume = { attempt: number; step: number; dueWallMs: number };

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
  finishedWallMs?: number;
  settled: Ranges;
  counts: Record<Outcome, number>;
  faults: [string, number][];
  begun: [number, Token][];
  resume: [number, Resume][];
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
    }
  /** The first manifest seen freezes how this epic is run. */
  | { k: 'settings-frozen'; epic: string; manifest: WorkManifest }
  /** Units below `to` have been read and may be granted; the next read begins at `offset`. */
  | { k: 'horizon'; epic: string; to: number; offset: number; end: boolean }
  | {
      k: 'settled';
      epic: string;
      by?: Token;
      succeeded?: Ranges;
      skipped?: Ranges;
      cancelled?: Ranges;
      failed?: UnitFault[];
      unknown?: UnitFault[];
    }
  /** An `unknown` outcome made certain by the token that began it. */
  | { k: 'resolved'; epic: string; by: Token; succeeded?: Ranges; failed?: UnitFault[] }
  | { k: 'begun'; epic: string; by: Token; units: Ranges }
  /** The effect begun on these units certainly did not happen. */
  | { k: 'cleared'; epic: string; units: Ranges }
  | { k: 'delayed'; epic: string; units: DelayedUnit[] }
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
  | { k: 'epic-finished'; epic: string; outcome: 'finished' | 'failed' | 'cancelled'; wallMs: number };

export type EpicRecordOf<K extends EpicRecord['k']> = Extract<EpicRecord, { k: K }>;
