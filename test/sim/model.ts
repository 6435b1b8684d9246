/**
 * The model: one master and a few workers, all real cores, on virtual time and a network that loses,
 * doubles and delays; processes crash, stop and drain, links are reset, epics are cancelled. Then the
 * faults end, and everything must finish within a bounded time.
 *
 * All chance comes from the seed: the same seed gives the same trace.
 */
import { createHash } from 'node:crypto';
import { assert } from '../../shared/core/errors.ts';
import { encodeFrame } from '../../shared/protocol/codec.ts';
import type { MasterMessage, WorkerMessage } from '../../shared/protocol/messages.ts';
import { Checks } from './checks.ts';
import { Dice } from './dice.ts';
import { CALM, Link, type Weather } from './link.ts';
import { MailServer } from './mailServer.ts';
import { MasterNode, type MasterParts } from './masterNode.ts';
import { Timeline } from './timeline.ts';
import { type Luck, WorkerNode } from './workerNode.ts';
import { MODEL_WORKS, manifest } from './works.ts';

/** How long after the last fault everything must be over. */
const LIVENESS_MS = 120_000;
const REPLAY_EVERY_STEPS = 60;

/** A place for a worker: its process may be replaced, what it offers stays. */
type Place = {
  number: number;
  process: number;
  version: number;
  slots: number;
  node: WorkerNode;
  link: Link;
};

export type Result = {
  trace: string;
  units: number;
  messages: number;
  endedMs: number;
  counters: MasterNode['core']['state']['counters'];
  outcomes: Record<string, number>;
};

export class Model {
  readonly #dice: Dice;
  readonly #timeline = new Timeline();
  readonly #server = new MailServer();
  #master: MasterNode;
  readonly #checks: Checks;
  readonly #places: Place[] = [];
  readonly #leaseMs: number;
  readonly #trace = createHash('sha256');
  readonly #faultsMs: number;
  #weather: Weather;
  #luck: Luck;
  readonly #masterParts: Omit<MasterParts, 'term' | 'durable'>;
  #isHealed = false;
  #messages = 0;
  #steps = 0;

  constructor(seed: number, options: { faults: boolean } = { faults: true }) {
    const dice = new Dice(seed);
    this.#dice = dice;
    this.#faultsMs = options.faults ? dice.between(5_000, 25_000) : 0;
    this.#leaseMs = dice.between(2_000, 4_000);
    this.#weather = options.faults ? stormy(dice) : CALM;
    this.#luck = luck(dice);
    const appendMs = dice.pick([0, 5, 50, 6_000]);
    this.#masterParts = {
      timeline: this.#timeline,
      dice,
      settings: {
        leaseMs: this.#leaseMs,
        heartbeatMs: this.#leaseMs / 6,
        lookAheadUnits: dice.pick([1, 8, 64]),
        delayedMax: dice.pick([2, 100]),
      },
      speed: () => ({
        appendMs: this.#isHealed ? Math.min(appendMs, 50) : appendMs,
        readMs: 20,
        readFails: this.#isHealed ? 0 : 0.05,
      }),
      readUnits: dice.whole(1, 40),
      badEvery: dice.pick([0, 0, 3, 17]),
      send: (to, message, frame) => this.#fromMaster(to, message, frame),
      watch: (input, output) => {
        this.#checks.master(input, output);
        this.#steps += 1;
        if (this.#steps % REPLAY_EVERY_STEPS === 0) this.#checks.replay();
      },
    };
    this.#master = new MasterNode({ ...this.#masterParts, term: 1, durable: [] });
    this.#checks = new Checks(this.#master.core.state, this.#master.durable);
    for (let number = 0; number < dice.whole(2, 4); number++) this.#settle(number);
    this.#plan(options.faults);
  }

  /** Runs it all. Throws where something that must hold does not. */
  run(): Result {
    this.#master.step({ type: 'tick' });
    this.#timeline.runUntil(this.#faultsMs);
    this.#heal();
    const { state } = this.#master.core;
    const isOver = (): boolean =>
      this.#timeline.nowMs > this.#faultsMs + 10_000 &&
      state.ledger.activeCount === 0 &&
      this.#places.every(({ node }) => node.core.held === 0);
    this.#timeline.runUntil(this.#faultsMs + LIVENESS_MS, isOver);
    this.#checks.replay();
    for (const epic of state.ledger.epics.values()) {
      assert(!epic.active, `epic ${epic.id} is still running: ${JSON.stringify(epic.totals())}`);
      if (epic.work === 'mail') this.#checks.effects(epic.id, this.#server);
    }
    for (const { node } of this.#places) {
      assert(node.core.held === 0, `worker ${node.session} still holds ${node.core.held}`);
      assert(node.core.running === 0, `worker ${node.session} still runs ${node.core.running}`);
    }
    return this.#result();
  }

  #result(): Result {
    const { state } = this.#master.core;
    const outcomes: Record<string, number> = {};
    let units = 0;
    for (const epic of state.ledger.epics.values()) {
      units += epic.read;
      for (const [outcome, count] of Object.entries(epic.counts)) {
        outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
      }
    }
    const trace = this.#trace.copy().digest('hex');
    const { nowMs: endedMs } = this.#timeline;
    return { trace, units, messages: this.#messages, endedMs, counters: state.counters, outcomes };
  }

  /** Plans the epics and, where wanted, the faults. */
  #plan(faults: boolean): void {
    const dice = this.#dice;
    for (let i = dice.whole(1, 4); i > 0; i--) {
      const epic = `e${i}`;
      const work = dice.pick(MODEL_WORKS);
      const to = dice.chance(0.05) ? 0 : dice.whole(1, 120);
      const atMs = dice.between(0, 6_000);
      this.#askMaster(atMs, () => {
        const source = { type: 'range', from: 0, to } as const;
        this.#master.step({ type: 'submit', epic: { epic, name: epic, work, source, brief: 'b' } });
      });
      if (!faults || !dice.chance(0.25)) continue;
      this.#askMaster(atMs + dice.between(0, 8_000), () => {
        this.#master.step({ type: 'cancel', epic, reason: 'the dice said so' });
      });
    }
    if (!faults) return;
    for (let i = dice.whole(0, 12); i > 0; i--) this.#planFault(dice.between(0, this.#faultsMs));
  }

  /** Runs this in the master's process of that time, if there is one. */
  #askMaster(atMs: number, what: () => void): void {
    this.#timeline.at(atMs, () => this.#master.process.run(what));
  }

  #planFault(atMs: number): void {
    const dice = this.#dice;
    const kind = dice.pick([
      'crash',
      'reset',
      'reset',
      'stop',
      'stop-master',
      'crash-master',
      'drain',
    ] as const);
    const place = dice.pick(this.#places);
    const ms = dice.between(10, 2.5 * this.#leaseMs);
    this.#timeline.at(atMs, () => {
      this.#note(`${kind} ${place.node.session}`);
      switch (kind) {
        case 'crash':
          return this.#crash(place, ms);
        case 'reset':
          return this.#reset(place, dice.chance(0.5) ? 10 : ms);
        case 'stop':
          return place.node.process.stop(ms);
        case 'stop-master':
          return this.#master.process.stop(ms);
        case 'crash-master':
          return this.#crashMaster(ms);
        case 'drain':
          return place.node.process.run(() => place.node.step({ type: 'drain' }));
      }
    });
  }

  #settle(number: number): void {
    const dice = this.#dice;
    const version = number > 0 && dice.chance(0.15) ? 2 : 1;
    const place = { number, process: 0, version, slots: dice.whole(1, 5) } as Place;
    this.#places.push(place);
    this.#start(place);
  }

  /** Starts a process in its place and connects it. */
  #start(place: Place): void {
    place.process += 1;
    const session = `w${place.number}-${place.process}`;
    const works = MODEL_WORKS.map((name) => manifest(name, name === 'plain' ? place.version : 1));
    const node: WorkerNode = new WorkerNode({
      timeline: this.#timeline,
      dice: this.#dice,
      session,
      works,
      slots: place.slots,
      heartbeatMs: this.#leaseMs / 6,
      luck: () => this.#luck,
      send: (to, message, frame) => {
        const isHeard = to.to === 'masters' || to.id === this.#master.core.state.id;
        this.#fromWorker(place, node, message, isHeard ? frame : undefined);
      },
      effect: (run, effect) => this.#checks.effect(session, run, effect, this.#server),
      watch: () => this.#checks.worker(session, node.core.held),
      ended: () => this.#timeline.after(0, () => this.#ended(place, node)),
    });
    place.node = node;
    place.link = new Link(
      this.#timeline,
      this.#dice,
      () => this.#weather,
      (lane, frame) => {
        if (lane === 'toMaster') this.#master.receive(session, frame);
        else node.receive(frame);
      },
    );
    this.#connect(place, node);
  }

  #connect(place: Place, node: WorkerNode): void {
    if (node.process.isDead || place.link.isUp || this.#master.process.isDead) return;
    place.link.up();
    node.process.run(() => node.step({ type: 'up' }));
  }

  #ended(place: Place, node: WorkerNode): void {
    if (node.process.isDead || place.node !== node) return;
    const bye = { t: 'bye', reason: 'gone' } as const;
    this.#fromWorker(place, node, bye, encodeFrame(bye));
    this.#replace(place, this.#dice.between(0, 2_000));
  }

  #crash(place: Place, ms: number): void {
    if (place.node.process.isDead) return;
    if (this.#dice.chance(0.5)) place.link.down(false);
    this.#replace(place, ms);
  }

  #replace(place: Place, ms: number): void {
    place.node.process.isDead = true;
    this.#timeline.after(this.#isHealed ? 0 : Math.min(ms, this.#faultsMs - this.#timeline.nowMs), () => {
      if (place.node.process.isDead) this.#start(place);
    });
  }

  #reset(place: Place, ms: number): void {
    const { node } = place;
    this.#disconnect(place, this.#dice.chance(0.3));
    this.#timeline.after(ms, () => this.#connect(place, node));
  }

  #disconnect(place: Place, keeps: boolean): void {
    const { node } = place;
    if (!place.link.isUp || node.process.isDead) return;
    place.link.down(keeps);
    node.process.run(() => node.step({ type: 'down' }));
  }

  #crashMaster(ms: number): void {
    if (this.#master.process.isDead) return;
    this.#master.crash();
    for (const place of this.#places) this.#disconnect(place, false);
    this.#timeline.after(Math.min(ms, this.#faultsMs - this.#timeline.nowMs), () => this.#recoverMaster());
  }

  #recoverMaster(): void {
    if (!this.#master.process.isDead) return;
    const { core, durable } = this.#master;
    const term = core.state.term + 1;
    this.#master = new MasterNode({ ...this.#masterParts, term, durable });
    this.#checks.restart(this.#master.core.state, this.#master.durable);
    this.#note(`recovered as ${term}`);
    this.#master.step({ type: 'up' });
    for (const place of this.#places) this.#reset(place, this.#dice.between(0, 500));
  }

  #heal(): void {
    this.#isHealed = true;
    this.#note('healed');
    this.#weather = CALM;
    if (this.#master.process.isDead) this.#recoverMaster();
    this.#luck = { ...this.#luck, long: 0, runMs: Math.min(this.#luck.runMs, 200) };
    for (const place of this.#places) this.#connect(place, place.node);
  }

  #fromMaster(to: string, message: MasterMessage, frame: Uint8Array): void {
    this.#note(`m>${to} ${JSON.stringify(message)}`);
    this.#checks.leaves(to, message);
    for (const { node, link } of this.#places) {
      if (to === 'all' || node.session === to) link.send('toWorker', frame);
    }
  }

  /** Without a frame it goes to a master that is no more. */
  #fromWorker(place: Place, node: WorkerNode, message: WorkerMessage, frame?: Uint8Array): void {
    this.#note(`${node.session}> ${JSON.stringify(message)}`);
    this.#checks.said(node.session, message, node.core.held);
    if (frame) place.link.send('toMaster', frame);
  }

  #note(what: string): void {
    this.#messages += 1;
    const line = `${this.#timeline.nowMs.toFixed(3)} ${what}\n`;
    this.#trace.update(line);
    if (process.env.TRACE) process.stderr.write(line);
  }
}

function stormy(dice: Dice): Weather {
  return {
    drop: dice.pick([0, 0.01, 0.1]),
    double: dice.pick([0, 0.05, 0.3]),
    late: dice.pick([0, 0.01, 0.1]),
    lateMs: dice.pick([200, 2_000, 8_000]),
    delayMs: dice.pick([1, 20, 300]),
  };
}

function luck(dice: Dice): Luck {
  return {
    fail: dice.pick([0, 0.1]),
    retry: dice.pick([0, 0.1, 0.5]),
    long: dice.pick([0, 0.3]),
    unknown: dice.pick([0, 0.1]),
    skip: dice.pick([0, 0.1]),
    runMs: dice.pick([1, 30, 400, 3_000]),
  };
}
