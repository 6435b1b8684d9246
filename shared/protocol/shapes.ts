/**
 * The one table of what each message has: a check per field. The compiler holds it to `messages.ts`, the
 * codec checks by it, and a test holds docs/PROTOCOL.md to it.
 */
import {
  BRIEF_PART_BYTES,
  EPICS_ACTIVE_MAX,
  GRANT_NUMBERS_MAX,
  GRANT_UNITS_MAX,
  HELD_UNITS_MAX,
  JSON_BODY_BYTES_MAX,
  LABELS_MAX,
  RANGES_MAX,
  REPORT_UNITS_MAX,
  SOURCE_BAD_MAX,
  STEPS_MAX,
  WORKS_MAX,
} from '../core/limits.ts';
import {
  below,
  duration,
  fieldsOf,
  flag,
  id,
  idOrNone,
  listOf,
  oneOf,
  optional,
  rangesOf,
  recordOf,
  type Shape,
  text,
  whole,
  wholeOrBefore,
} from './check.ts';
import type {
  BadItem,
  Brings,
  Demand,
  GatherManifest,
  GrantReport,
  HeldGrant,
  MasterMessage,
  Settled,
  StepCounters,
  StepManifest,
  UnitAnswer,
  UnitFault,
  UnitLater,
  UnitSaved,
  Work,
  WorkerMessage,
  WorkManifest,
} from './messages.ts';

type Shapes<M extends { t: string }> = { readonly [One in M as One['t']]: Shape<One> };

/** Parts of one brief: none is larger than the request that brought it. */
const BRIEF_PARTS_MAX = Math.ceil(JSON_BODY_BYTES_MAX / BRIEF_PART_BYTES);

/** Units of one grant. */
const granted = rangesOf(GRANT_UNITS_MAX);
const stepNumber = below(STEPS_MAX);
/** A unit by itself: one that a range can hold, too. */
const unit = below(Number.MAX_SAFE_INTEGER);
/** Lists with an entry per grant or per work: bounded like lists of ranges. */
const manyOf = <T>(check: (value: unknown) => T): ((value: unknown) => T[]) => listOf(check, RANGES_MAX);

const demand: Shape<Demand> = { at: whole, term: whole, lastGrant: below(GRANT_NUMBERS_MAX), level: whole };
const stepManifest: Shape<StepManifest> = {
  name: id,
  effect: oneOf('none', 'at-least-once', 'at-most-once'),
};
const gatherManifest: Shape<GatherManifest> = {
  scatter: oneOf('items', 'labels'),
  deadlineMs: duration,
  enough: optional(whole),
  quorum: optional(whole),
  reissueAfterMs: optional(duration),
};
const workManifest: Shape<WorkManifest> = {
  name: id,
  hash: id,
  steps: listOf(fieldsOf(stepManifest), STEPS_MAX),
  gather: optional(fieldsOf(gatherManifest)),
};
const heldGrant: Shape<HeldGrant> = {
  epic: id,
  term: whole,
  n: whole,
  units: granted,
  seal: idOrNone,
  granted: optional(granted),
};
const brings: (value: unknown) => Brings = oneOf(0, 1, 2);
const key = text;
const unitFault: Shape<UnitFault> = {
  unit,
  code: id,
  message: text,
  step: idOrNone,
  attempt: whole,
  key: optional(key),
  brings: optional(brings),
};
const unitLater: Shape<UnitLater> = {
  unit,
  attempt: whole,
  step: stepNumber,
  delayMs: duration,
  code: id,
  key: optional(key),
  brings: optional(brings),
};
const unitAnswer: Shape<UnitAnswer> = { unit, brings };
const unitSaved: Shape<UnitSaved> = { unit, step: stepNumber, key: optional(key), brings };
const grantReport: Shape<GrantReport> = {
  epic: id,
  term: whole,
  n: whole,
  ok: optional(granted),
  skipped: optional(granted),
  failed: optional(listOf(fieldsOf(unitFault), REPORT_UNITS_MAX)),
  unknown: optional(listOf(fieldsOf(unitFault), REPORT_UNITS_MAX)),
  back: optional(granted),
  later: optional(listOf(fieldsOf(unitLater), REPORT_UNITS_MAX)),
  answers: optional(listOf(fieldsOf(unitAnswer), REPORT_UNITS_MAX)),
  cleared: optional(granted),
};
const stepCounts: Shape<StepCounters[string]> = { done: whole, failed: whole, retried: whole };
const againUnit: Shape<NonNullable<Work['again']>[number]> = {
  unit,
  attempt: whole,
  step: stepNumber,
  state: optional(oneOf(true)),
};
const badItem: Shape<BadItem> = { item: below(GRANT_UNITS_MAX), code: id, message: text };
const settledGrant: Shape<Settled['grants'][number]> = { n: whole, units: granted };

/** What messages are made of. */
export const PART_SHAPES = {
  StepManifest: stepManifest,
  GatherManifest: gatherManifest,
  WorkManifest: workManifest,
  HeldGrant: heldGrant,
  StepCounts: stepCounts,
  GrantReport: grantReport,
  UnitFault: unitFault,
  UnitLater: unitLater,
  UnitSaved: unitSaved,
  UnitAnswer: unitAnswer,
  AgainUnit: againUnit,
  SettledGrant: settledGrant,
  BadItem: badItem,
};

export const WORKER_SHAPES: Shapes<WorkerMessage> = {
  hello: {
    t: oneOf('hello'),
    v: whole,
    ...demand,
    name: id,
    works: listOf(fieldsOf(workManifest), WORKS_MAX),
    labels: recordOf(text, LABELS_MAX),
    slots: whole,
    version: text,
    sources: optional(listOf(id, WORKS_MAX)),
    held: listOf(fieldsOf(heldGrant), HELD_UNITS_MAX),
    part: optional(whole),
  },
  heartbeat: {
    t: oneOf('heartbeat'),
    ...demand,
    held: listOf(whole, HELD_UNITS_MAX),
    older: optional(listOf(whole, 2 * HELD_UNITS_MAX)),
    steps: recordOf(recordOf(fieldsOf(stepCounts), STEPS_MAX), EPICS_ACTIVE_MAX),
  },
  gimme: { t: oneOf('gimme'), ...demand, reports: manyOf(fieldsOf(grantReport)) },
  begin: {
    t: oneOf('begin'),
    at: whole,
    epic: id,
    term: whole,
    n: whole,
    units: granted,
    saved: optional(listOf(fieldsOf(unitSaved), REPORT_UNITS_MAX)),
  },
  part: {
    t: oneOf('part'),
    epic: id,
    term: whole,
    n: whole,
    part: whole,
    last: flag,
    to: optional(listOf(idOrNone, GRANT_UNITS_MAX)),
    labels: optional(recordOf(text, LABELS_MAX)),
    cursor: optional(text),
    end: optional(flag),
    bad: optional(listOf(fieldsOf(badItem), SOURCE_BAD_MAX)),
  },
  'want-answers': { t: oneOf('want-answers'), epic: id, term: whole, n: whole, after: wholeOrBefore },
  'want-brief': { t: oneOf('want-brief'), hash: id },
  bye: { t: oneOf('bye'), reason: text },
};

export const MASTER_SHAPES: Shapes<MasterMessage> = {
  available: { t: oneOf('available'), v: whole, master: id, term: whole, works: manyOf(id) },
  work: {
    t: oneOf('work'),
    term: whole,
    n: whole,
    epic: id,
    work: id,
    brief: idOrNone,
    units: granted,
    seal: idOrNone,
    again: optional(listOf(fieldsOf(againUnit), GRANT_UNITS_MAX)),
    effects: optional(id),
    control: optional(oneOf('scatter', 'fold', 'read')),
  },
  proceed: { t: oneOf('proceed'), term: whole, n: whole, at: whole, go: granted, skip: granted },
  took: { t: oneOf('took'), term: whole, n: whole, part: whole },
  answers: {
    t: oneOf('answers'),
    term: whole,
    n: whole,
    after: wholeOrBefore,
    units: granted,
    missing: rangesOf(Number.MAX_SAFE_INTEGER),
    last: flag,
  },
  settled: { t: oneOf('settled'), term: whole, grants: manyOf(fieldsOf(settledGrant)) },
  recall: {
    t: oneOf('recall'),
    term: whole,
    count: whole,
    epic: optional(id),
    next: optional(oneOf('end')),
  },
  abort: { t: oneOf('abort'), term: whole, epic: id, units: optional(rangesOf(HELD_UNITS_MAX)) },
  brief: { t: oneOf('brief'), hash: id, part: below(BRIEF_PARTS_MAX), parts: below(BRIEF_PARTS_MAX + 1) },
  refused: { t: oneOf('refused'), code: id, message: text },
};
