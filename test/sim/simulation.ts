/**
 * One simulation: a master and a few workers, all real cores, on virtual time, network and disk. First things go
 * wrong as planned; then nothing does any more, and everything must finish within a bounded time.
 *
 * All chance comes from the seed: the same seed gives the same trace.
 */
import type { MasterInput } from '../../master/core/master.ts';
import type { EpicRecord } from '../../master/core/records.ts';
import type { SourceSpec } from '../../master/core/source.ts';
import { assert } from '../../shared/core/errors.ts';
import { type Breakage, WHOLE } from './breakages.ts';
import { Dice } from './dice.ts';
import { Disk } from './disk.ts';
import { FaultCounts } from './faults.ts';
import { History } from './history.ts';
import { Insides } from './insides.ts';
import { CALM, type Network } from './link.ts';
import { MasterNode } from './masterNode.ts';
import { drawPlan, type Plan, type PlannedEpic, type PlannedFault, type Profile } from './plan.ts';
import type { Shown } from './shownCheck.ts';
import type { Source } from './sources.ts';
import { Broken, Story } from './story.ts';
import { Timeline } from './timeline.ts';
import { Trace } from './trace.ts';
import { Workers } from './workers.ts';

/** How long after the last fault everything must be over. */
const LIVENESS_MS = 120_000;
/** Of this many seeds one has crashes of the master alone. */
const MASTER_ALONE_EVERY = 5;

export type SimulationOptions = {
  /** Depends on the seed where absent. */
  profile?: Profile;
  /** Of the master's core; with one only the history checker watches. Defaults to none. */
  breakage?: () => Breakage;
  /** Told each line of the trace. */
  print?: (line: string) => void;
};

export type Result = {
  trace: string;
  steps: number;
  messages: number;
  units: number;
  endedMs: number;
  faults: FaultCounts['counts'];
  counters: MasterNode['core']['state']['counters'];
  outcomes: Record<string, number>;
  /** Durable records by kind. */
  records: Record<string, number>;
};

export class Simulation {
  readonly #plan: Plan;
  readonly #dice: Dice;
  readonly #timeline = new Timeline();
  /** By epic; those that scatters gave by their own id. */
  readonly #sources = new Map<string, Source>();
  readonly #faults = new FaultCounts();
  readonly #trace: Trace;
  readonly #story: Story;
  readonly #history: History;
  readonly #disk: Disk;
  readonly #workers: Workers;
  readonly #breakage: (() => Breakage) | undefined;
  #master: MasterNode;
  #insides: Insides | undefined;
  #isHealed = false;
  /** Appends are slow until then. */
  #slowUntilMs = 0;
  #steps = 0;
  /** Epics whose failed units are yet to be tried again. */
  #awaited = 0;

  constructor(seed: number, { profile, breakage, print }: SimulationOptions = {}) {
    const dice = new Dice(seed);
    this.#dice = dice;
    this.#plan = drawPlan(dice, profile ?? (seed % MASTER_ALONE_EVERY === 0 ? 'master crashes' : 'storm'));
    this.#breakage = breakage;
    const nowMs = (): number => this.#timeline.nowMs;
    this.#trace = new Trace(nowMs, print);
    this.#story = new Story(nowMs);
    for (const { id, source } of this.#plan.epics) if (source) this.#sources.set(id, source);
    this.#history = new History(this.#plan, this.#story, { nowMs, sources: this.#sources });
    this.#disk = new Disk({
      timeline: this.#timeline,
      dice,
      faults: this.#faults,
      appendMs: () => (nowMs() < this.#slowUntilMs ? 6_000 : this.#plan.appendMs),
      onDurable: (records) => this.#history.durable(records),
    });
    this.#master = this.#startMaster(1);
    this.#workers = this.#makeWorkers();
  }

  /** Runs it all. Throws where something that must hold does not. */
  run(): Result {
    const { faultsMs, epics, faults } = this.#plan;
    this.#workers.start();
    for (const epic of epics) this.#planEpic(epic);
    for (const fault of faults) this.#timeline.at(fault.atMs, () => this.#inject(fault));
    this.#master.step({ type: 'tick' });
    this.#timeline.runUntil(faultsMs);
    this.#heal();
    const isOver = (): boolean =>
      this.#timeline.nowMs > faultsMs + 10_000 &&
      this.#master.core.state.ledger.activeCount === 0 &&
      this.#history.isEnded &&
      this.#awaited === 0 &&
      this.#workers.areIdle;
    this.#timeline.runUntil(faultsMs + LIVENESS_MS, isOver);
    this.#insides?.replay();
    this.#history.over();
    for (const epic of this.#history.purged) {
      if (this.#disk.rows.units({ epic, limit: 1 }).length === 0) continue;
      throw new Broken('Y5', epic, undefined, 'is forgotten, and its rows are there');
    }
    for (const { node } of this.#workers.places) {
      const { held, running } = node.core;
      if (held + running === 0) continue;
      throw new Broken('liveness', '*', undefined, `: ${node.session} holds ${held}, runs ${running}`);
    }
    return this.#result();
  }

  /** What became of a unit, or of a whole epic. */
  storyOf({ epic, unit }: Broken): string[] {
    return this.#story.of(epic, unit);
  }

  #result(): Result {
    const outcomes: Record<string, number> = {};
    let units = 0;
    for (const { read, counts } of this.#history.accounts()) {
      units += read;
      for (const [name, count] of Object.entries(counts)) outcomes[name] = (outcomes[name] ?? 0) + count;
    }
    return {
      trace: this.#trace.digest(),
      steps: this.#steps,
      messages: this.#trace.lines,
      units,
      endedMs: this.#timeline.nowMs,
      faults: this.#faults.counts,
      counters: this.#master.core.state.counters,
      outcomes,
      records: kindsOf(this.#disk.records),
    };
  }

  #startMaster(term: number): MasterNode {
    const { settings, readUnits, readFails } = this.#plan;
    const node: MasterNode = new MasterNode({
      timeline: this.#timeline,
      dice: this.#dice,
      faults: this.#faults,
      settings,
      disk: this.#disk,
      sources: this.#sources,
      readUnits,
      readFails: () => (this.#isHealed ? 0 : readFails),
      term,
      breakage: (this.#breakage ?? WHOLE)(),
      send: (to, message, frame) => {
        this.#history.leaves(to, message);
        this.#workers.send(to, message, frame);
      },
      watch: (input, output) => {
        this.#steps += 1;
        this.#history.stepped(term, input, output, (epic) => shownBy(node, epic));
        this.#insides?.stepped(output.records);
      },
      onSynced: (records) => this.#history.told(records),
    });
    if (!this.#breakage) this.#insides = new Insides(node.core.state, this.#disk.records);
    return node;
  }

  #makeWorkers(): Workers {
    const { weather, luck } = this.#plan;
    const calmLuck = { ...luck, long: 0, retry: Math.min(luck.retry, 0.1), runMs: Math.min(luck.runMs, 20) };
    const network: Network = {
      timeline: this.#timeline,
      dice: this.#dice,
      faults: this.#faults,
      weather: () => (this.#isHealed ? CALM : weather),
      sent: 0,
      arrived: 0,
    };
    return new Workers({
      plan: this.#plan,
      network,
      history: this.#history,
      story: this.#story,
      trace: this.#trace,
      luck: () => (this.#isHealed ? calmLuck : luck),
      master: () => this.#master,
      isHealed: () => this.#isHealed,
    });
  }

  /** Submits it until somebody is told that it is taken, and cancels it where planned. */
  #planEpic(epic: PlannedEpic): void {
    const { id, atMs, cancelAtMs, pause, isTriedAgain } = epic;
    this.#timeline.at(atMs, () => this.#submit(id));
    if (isTriedAgain) {
      this.#awaited += 1;
      this.#timeline.at(atMs, () => this.#tryAgain(epic));
    }
    if (pause) {
      this.#timeline.at(pause.atMs, () => this.#order({ type: 'pause', epic: id, reason: 'as planned' }));
      this.#timeline.at(pause.atMs + pause.ms, () => this.#order({ type: 'resume', epic: id }));
    }
    if (cancelAtMs === undefined) return;
    this.#timeline.at(cancelAtMs, () => this.#order({ type: 'cancel', epic: id, reason: 'as planned' }));
  }

  /** Submits what failed of an epic once more, as soon as it is over. */
  #tryAgain(first: PlannedEpic): void {
    const { id, source } = first;
    const only = this.#history.failedIn(id);
    if (!only) return this.#timeline.after(1_000, () => this.#tryAgain(first));
    this.#awaited -= 1;
    const { offset } = this.#master.core.state.ledger.epics.get(id) ?? {};
    if (only.length === 0 || !source || offset === undefined) return;
    const retryOf = { epic: id, effects: id, only };
    const atMs = this.#timeline.nowMs;
    const none = { isTriedAgain: false, pause: undefined, deadlineMs: undefined };
    const more = { source: source.reread(offset), ...none };
    const again = { ...first, id: `${id}-again`, atMs, retryOf, ...more };
    this.#plan.epics.push(again);
    this.#sources.set(again.id, again.source);
    this.#submit(again.id);
  }

  /** Somebody orders the master what to do; it does not hear it while it is down. */
  #order(order: MasterInput): void {
    const master = this.#master;
    master.process.run(() => master.step(order));
  }

  #submit(id: string): void {
    const epic = this.#plan.epics.find((planned) => planned.id === id);
    const master = this.#master;
    master.process.run(() => {
      if (!epic || master.core.state.ledger.epics.has(id)) return;
      const { work, gather, retryOf, deadlineMs } = epic;
      const source: SourceSpec = epic.source?.spec ?? { type: 'scatter' };
      const more = { ...(gather && { gather: gather.asked }), ...(retryOf && { retryOf }) };
      const ends = deadlineMs === undefined ? {} : { ends: { deadlineMs } };
      const head = { epic: id, name: id, work, source, brief: 'b' };
      master.step({ type: 'submit', epic: { ...head, ...more, ...ends } });
    });
  }

  #inject(fault: PlannedFault): void {
    const { kind, ms, coin } = fault;
    const place = this.#workers.places[fault.place];
    assert(place, `there is no place ${fault.place}`);
    const { node, link } = place;
    this.#trace.note(`fault: ${kind} ${node.session} ${ms.toFixed()} ms`);
    this.#faults.add(kind);
    switch (kind) {
      case 'worker crash':
        return this.#workers.crash(place, ms, coin);
      case 'worker crash in a step':
        return node.process.doom(fault.moves, () => this.#workers.crash(place, ms, coin));
      case 'worker stall':
        return node.process.stop(ms);
      case 'worker drain':
        return node.process.run(() => node.step({ type: 'drain' }));
      case 'worker drain by operator':
        return this.#order({ type: 'drain', session: node.session });
      case 'master crash':
        return this.#crashMaster(ms);
      case 'master crash in a step':
        return this.#master.process.doom(fault.moves, () => this.#crashMaster(ms));
      case 'master crash in an append':
        return this.#disk.doom(() => this.#crashMaster(ms));
      case 'master stall':
        return this.#master.process.stop(ms);
      case 'link reset':
        return this.#workers.reset(place, coin ? 10 : ms, this.#dice.chance(0.3));
      case 'server away':
        return this.#loseServer(ms);
      case 'one-way partition':
        return link.cut(coin ? 'toMaster' : 'toWorker', ms);
      case 'master link down':
        return this.#cutMaster(ms);
      case 'slow store':
        this.#slowUntilMs = this.#timeline.nowMs + ms;
        return;
      default:
        kind satisfies 'full disk';
        return this.#disk.fill(ms);
    }
  }

  #cutMaster(ms: number): void {
    const master = this.#master;
    this.#workers.cutAll(ms);
    master.process.run(() => master.step({ type: 'down' }));
    master.process.after(ms, () => master.step({ type: 'up' }));
  }

  #crashMaster(ms: number): void {
    if (this.#master.process.isDead || this.#isHealed) return;
    this.#trace.note('the master dies');
    this.#story.add('*', undefined, 'the master dies');
    this.#master.process.isDead = true;
    this.#disk.crash();
    if (!this.#plan.hasServer)
      for (const place of this.#workers.places) this.#workers.disconnect(place, false);
    const left = Math.max(0, this.#plan.faultsMs - this.#timeline.nowMs);
    this.#timeline.after(Math.min(ms, left), () => this.#recoverMaster());
  }

  /** What carries the links of all is gone for a while, where there is such a thing. */
  #loseServer(ms: number): void {
    const master = this.#master;
    if (!this.#plan.hasServer || master.process.isDead || this.#isHealed) return;
    master.process.run(() => master.step({ type: 'down' }));
    for (const place of this.#workers.places) this.#workers.disconnect(place, false);
    this.#timeline.after(ms, () => {
      master.process.run(() => master.step({ type: 'up' }));
      for (const place of this.#workers.places) {
        const { node } = place;
        this.#timeline.after(this.#dice.between(0, 500), () => this.#workers.connect(place, node));
      }
    });
  }

  #recoverMaster(): void {
    if (!this.#master.process.isDead) return;
    this.#master = this.#startMaster(this.#master.core.state.term + 1);
    this.#trace.note(`the master is back as ${this.#master.core.state.id}`);
    this.#history.recovered((epic) => shownBy(this.#master, epic));
    this.#master.step({ type: 'up' });
    for (const place of this.#workers.places) {
      const { node } = place;
      this.#timeline.after(this.#dice.between(0, 500), () => this.#workers.connect(place, node));
    }
    for (const { id, atMs } of this.#plan.epics) {
      if (atMs <= this.#timeline.nowMs && !this.#history.isTold(id)) this.#submit(id);
    }
  }

  #heal(): void {
    this.#isHealed = true;
    this.#trace.note('nothing goes wrong any more');
    this.#slowUntilMs = 0;
    this.#disk.mend();
    if (this.#master.process.isDead) this.#recoverMaster();
    // Nobody need have heard the orders to go on.
    for (const { id } of this.#plan.epics) this.#order({ type: 'resume', epic: id });
    for (const place of this.#workers.places) {
      place.link.mend();
      this.#workers.connect(place, place.node);
    }
  }
}

function shownBy({ core }: MasterNode, id: string): Shown | undefined {
  const epic = core.state.ledger.epics.get(id);
  return epic && { state: epic.state, totals: epic.totals() };
}

/** How often each kind of record is there; of ends also how they came. */
function kindsOf(records: readonly EpicRecord[]): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const record of records) {
    let kind: string = record.k;
    if (record.k === 'closing') kind += record.as === 'missing' ? ': missing' : ': cancelled';
    if (record.k === 'epic-finished') kind += `: ${record.fault?.code ?? record.outcome}`;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}
