/**
 * Broken cores: the real one with one rule of it turned off from outside, by bending what goes in and what
 * comes out. Each must be caught by the history checker; if one is not, the checker is blind.
 */
import { Ledger } from '../../master/core/ledger.ts';
import type { Master, MasterInput } from '../../master/core/master.ts';
import type { AnsweredUnit, EpicRecord } from '../../master/core/records.ts';
import type { Now, Outgoing, StepOutput } from '../../master/core/state.ts';
import { eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import { prefixed } from '../../shared/protocol/codec.ts';
import type {
  GimmeWork,
  GrantReport,
  MasterMessage,
  Ranges,
  ReadInput,
} from '../../shared/protocol/messages.ts';

export type Breakage = {
  /** What the core is told that it finds in its journal. */
  recover?: (records: readonly EpicRecord[]) => readonly EpicRecord[];
  /** After it has recovered. */
  recovered?: (core: Master) => void;
  /** Before each step. */
  before?: (core: Master, now: Now) => void;
  input?: (input: MasterInput, core: Master) => MasterInput;
  output?: (output: StepOutput, input: MasterInput, core: Master) => StepOutput;
};

/** By name; made anew for each master process. */
export const BREAKAGES: Readonly<Record<string, () => Breakage>> = {
  'the cursor moves at fetch: what was read counts as done after a crash': () => ({ recover: cursorAtFetch }),
  'no horizon: units are granted before it is durable': () => ({ output: hurrying('work') }),
  'nothing is held back after a crash': () => ({ recovered: grantAtOnce }),
  'a report heard again settles again': settlingTwice,
  'hand-backs of stale tokens are taken': () => ({ input: staleHandBacks }),
  'retries of stale tokens are taken': () => ({ input: staleRetries }),
  'demand is added up instead of replaced': addingUp,
  'what was asked of another master is granted': () => ({ input: askedOfAny }),
  'Settled is told before it is durable': () => ({ output: hurrying('settled') }),
  'Proceed is told before it is durable': () => ({ output: hurrying('proceed') }),
  'a state is told to be kept before it is durable': () => ({ output: hurryingStates }),
  'kept states are forgotten in a crash': () => ({ recovered: forgetStates }),
  'paused epics are granted': () => ({ before: forgetPauses }),
  'a second try runs all units again': () => ({ before: tryAllAgain }),
  'a second try has effect keys of its own': () => ({ output: withoutKeys }),
  'epics are forgotten too early': () => ({ before: forgetEarly }),
  'begun effects are forgotten in a crash': () => ({ recovered: forgetBegun }),
  'leases age while the master stands still': agingAlways,
  'leases age while the link is down': () => ({ before: hearingAlways }),
  'a lost grant is never found': () => ({ input: findingNothing }),
  'a unit that waits for its time is never woken': () => ({ output: wakingNobody }),
  "a scatter's units are granted before its end": () => ({ input: endingEarly }),
  'late answers are folded': () => ({ output: foldingLate }),
  'the deadline is forgotten after a restart': () => ({ recovered: forgetDeadlines }),
  'the deadline of what is no gather is passed over': () => ({ before: forgetTimed }),
  'what is for one responder is given to any': () => ({ before: addressNobody }),
  'a late batch of a read that another follows is taken': () => ({ input: takingLate }),
  'the cursor of a source is kept before its batch is durable': () => ({ input: cursorFirst }),
  'a source begins anew after a crash': () => ({ recovered: forgetCursors }),
  'more is read ahead than there is room for': () => ({ output: readingAll }),
  'some outcomes are told and not recorded': () => ({ output: droppingSettled }),
};

/** The whole core. */
export const WHOLE = (): Breakage => ({});

function cursorAtFetch(records: readonly EpicRecord[]): readonly EpicRecord[] {
  const ledger = new Ledger();
  for (const record of records) ledger.apply(record);
  const skipped: EpicRecord[] = [];
  for (const { id, passed, read, active } of ledger.epics.values()) {
    const succeeded = passed.missingFrom([0, read]);
    if (active && succeeded.length > 0) skipped.push({ k: 'settled', epic: id, succeeded });
  }
  return [...records, ...skipped];
}

/** Sends messages of this kind without waiting for their records. */
function hurrying(t: MasterMessage['t']): (output: StepOutput) => StepOutput {
  const hurried = (out: Outgoing): Outgoing => (out.message.t === t ? { ...out, after: 0 } : out);
  return (output) => ({ ...output, messages: output.messages.map(hurried) });
}

/** Answers those who only want a state kept without waiting for its record. */
function hurryingStates(output: StepOutput, input: MasterInput): StepOutput {
  const begin = input.type === 'message' && input.message.t === 'begin' ? input.message : undefined;
  return begin?.saved && begin.units.length === 0 ? hurrying('proceed')(output) : output;
}

function forgetStates({ state }: Master): void {
  for (const { resume } of state.ledger.epics.values()) resume.clear();
}

function forgetPauses({ state }: Master): void {
  for (const { epic } of state.live.values()) epic.paused = undefined;
}

function tryAllAgain({ state }: Master): void {
  for (const { epic } of state.live.values()) epic.only?.add(0, 1_000);
}

function withoutKeys(output: StepOutput): StepOutput {
  const messages = output.messages.map((out): Outgoing => {
    if (out.message.t !== 'work') return out;
    const { effects: _, ...message } = out.message;
    return { ...out, message };
  });
  return { ...output, messages };
}

function forgetEarly({ state }: Master): void {
  state.settings.retentionMs = 0;
}

function grantAtOnce({ state }: Master): void {
  for (const live of state.live.values()) {
    const units = live.heldBack.ranges();
    live.heldBack.clear();
    if (live.epic.closing === undefined) live.putBack(units);
    else live.heldBack.addAll(units);
  }
}

function forgetBegun({ state }: Master): void {
  for (const { begun } of state.ledger.epics.values()) begun.clear();
}

function settlingTwice(): Breakage {
  const settled = new Map<string, IntervalSet>();
  const output = (wanted: StepOutput, input: MasterInput): StepOutput => {
    const more: EpicRecord[] = [];
    for (const { epic, ok = [] } of gimmeOf(input)?.reports ?? []) {
      const again = settled.get(epic)?.intersect(ok) ?? [];
      if (again.length > 0) more.push({ k: 'settled', epic, succeeded: again });
    }
    for (const record of wanted.records) {
      if (record.k !== 'settled' || !record.succeeded) continue;
      const set = settled.get(record.epic) ?? new IntervalSet();
      settled.set(record.epic, set);
      set.addAll(record.succeeded);
    }
    return { ...wanted, records: [...wanted.records, ...more] };
  };
  return { output };
}

function staleHandBacks(input: MasterInput, core: Master): MasterInput {
  return asIfHeld(input, core, ({ back }) => (back ? { units: back, says: { back } } : undefined));
}

function staleRetries(input: MasterInput, core: Master): MasterInput {
  const told = ({ later }: GrantReport): Told | undefined =>
    later && { units: later.flatMap(({ unit }) => [unit, unit + 1]), says: { later } };
  return asIfHeld(input, core, told);
}

/** A part of a report, and the units that it is about. */
type Told = { units: Ranges; says: Partial<GrantReport> };

/** Gives what a stale token told to a session that holds one of these units now, as if that one had said it. */
function asIfHeld(
  input: MasterInput,
  { state }: Master,
  toldIn: (report: GrantReport) => Told | undefined,
): MasterInput {
  const gimme = gimmeOf(input);
  if (input.type !== 'message' || !gimme) return input;
  for (const report of gimme.reports) {
    const told = toldIn(report);
    const { epic } = report;
    for (const { session, term, n, units } of told ? (state.live.get(epic)?.grants ?? []) : []) {
      const isTheirs = session === input.from && term === report.term && n === report.n;
      if (isTheirs || units.intersect(told?.units ?? []).length === 0) continue;
      const message = { ...gimme, at: -1, reports: [{ epic, term, n, ...told?.says }] };
      return { ...input, from: session, message };
    }
  }
  return input;
}

function addingUp(): Breakage {
  const levels = new Map<string, { at: number; level: number }>();
  const input = (given: MasterInput, { state }: Master): MasterInput => {
    if (given.type !== 'message' || !('level' in given.message)) return given;
    const { from, message } = given;
    const before = levels.get(from) ?? { at: -1, level: 0 };
    if (message.at <= before.at) return given;
    const credit = message.t === 'hello' ? 0 : (state.sessions.get(from)?.credit ?? 0);
    const level = Math.max(0, credit) + message.level;
    levels.set(from, { at: message.at, level });
    return { ...given, message: { ...message, level } };
  };
  return { input };
}

function askedOfAny(input: MasterInput, { state }: Master): MasterInput {
  if (input.type !== 'message' || !('level' in input.message)) return input;
  const { message } = input;
  const lastGrant = message.term === state.term ? message.lastGrant : 0;
  return { ...input, message: { ...message, term: state.term, lastGrant } };
}

function agingAlways(): Breakage {
  let lastMs = 0;
  const before = ({ state }: Master, { monoMs }: Now): void => {
    const lateMs = lastMs > 0 ? monoMs - lastMs - 1_000 : 0;
    if (lateMs > 0) state.listenedMs += lateMs;
    lastMs = monoMs;
  };
  return { before };
}

function hearingAlways({ state }: Master): void {
  state.linked = true;
}

function findingNothing(input: MasterInput, { state }: Master): MasterInput {
  if (input.type !== 'message' || input.message.t !== 'heartbeat') return input;
  const held: number[] = [];
  const older: number[] = [];
  for (const { term, n } of state.sessions.get(input.from)?.grants.values() ?? []) {
    if (term === state.term) held.push(n);
    else older.push(term, n);
  }
  return { ...input, message: { ...input.message, held, older } };
}

function wakingNobody(output: StepOutput): StepOutput {
  return { ...output, dues: [] };
}

/** Every twentieth success is not recorded, though told as settled. */
function droppingSettled(output: StepOutput): StepOutput {
  const keeps = (record: EpicRecord): boolean =>
    record.k !== 'settled' || (record.succeeded?.[0] ?? 1) % 20 !== 0;
  return { ...output, records: output.records.filter(keeps) };
}

/** Takes each part of a scatter for its last. */
function endingEarly(input: MasterInput, { state }: Master): MasterInput {
  if (input.type !== 'message' || input.message.t !== 'part') return input;
  const isScatter = state.ledger.epics.get(input.message.epic)?.gather?.phase === 'scatter';
  return isScatter ? { ...input, message: { ...input.message, last: true } } : input;
}

/** Keeps what came too late with the answers in time. */
function foldingLate(output: StepOutput): StepOutput {
  const records = output.records.map((record): EpicRecord => {
    if (record.k !== 'late') return record;
    const answered: AnsweredUnit[] = [];
    const bytes = new TextEncoder().encode('null');
    eachOf(record.units, (unit) => void answered.push({ unit, data: { bytes } }));
    return { k: 'settled', epic: record.epic, answered };
  });
  return { ...output, records };
}

/** Takes a batch as if the read that runs now had given it. */
function takingLate(input: MasterInput, { state }: Master): MasterInput {
  if (input.type !== 'sourced') return input;
  const grant = state.live.get(input.token.epic)?.control.grant;
  if (!grant) return input;
  const { session, term, n } = grant;
  return { ...input, token: { session, term, n, epic: input.token.epic } };
}

/** Goes on behind what came in the moment it comes. */
function cursorFirst(input: MasterInput, { state }: Master): MasterInput {
  const part = input.type === 'message' && input.message.t === 'part' ? input.message : undefined;
  const epic = part && state.ledger.epics.get(part.epic);
  if (epic?.source.type === 'named' && part?.cursor !== undefined) epic.cursor = part.cursor;
  return input;
}

function forgetCursors({ state }: Master): void {
  for (const epic of state.ledger.epics.values()) epic.cursor = undefined;
}

/** Has each read give all that there is. */
function readingAll(output: StepOutput): StepOutput {
  const messages = output.messages.map((out): Outgoing => {
    if (out.message.t !== 'work' || out.message.control !== 'read') return out;
    const input = JSON.parse(new TextDecoder().decode(out.payload[0]?.subarray(4))) as ReadInput;
    const bytes = new TextEncoder().encode(JSON.stringify({ ...input, units: 1_000 }));
    return { ...out, payload: [prefixed(bytes)] };
  });
  return { ...output, messages };
}

function forgetDeadlines({ state }: Master): void {
  for (const { gather } of state.ledger.epics.values()) {
    if (gather) gather.deadlineWallMs = Number.MAX_SAFE_INTEGER;
  }
}

function forgetTimed({ state }: Master): void {
  for (const live of state.timed) if (!live.epic.gather) state.timed.delete(live);
}

function addressNobody({ state }: Master): void {
  for (const { epic } of state.gathers) epic.gather?.to.clear();
}

function gimmeOf(input: MasterInput): GimmeWork | undefined {
  return input.type === 'message' && input.message.t === 'gimme' ? input.message : undefined;
}
