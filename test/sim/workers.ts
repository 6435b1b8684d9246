/**
 * The workers of a simulation: places in which processes come and go, each with its link to the master. What a
 * place offers stays; a process that ends is replaced by a new session.
 */
import { assert } from '../../shared/core/errors.ts';
import { encodeFrame } from '../../shared/protocol/codec.ts';
import type { MasterMessage, WorkerMessage } from '../../shared/protocol/messages.ts';
import type { PlannedGather } from './gatherPlan.ts';
import type { History } from './history.ts';
import { Link, type Network } from './link.ts';
import type { MasterNode } from './masterNode.ts';
import type { Plan } from './plan.ts';
import { FEED, type Source } from './sources.ts';
import type { Story } from './story.ts';
import type { Trace } from './trace.ts';
import { type Luck, WorkerNode } from './workerNode.ts';
import { manifest, SIM_WORKS } from './works.ts';

export type Place = {
  readonly number: number;
  readonly version: number;
  readonly slots: number;
  readonly name: string;
  readonly area: string;
  readonly reads: boolean;
  /** How many processes it has had. */
  processes: number;
  node: WorkerNode;
  link: Link;
};

export type WorkersParts = {
  plan: Plan;
  network: Network;
  history: History;
  story: Story;
  trace: Trace;
  luck: () => Luck;
  master: () => MasterNode;
  /** When nothing goes wrong any more. */
  isHealed: () => boolean;
};

export class Workers {
  readonly places: Place[] = [];
  readonly #parts: WorkersParts;

  constructor(parts: WorkersParts) {
    this.#parts = parts;
  }

  /** Starts all of them. */
  start(): void {
    for (const [number, planned] of this.#parts.plan.places.entries()) {
      const place = { number, ...planned, processes: 0 } as Place;
      this.places.push(place);
      this.#start(place);
    }
  }

  /** Whether nobody holds anything, and everybody runs. */
  get areIdle(): boolean {
    return this.places.every(({ node }) => !node.process.isDead && node.core.held === 0);
  }

  /** Frames of the master: to one session, or to all. */
  send(to: string, message: MasterMessage, frame: Uint8Array): void {
    this.#parts.trace.message(this.#parts.master().core.state.id, to, message);
    for (const { node, link } of this.places) {
      if (to !== 'all' && node.session !== to) continue;
      link.send('toWorker', () => node.receive(frame));
    }
  }

  crash(place: Place, ms: number, losesLink: boolean): void {
    if (place.node.process.isDead || this.#parts.isHealed()) return;
    this.#parts.story.add('*', undefined, `worker ${place.node.session} dies`);
    if (losesLink) place.link.down(false);
    this.#replace(place, ms);
  }

  /** Its link breaks; what is under way may be kept by a server between the two. */
  reset(place: Place, ms: number, keeps: boolean): void {
    const { node } = place;
    this.disconnect(place, keeps);
    this.#parts.network.timeline.after(ms, () => this.connect(place, node));
  }

  connect(place: Place, node: WorkerNode): void {
    if (node.process.isDead || place.link.isUp || this.#parts.master().process.isDead) return;
    place.link.up();
    node.process.run(() => node.step({ type: 'up' }));
  }

  /** The master's own link is away: nobody hears anybody, and only the master is told. */
  cutAll(ms: number): void {
    for (const { link } of this.places) {
      link.cut('toMaster', ms);
      link.cut('toWorker', ms);
    }
  }

  disconnect(place: Place, keeps: boolean): void {
    const { node } = place;
    if (!place.link.isUp || node.process.isDead) return;
    place.link.down(keeps);
    node.process.run(() => node.step({ type: 'down' }));
  }

  /** Starts a process in its place and connects it. */
  #start(place: Place): void {
    const { plan, network, history, luck } = this.#parts;
    const { timeline, dice } = network;
    place.processes += 1;
    const session = `w${place.number}-${place.processes}`;
    const node: WorkerNode = new WorkerNode({
      timeline,
      dice,
      session,
      works: SIM_WORKS.map((name) => manifest(name, name === 'plain' ? place.version : 1)),
      slots: place.slots,
      name: place.name,
      area: place.area,
      gatherOf: (epic) => this.#gatherOf(epic),
      sourceOf: (epic) => this.#sourceOf(epic),
      sources: place.reads ? [FEED] : [],
      heartbeatMs: plan.settings.heartbeatMs,
      luck,
      send: (to, message, frame) =>
        this.#said(place, node, to.to === 'master' ? to.id : undefined, message, frame),
      started: (run) => history.started(session, run),
      effect: (run, effect, index) => history.effect(session, run, { effect, index }),
      runs: (run, index, input) => history.steps.runs(session, run, index, input),
      folds: (run, told) => history.folds(session, run, told),
      watch: () => history.demand.holds(session, node.core.held),
      ended: () => timeline.after(0, () => this.#ended(place, node)),
    });
    place.node = node;
    place.link = new Link(network);
    this.connect(place, node);
  }

  #sourceOf(epic: string): Source {
    const source = this.#parts.plan.epics.find(({ id }) => id === epic)?.source;
    assert(source, `epic ${epic} has no source`);
    return source;
  }

  #gatherOf(epic: string): PlannedGather {
    const gather = this.#parts.plan.epics.find(({ id }) => id === epic)?.gather;
    assert(gather, `epic ${epic} is no gather`);
    return gather;
  }

  /** A worker says something to one master, or (without an id) to whichever there is. */
  #said(
    place: Place,
    node: WorkerNode,
    id: string | undefined,
    message: WorkerMessage,
    frame = encodeFrame(message),
  ): void {
    const { trace, history, master } = this.#parts;
    trace.message(node.session, id ?? 'masters', message);
    history.said(node.session, message, node.core.held);
    place.link.send('toMaster', () => {
      if (id === undefined || id === master().core.state.id) master().receive(node.session, frame);
    });
  }

  #ended(place: Place, node: WorkerNode): void {
    if (node.process.isDead || place.node !== node) return;
    this.#parts.story.add('*', undefined, `worker ${node.session} has drained and ends`);
    this.#said(place, node, undefined, { t: 'bye', reason: 'gone' });
    this.#replace(place, this.#parts.network.dice.between(0, 2_000));
  }

  #replace(place: Place, ms: number): void {
    const { network, plan } = this.#parts;
    place.node.process.isDead = true;
    const left = Math.max(0, plan.faultsMs - network.timeline.nowMs);
    network.timeline.after(Math.min(ms, left), () => {
      if (place.node.process.isDead) this.#start(place);
    });
  }
}
