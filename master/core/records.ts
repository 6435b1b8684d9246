/**
 * Records: the only things that change durable state. A journal of these, replayed through
 * `Ledger.apply`, gives the state that wrote them.
 */
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

/** A unit of a gather and what its last step returned. */
export type AnsweredUnit = { unit: number; data: UnitData };

/** What the submit of a gather asks for; the rest is as its work says. */
/** What a submit asks for: when its epic must end, from then, and who is told. */
export type EndsAsked = { deadlineMs?: number; replyTo?: string };

/** What the submit of a gather asks for; the rest is as its work says. */
export type GatherAsked = EndsAsked & { enough?: number; quorum?: number };

/** Responders by name, and the units that are for each of them alone. */
export type Addresses = readonly (readonly [string, Ranges])[];

/** A gather beyond what every epic has. */
export type GatherCheckpoint = {
  asked: GatherAsked;
  phase: GatherPhase;
  to?: Addresses;
  items?: number;
  missing: Ranges;
  late: Ranges;
  result?: { bytes: number; hash: string };
};
/** `scatter` until its units are known, `fold` once intake is over. */
export type GatherPhase = 'scatter' | 'work' | 'fold';

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

export type LedgerState = 'running' | 'finished' | 'failed' | 'cancelled';

export type EpicCheckpoint = {
  k: 'epic-checkpoint';
  epic: string;
  name: string;
  work: string;
  source: SourceSpec;
  brief: string;
  wallMs: number;
  state: LedgerState;
  manifest?: WorkManifest;
  read: number;
  offset: number;
  cursor?: string;
  drained: boolean;
  extents: Extent[];
  closing?: string;
  closingAs?: 'missing';
  fault?: { code: string; message: string };
  gather?: GatherCheckpoint;
  ends?: EndsAsked;
  delivered?: true;
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
      gather?: GatherAsked;
      ends?: EndsAsked;
    }
  /** The units of a gather are known. */
  | { k: 'scattered'; epic: string; source: SourceSpec; items: number; to?: Addresses }
  /** Intake is over; the fold of a gather is to be run. */
  | { k: 'folding'; epic: string }
  /** Its value is kept like a brief, by its hash. */
  | { k: 'folded'; epic: string; bytes: number; hash: string }
  /** Its return address has been told that it is over, or is told no more. */
  | { k: 'delivered'; epic: string }
  /** Answers that came after intake was over: counted, never folded. */
  | { k: 'late'; epic: string; units: Ranges }
  /** The first manifest seen freezes how this epic is run. */
  | { k: 'settings-frozen'; epic: string; manifest: WorkManifest }
  /**
   * Units below `to` have been read and may be granted; the next read begins at `offset`, and that of a named source goes
   * on after `cursor` (JSON).
   */
  | { k: 'horizon'; epic: string; to: number; offset: number; end: boolean; absent?: Ranges; cursor?: string }
  /** Its source gives no more, for good: once what was read is done it has failed. */
  | { k: 'source-failed'; epic: string; fault: { code: string; message: string }; wallMs: number }
  | {
      k: 'settled';
      epic: string;
      by?: Token;
      succeeded?: Ranges;
      skipped?: Ranges;
      cancelled?: Ranges;
      missing?: Ranges;
      /** What succeeded ones returned, where that is gathered. */
      answered?: AnsweredUnit[];
      failed?: RecordedFault[];
      unknown?: RecordedFault[];
      /** Which of those that did not fail have a row in the store: it is needed no more. */
      rows?: Ranges;
    }
  /** An `unknown` outcome made certain by the token that began it. */
  | {
      k: 'resolved';
      epic: string;
      by: Token;
      succeeded?: Ranges;
      answered?: AnsweredUnit[];
      failed?: RecordedFault[];
    }
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
  /** Nothing more is granted; what has no outcome yet is `cancelled`, or `missing` at a deadline. */
  | { k: 'closing'; epic: string; reason: string; as?: 'missing'; wallMs: number }
  /** The whole of an epic at one moment; stands for all its records before. */
  | EpicCheckpoint
  | {
      k: 'epic-finished';
      epic: string;
      outcome: 'finished' | 'failed' | 'cancelled';
      /** Why it failed. */
      fault?: { code: string; message: string };
      wallMs: number;
    }
  /** A finished epic is forgotten, with its rows. */
  | { k: 'purged'; epic: string };

export type EpicRecordOf<K extends EpicRecord['k']> = Extract<EpicRecord, { k: K }>;

/** The fault of a unit whose holder was lost after its effect had begun. */
export function lostFault(unit: number, session: string): UnitFault {
  const message = `worker ${session} was lost after the effect had begun`;
  return { unit, code: 'lease_expired', message, step: '', attempt: 1 };
}
