/**
 * Messages between a master and its workers: one tagged union each way. Field tables: docs/PROTOCOL.md.
 *
 * A frame is a JSON header (one of these) and unit bytes behind it (`codec.ts`). The sender's id is
 * the link's business (`Bus` gives `from`), so no message repeats it. Ranges are flat, half-open
 * and ascending: `[0, 3, 7, 8]` is units 0, 1, 2 and 7.
 */

/** Version of this protocol; a peer of another version is refused. */
export const PROTOCOL_VERSION = 1;

/** Flat list of half-open ranges of unit numbers, ascending and disjoint: `[from, to, from, to, …]`. */
export type Ranges = readonly number[];

/** How a step's outside effect is to be treated when nobody can know whether it happened. */
export type Effect = 'none' | 'at-least-once' | 'at-most-once';

/** One step of a work as the master knows it. */
export type StepManifest = { name: string; effect: Effect };

/** What the master knows of a work: enough to grant, never enough to run. */
export type WorkManifest = {
  name: string;
  /** Hash over name and steps; an epic is granted only to workers with the hash it froze. */
  hash: string;
  steps: StepManifest[];
  /** Where this work is a gather: how its units come about, and when it ends. */
  gather?: GatherManifest;
};

/** A scatter gives `items`, or the `labels` of the responders that are all asked the same. */
export type GatherManifest = {
  scatter: 'items' | 'labels';
  /** From submit to the end of intake, in milliseconds. */
  deadlineMs: number;
  /** Answers that end it early. */
  enough?: number;
  /** Least answers at the deadline for a partial result to be a success. */
  quorum?: number;
  /** A unit without an answer for this long is given to another worker, too. */
  reissueAfterMs?: number;
};

/** What a worker runs for an epic beside its units, under a grant of the one unit CONTROL_UNIT. */
export type Control = 'scatter' | 'fold' | 'read';
/**
 * The bytes of the unit of a read, as JSON: which source, given what (`args`, JSON), after which `cursor` (JSON, absent at
 * first), the number of the next unit, and how many units and bytes are wanted.
 */
export type ReadInput = {
  source: string;
  args: string;
  cursor?: string;
  first: number;
  units: number;
  bytes: number;
};
/** The number that the one unit of a control grant has: beyond those of all units. */
export const CONTROL_UNIT = 2 ** 48;

/**
 * What a unit that is listed one by one brings in the payload of its message: nothing, its bytes, or its bytes and
 * then the state (JSON, UTF-8) that it goes on with. In the order in which the message lists them.
 */
export type Brings = 0 | 1 | 2;

/** A unit that ended badly: `code` is from the errors table or the work's own, `key` names it for people. */
export type UnitFault = {
  unit: number;
  code: string;
  message: string;
  step: string;
  attempt: number;
  key?: string;
  brings?: Brings;
};

/** A unit to be run again later, as `attempt` of its step number `step`, once `delayMs` has passed. */
export type UnitLater = {
  unit: number;
  attempt: number;
  step: number;
  delayMs: number;
  code: string;
  key?: string;
  brings?: Brings;
};

/** A unit whose state is to be kept: it goes on at its step number `step`, wherever that is. */
export type UnitSaved = { unit: number; step: number; key?: string; brings: Brings };

/** A unit in `ok` and what its last step returned: JSON in the payload. */
export type UnitAnswer = { unit: number; brings: Brings };

/** Outcomes of units of one grant. A unit is in at most one list, but for `answers`. */
export type GrantReport = {
  epic: string;
  term: number;
  n: number;
  ok?: Ranges;
  skipped?: Ranges;
  failed?: UnitFault[];
  unknown?: UnitFault[];
  /** Handed back unstarted: the attempt is not counted. */
  back?: Ranges;
  later?: UnitLater[];
  answers?: UnitAnswer[];
  /** Still held; their begun effect certainly did not happen (it will be begun again). */
  cleared?: Ranges;
};

/** Demand: how many more units fit, given all grants of `term` up to and including number `lastGrant`. */
export type Demand = {
  /** Counts this session's demands; an older one than the last seen is ignored (G8). */
  at: number;
  /** The term of the master that it is told to; 0 where none is known. It says nothing to a master of another term. */
  term: number;
  lastGrant: number;
  level: number;
};

/** Per-step counters of a session since its start; only for display. */
export type StepCounters = Record<string, { done: number; failed: number; retried: number }>;

export type Hello = Demand & {
  t: 'hello';
  v: number;
  name: string;
  works: WorkManifest[];
  labels: Record<string, string>;
  slots: number;
  version: string;
  /** Names of the sources that it can read. */
  sources?: readonly string[];
  held: HeldGrant[];
  /** Which part of what is held this is, where one Hello has no room for all; absent for the first. */
  part?: number;
};
/**
 * A grant that a session still holds, with its units not yet told settled. `seal` is that of the Work; `granted`
 * its units then, where they were more.
 */
export type HeldGrant = {
  epic: string;
  term: number;
  n: number;
  units: Ranges;
  seal: string;
  granted?: Ranges;
};
export type Heartbeat = Demand & {
  t: 'heartbeat';
  /** Numbers of the grants of the current term still held: a number up to `lastGrant` not in here was lost. */
  held: number[];
  /** Grants of earlier terms still held, `[term, n, term, n, …]`: what a Hello claimed and is not in here is gone. */
  older?: number[];
  /** Epic → step name → counters. */
  steps: Record<string, StepCounters>;
};
/** Payload: what the listed units bring, report by report: failed, unknown, later, answers. */
export type GimmeWork = Demand & { t: 'gimme'; reports: GrantReport[] };
/**
 * Asks whether `units` may begin an at-most-once effect, and has the state of `saved` ones made durable before they
 * go on; a unit may be in both. `at` counts together with Demand: a `cleared` told before it never undoes this Begin.
 * Payload: what the saved units bring.
 */
export type Begin = {
  t: 'begin';
  at: number;
  epic: string;
  term: number;
  n: number;
  units: Ranges;
  saved?: UnitSaved[];
};
/**
 * Part `part` (from 0) of what a control unit gives. A scatter: its items, one JSON value each in the payload, and in
 * `to` the responder that each is for, empty for anybody; or at last the `labels` of those who are asked. A fold: pieces
 * of its value as JSON text. A read: its units, one JSON value each, no bytes for a `bad` one, and the `cursor` (JSON)
 * after the last of them; `end` says that the source has no more. Sent one by one, each again until `took` says that
 * it is there.
 */
export type Part = {
  t: 'part';
  epic: string;
  term: number;
  n: number;
  part: number;
  last: boolean;
  to?: string[];
  labels?: Record<string, string>;
  cursor?: string;
  end?: boolean;
  bad?: BadItem[];
};
/** Item `item` of a part is a record that cannot be a unit. */
export type BadItem = { item: number; code: string; message: string };
/** Asks for the answers of units above `after` (−1: from the first), for the fold under this token. */
export type WantAnswers = { t: 'want-answers'; epic: string; term: number; n: number; after: number };
export type WantBrief = { t: 'want-brief'; hash: string };
export type Bye = { t: 'bye'; reason: string };

export type WorkerMessage = Hello | Heartbeat | GimmeWork | Begin | Part | WantAnswers | WantBrief | Bye;

/** A hint that units of these works are ready; directed at one session it also answers Hello. */
export type WorkAvailable = { t: 'available'; v: number; master: string; term: number; works: string[] };
/**
 * A grant. `n` counts the grants of this term to this session, without gaps. With no units it asks
 * the worker to say where it stands. Payload: the units' bytes in the order of `units`, then the states in the
 * order of `again`.
 */
export type Work = {
  t: 'work';
  term: number;
  n: number;
  epic: string;
  work: string;
  brief: string;
  units: Ranges;
  /** The master's signature on this grant, by which the session may claim it again. Empty where there are no units. */
  seal: string;
  /** Only units that are not at their first attempt or first step; with `state`, they go on with it. */
  again?: { unit: number; attempt: number; step: number; state?: true }[];
  /** The epic whose effect keys these units have, where they are tried again for it. */
  effects?: string;
  /** This grant is no unit of the epic but its scatter, its fold, or the read of its source (of the unit's bytes). */
  control?: Control;
};
/** Answers the Begin numbered `at`: an answer to one sent before the unit was asked for again counts for nothing. */
export type Proceed = { t: 'proceed'; term: number; n: number; at: number; go: Ranges; skip: Ranges };
/** The parts up to `part` are taken. */
export type Took = { t: 'took'; term: number; n: number; part: number };
/**
 * Answers of these units, ascending; payload: their bytes; and which units nobody answered, up to the last of both.
 * `last`: there are no more of either.
 */
export type Answers = {
  t: 'answers';
  term: number;
  n: number;
  after: number;
  units: Ranges;
  missing: Ranges;
  last: boolean;
};
export type Settled = { t: 'settled'; term: number; grants: { n: number; units: Ranges }[] };
/**
 * Give back up to `count` units that have not started, of one epic where it is named; with `next: 'end'`, all of
 * them, ask for no more and end.
 */
export type Recall = { t: 'recall'; term: number; count: number; epic?: string; next?: 'end' };
/** Stop these units (all of the epic where `units` is absent): their outcome is decided elsewhere. */
export type Abort = { t: 'abort'; term: number; epic: string; units?: Ranges };
/** Part `part` (from 0) of `parts` of a brief. Payload: one unit, the bytes. */
export type Brief = { t: 'brief'; hash: string; part: number; parts: number };
export type Refused = { t: 'refused'; code: string; message: string };

export type MasterMessage =
  | WorkAvailable
  | Work
  | Proceed
  | Took
  | Answers
  | Settled
  | Recall
  | Abort
  | Brief
  | Refused;

export type Message = WorkerMessage | MasterMessage;
