/**
 * The history checker: watches one simulation from outside (records, messages, effects) and holds it to the
 * promises after every step. It shares no code with the cores: all arithmetic is its own.
 *
 * What is checked, and where: G1 arithmetic, G2 nothing lost (here); G5 outcomes (`account.ts`); G3, G4, G5, G6
 * holders (`holders.ts`); G7 gathers (`gatherCheck.ts`); G8 demand, leases (`demandCheck.ts`); steps and states
 * (`stepsCheck.ts`); what workers forget (`settledCheck.ts`); effects in the outside world (`world.ts`).
 *
 * Y1: what a message states is durable when it leaves: horizons, outcomes.
 * Y2: what was told or is durable is there after a crash, and reads the same.
 * Y3: a unit reaches its step with the bytes that the source has for it; bad ones never do.
 * Y4: on a calm network a crash of the master runs nothing again and makes nothing unknown (G3).
 * Y5: an epic that is over is forgotten when it is old enough, with its rows.
 * Y6: a second try has the effect keys of the first (and see `secondTries.ts`).
 * Y7: an epic ends at its deadline, and not before (`deadlineCheck.ts`).
 */
import type { MasterInput } from '../../master/core/master.ts';
import type { EpicRecord, EpicRecordOf } from '../../master/core/records.ts';
import type { SourceSpec } from '../../master/core/source.ts';
import type { StepOutput } from '../../master/core/state.ts';
import type { MasterMessage, Work, WorkerMessage } from '../../shared/protocol/messages.ts';
import type { Run } from '../../worker/core/held.ts';
import { Account } from './account.ts';
import type { Told } from './controls.ts';
import { checkCursor } from './cursorCheck.ts';
import { DeadlineCheck } from './deadlineCheck.ts';
import { DemandCheck } from './demandCheck.ts';
import { GatherCheck } from './gatherCheck.ts';
import type { PlannedGather } from './gatherPlan.ts';
import { Holders } from './holders.ts';
import type { Plan, PlannedEpic } from './plan.ts';
import { checkAbsent, isTried } from './secondTries.ts';
import { SettledCheck } from './settledCheck.ts';
import { checkShown, type Shown } from './shownCheck.ts';
import type { Source } from './sources.ts';
import { StepsCheck } from './stepsCheck.ts';
import { Broken, each, rangesOf, type Story, tokenOf } from './story.ts';
import { effectsOf, gatherOf } from './works.ts';
import { type StepEffect, World } from './world.ts';

const WALL_MS = 1_700_000_000_000;

type Of = {
  planned: PlannedEpic;
  /** Undefined of a gather until its scatter has ended. */
  source: Source | undefined;
  decided: Account;
  durable: Account;
  holders: Holders;
  gather: GatherCheck | undefined;
  deadline: DeadlineCheck | undefined;
  finishedWallMs?: number;
  isTold: boolean;
};

export type HistoryParts = {
  nowMs: () => number;
  /** By epic; those that scatters gave by their own id. */
  sources: ReadonlyMap<string, Source>;
};

export class History {
  readonly demand: DemandCheck;
  readonly steps: StepsCheck;
  readonly #plan: Plan;
  readonly #story: Story;
  readonly #nowMs: () => number;
  readonly #sources: ReadonlyMap<string, Source>;
  readonly #world: World;
  readonly #settled: SettledCheck;
  readonly #epics = new Map<string, Of>();
  readonly #durableRecords: EpicRecord[] = [];
  /** Units that a step has begun on and that nobody handed back since. */
  readonly #started = new Set<string>();
  readonly #unreadable = new Set<string>();
  /** Responder names of sessions. */
  readonly #names = new Map<string, string>();

  constructor(plan: Plan, story: Story, { nowMs, sources }: HistoryParts) {
    this.#plan = plan;
    this.#story = story;
    this.#nowMs = nowMs;
    this.#sources = sources;
    this.#world = new World(story);
    this.#settled = new SettledCheck(story);
    this.demand = new DemandCheck(plan.settings.leaseMs);
    this.steps = new StepsCheck({ story, of: (epic) => this.#of(epic) });
  }

  /** The master took a step. `shown` tells what it shows of an epic now. */
  stepped(
    term: number,
    input: MasterInput,
    output: StepOutput,
    shown: (epic: string) => Shown | undefined,
  ): void {
    this.demand.listen(this.#nowMs(), input);
    const from = input.type === 'message' ? input.from : undefined;
    if (input.type === 'message') this.#heard(input.from, term, input.message);
    if (input.type === 'read-failed') this.#unreadable.add(input.epic);
    for (const record of output.records) this.#decided(record, from);
    for (const out of output.messages) {
      if (out.to === 'worker') this.#sends(out.session, out.message, out.payload);
    }
    for (const [id, { decided, gather, deadline }] of this.#epics) {
      checkShown(decided, shown(id), 'shows');
      (gather ?? deadline)?.stepped(WALL_MS + this.#nowMs(), input.type === 'tick');
    }
  }

  /** Records reached the disk. */
  durable(records: readonly EpicRecord[]): void {
    for (const record of records) {
      this.#durableRecords.push(record);
      this.#of(record.epic).durable.apply(record);
    }
  }

  /** Whoever waits for these records is told. */
  told(records: readonly EpicRecord[]): void {
    for (const record of records) if (record.k === 'epic-submitted') this.#of(record.epic).isTold = true;
  }

  isTold(epic: string): boolean {
    return this.#epics.get(epic)?.isTold ?? false;
  }

  /** Another master took over what is durable. */
  recovered(shown: (epic: string) => Shown | undefined): void {
    this.#story.add('*', undefined, 'the master is back');
    this.demand.restart();
    for (const record of this.#durableRecords) this.#of(record.epic).decided = new Account(record.epic);
    for (const of of this.#epics.values()) {
      of.source = of.planned.source;
      of.gather?.recover();
    }
    for (const record of this.#durableRecords) {
      const of = this.#of(record.epic);
      of.decided.apply(record);
      if (record.k === 'scattered') of.source = this.#sourceOf(record.source);
      of.gather?.recorded(record, false);
    }
    const durable = new Set(this.#durableRecords.map(({ epic }) => epic));
    for (const [id, of] of this.#epics) {
      if (!durable.has(id)) {
        if (of.isTold) throw new Broken('Y2', id, undefined, 'was told as submitted and is gone');
        this.#epics.delete(id);
        continue;
      }
      of.isTold = true; // Who submits it again hears that it is there.
      of.holders = this.#holdersOf(of.planned, of.decided, of.holders);
      of.holders.recover();
      checkShown(of.decided, shown(id), 'has after a crash');
    }
  }

  /** A message leaves the master. */
  leaves(session: string, message: MasterMessage): void {
    if (message.t === 'settled') return this.#settled.leaves(session, message, this.accounts());
    if (message.t === 'proceed') return this.steps.leaves(session, message);
    if (message.t !== 'work' || message.units.length === 0 || message.control) return;
    const { read } = this.#of(message.epic).durable;
    each(message.units, (unit) => {
      if (unit >= read) throw new Broken('Y1', message.epic, unit, `leaves; the durable horizon is ${read}`);
    });
  }

  /** A worker sends a message, with so many units held. */
  said(session: string, message: WorkerMessage, held: number): void {
    this.demand.said(session, message, held);
    if (message.t === 'begin') this.steps.asked(session, message);
    if (message.t === 'gimme') this.#settled.told(session, message.reports);
  }

  /** A worker begins or goes on with a unit (Y3). */
  started(session: string, { unit, bytes, held }: Run): void {
    const { source } = this.#of(held.epic);
    this.#story.add(held.epic, [unit, unit + 1], `${tokenIn(session, held)} runs it`);
    this.#started.add(`${held.epic}.${unit}`);
    const text = new TextDecoder().decode(bytes);
    const expected = source?.units[unit];
    if (text === expected && !source?.isBad(unit)) return;
    throw new Broken('Y3', held.epic, unit, `runs with «${text}» and is «${expected}»`);
  }

  /** What a fold has been told. */
  folds(session: string, { held }: Run, told: Told): void {
    this.#of(held.epic).gather?.folds(tokenIn(session, held), told);
  }

  effect(session: string, { unit, held }: Run, effect: StepEffect): void {
    this.#world.effect(this.#of(held.epic).durable, unit, tokenIn(session, held), effect);
  }

  /** Every epic is over: all units have their outcome, the durable ones too, and the effects fit. */
  over(): void {
    for (const [id, { planned, source, durable }] of this.#epics) {
      if (durable.state === 'running') throw new Broken('G2', id, undefined, 'is not over');
      const isNamed = source?.spec.type === 'named';
      const mayBeShort = durable.isClosing ? isNamed || this.#unreadable.has(id) : durable.hasSourceFailed;
      const count = source?.units.length ?? 0;
      const isAll = planned.retryOf ? isTried(planned.retryOf, durable) : durable.read === count;
      if (!isAll && !mayBeShort) {
        throw new Broken('G1', id, undefined, `has read ${durable.read} of ${count} units`);
      }
      for (const [unit, outcome] of durable.outcomes) {
        if (source?.isBad(unit) && outcome !== 'failed') {
          throw new Broken('G1', id, unit, `is bad and ends as ${outcome}`);
        }
      }
      this.#world.over(durable, effectsOf(planned.work));
    }
  }

  /** Units that failed in an epic that is over, as ranges; undefined while it runs, none once it is forgotten. */
  failedIn(epic: string): number[] | undefined {
    const durable = this.#epics.get(epic)?.durable;
    if (!durable || durable.state === 'running') return undefined;
    if (durable.isPurged) return [];
    const failed = [...durable.outcomes].filter(([, outcome]) => outcome === 'failed').map(([unit]) => unit);
    return rangesOf(failed.sort((a, b) => a - b));
  }

  /** Epics that are forgotten for good. */
  get purged(): string[] {
    return [...this.#epics].filter(([, { durable }]) => durable.isPurged).map(([id]) => id);
  }

  /** Whether the end of every epic is durable. */
  get isEnded(): boolean {
    return [...this.#epics.values()].every(({ durable }) => durable.state !== 'running');
  }

  /** Accounts of what is durable. */
  *accounts(): Iterable<Account> {
    for (const { durable } of this.#epics.values()) yield durable;
  }

  #heard(from: string, term: number, message: WorkerMessage): void {
    const isNew = this.demand.heard(from, term, message);
    if (message.t === 'hello') this.#names.set(from, message.name);
    if (message.t === 'hello')
      for (const held of message.held) this.#epics.get(held.epic)?.holders.claimed(from, held);
    if (message.t === 'heartbeat' && isNew) {
      for (const { holders } of this.#epics.values()) holders.beat(from, term, message);
    }
    if (message.t === 'part') this.#epics.get(message.epic)?.gather?.heard(from, message);
    if (message.t !== 'gimme') return;
    for (const report of message.reports) this.#epics.get(report.epic)?.holders.reported(from, report);
  }

  #decided(record: EpicRecord, from: string | undefined): void {
    const { epic } = record;
    if (record.k === 'epic-submitted') this.#enter(record);
    const of = this.#of(epic);
    const { decided, holders, gather, deadline, planned } = of;
    if (record.k === 'horizon') {
      checkAbsent(record, decided.read, planned.retryOf);
      checkCursor(record, decided.read, of.source);
    }
    if (record.k === 'epic-finished') of.finishedWallMs = record.wallMs;
    if (record.k === 'purged') this.#mayForgetEpic(of);
    this.#story.record(record, decided.read);
    decided.apply(record);
    if (record.k === 'scattered') of.source = this.#sourceOf(record.source);
    holders.recorded(record, from);
    gather?.recorded(record, true);
    deadline?.recorded(record);
    if (record.k === 'parked') for (const { unit, data } of record.units) if (data) this.#release(epic, unit);
    if (record.k !== 'lease-expired') return;
    if (record.session !== '-') this.demand.lapsed(record.session, epic);
    this.#mayRunAgain(record);
    for (const units of [record.again, record.unclaimed, record.unknown]) {
      each(units, (unit) => this.#release(epic, unit));
    }
  }

  /** It is kept for as long as was asked for (Y5). */
  #mayForgetEpic({ finishedWallMs = Number.POSITIVE_INFINITY, planned }: Of): void {
    const keptMs = WALL_MS + this.#nowMs() - finishedWallMs;
    if (keptMs >= this.#plan.settings.retentionMs) return;
    throw new Broken('Y5', planned.id, undefined, `is forgotten ${keptMs} ms after its end`);
  }

  #release(epic: string, unit: number): void {
    this.#started.delete(`${epic}.${unit}`);
    this.#world.released(epic, unit);
  }

  /** Y4 */
  #mayRunAgain(record: Extract<EpicRecord, { k: 'lease-expired' }>): void {
    if (this.#plan.profile === 'storm') return;
    for (const units of [record.again, record.unclaimed, record.unknown]) {
      each(units, (unit) => {
        if (!this.#started.has(`${record.epic}.${unit}`)) return;
        throw new Broken('Y4', record.epic, unit, 'was running and is taken from a worker that lives');
      });
    }
  }

  #sends(session: string, message: MasterMessage, payload: readonly Uint8Array[]): void {
    if (message.t === 'work') {
      this.demand.sent(session, message);
      if (message.units.length === 0) return;
      const token = tokenOf({ session, term: message.term, n: message.n });
      const { holders, gather } = this.#of(message.epic);
      if (message.control) {
        this.#story.add(message.epic, undefined, `${message.control} is granted to ${token}`);
        const given = new TextDecoder().decode(payload[0]?.subarray(4));
        return gather?.control(session, message, given, WALL_MS + this.#nowMs());
      }
      this.#story.add(message.epic, message.units, `is granted to ${token}`);
      this.#checkKeys(message);
      this.steps.granted(session, message);
      holders.grant(session, message, WALL_MS + this.#nowMs());
      gather?.granted(this.#names.get(session) ?? '', message.units);
    }
    if (message.t === 'proceed') this.steps.answered(session, message);
  }

  /** A second try has the effect keys of the first (Y6). */
  #checkKeys({ epic, units, effects = epic }: Work): void {
    const keys = this.#of(epic).planned.retryOf?.effects ?? epic;
    if (effects !== keys)
      throw new Broken('Y6', epic, units[0], `has effect keys of ${effects}, not ${keys}`);
  }

  #enter({ epic: id, wallMs }: EpicRecordOf<'epic-submitted'>): void {
    const planned = this.#plan.epics.find((epic) => epic.id === id);
    if (!planned || this.#epics.has(id)) throw new Broken('G2', id, undefined, 'is submitted twice');
    const decided = new Account(id);
    const holders = this.#holdersOf(planned, decided);
    const { deadlineMs } = planned;
    const of: Of = {
      planned,
      source: planned.source,
      decided,
      durable: new Account(id),
      holders,
      gather: planned.gather && this.#gatherOf(planned, planned.gather, wallMs),
      deadline:
        deadlineMs === undefined
          ? undefined
          : new DeadlineCheck(id, wallMs + deadlineMs, () => this.#of(id).decided),
      isTold: false,
    };
    this.#epics.set(id, of);
  }

  #gatherOf({ id, work }: PlannedEpic, planned: PlannedGather, submittedWallMs: number): GatherCheck {
    return new GatherCheck({
      epic: id,
      work,
      planned,
      submittedWallMs,
      decided: () => this.#of(id).decided,
      durable: () => this.#of(id).durable,
      unitsOf: (source) => this.#sourceOf(source)?.units ?? [],
    });
  }

  #sourceOf(spec: SourceSpec): Source | undefined {
    return spec.type === 'spool' ? this.#sources.get(spec.id) : undefined;
  }

  #holdersOf({ work, gather, source }: PlannedEpic, account: Account, before?: Holders): Holders {
    const { leaseMs } = this.#plan.settings;
    // What waits for one responder must not keep the others from what is for them.
    const isAddressed = gather?.to !== undefined || gather?.labels !== undefined;
    const lookAheadUnits = isAddressed ? Number.POSITIVE_INFINITY : this.#plan.settings.lookAheadUnits;
    const reissueAfterMs = isAddressed ? undefined : gatherOf(work)?.reissueAfterMs;
    const listenedMs = (): number => this.demand.listenedMs;
    const mayDoubt = effectsOf(work).includes('at-most-once');
    const isWaiting = (): boolean => this.demand.listenedMs < leaseMs;
    const rules = {
      lookAheadUnits,
      isExact: source?.spec.type === 'named',
      mayDoubt,
      isWaiting,
      reissueAfterMs,
      listenedMs,
    };
    return new Holders(account, rules, before);
  }

  #of(epic: string): Of {
    const found = this.#epics.get(epic);
    if (!found) throw new Broken('G2', epic, undefined, 'is not known');
    return found;
  }
}

function tokenIn(session: string, { term, n }: Run['held']): string {
  return tokenOf({ session, term, n });
}
