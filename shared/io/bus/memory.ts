/**
 * A network in memory: every bus of it in one process, delivery asynchronous and in order, frames copied.
 * For tests and benches. Owns the nodes, what is under way between them, and the faults a test asks for.
 *
 * It behaves as a hub does: a worker is up while its own link is whole and at least one master is there.
 *
 * A node is `idle` until opened, then `open` until closed. One that a newer node of its id replaced stays
 * `open` but is no part of the network any more.
 *
 * N1: handlers run in turns of their own (setImmediate), one mail at a time, in the order of posting.
 * N2: a frame counts as buffered by its sender and by its worker's link from `send` until it is
 *     delivered or dropped, exactly once each.
 */
import { assert, GimmeError, unreachable } from '../../core/errors.ts';
import { isId } from '../../core/ids.ts';
import { PEER_BUFFER_BYTES_MAX } from '../../core/limits.ts';
import { type Address, assertFrame, type Bus, type BusHandlers, type BusRole } from '../bus.ts';

export type MemoryNetworkOptions = {
  /** Decides what becomes of each accepted frame; to lose or double messages on purpose. */
  onSend?: (from: string, address: Address, frame: Uint8Array) => 'pass' | 'drop' | 'double';
};

type FrameMail = { type: 'frame'; from: Node; worker: Node; frame: Uint8Array };
type Mail = FrameMail | { type: 'up' } | { type: 'down'; reason: string };

type Open = {
  at: 'open';
  handlers: BusHandlers;
  /** Settle the promise that `open` returned; later calls do nothing. */
  resolve: () => void;
  reject: (error: GimmeError) => void;
};

type Node = {
  readonly id: string;
  readonly role: BusRole;
  state: { at: 'idle' } | Open | { at: 'closed' };
  up: boolean;
  mailbox: Mail[];
  isScheduled: boolean;
  /** Bytes this node sent that are under way. */
  sentBytes: number;
  /** Of a worker: bytes under way to it. Those from it are its `sentBytes`. */
  inboundBytes: number;
};

const REPLACED = 'replaced by another connection of this session';

export class MemoryNetwork {
  readonly #onSend: NonNullable<MemoryNetworkOptions['onSend']>;
  /** The open node of each id. */
  readonly #nodes = new Map<string, Node>();
  readonly #cut = new Set<string>();
  readonly #stalled = new Set<string>();

  constructor(options: MemoryNetworkOptions = {}) {
    this.#onSend = options.onSend ?? (() => 'pass');
  }

  /** Makes a master's bus; once opened it replaces an open one of the same id. */
  master(id: string): Bus {
    return this.#bus(id, 'master');
  }

  /** Makes a worker's bus; once opened it replaces an open one of the same id. */
  worker(id: string): Bus {
    return this.#bus(id, 'worker');
  }

  /** Takes a node's link down; what is under way to and from it is lost. Lasts until `heal`. */
  cut(id: string, reason = 'the link was cut'): void {
    this.#cut.add(id);
    const node = this.#nodes.get(id);
    if (!node) return;
    for (const other of this.#nodes.values()) {
      this.#discard(other, (mail) => other === node || mail.from === node);
    }
    this.#refresh(reason);
  }

  /** Ends `cut` and `stall` of this node. */
  heal(id: string): void {
    this.#cut.delete(id);
    this.#stalled.delete(id);
    this.#refresh('');
    const node = this.#nodes.get(id);
    if (node) this.#schedule(node);
  }

  /**
   * The node stops reading and none of its handlers runs, until `heal`. A worker with more than
   * PEER_BUFFER_BYTES_MAX under way to it, or from it to a stalled master, is cut.
   */
  stall(id: string): void {
    this.#stalled.add(id);
  }

  #bus(id: string, role: BusRole): Bus {
    assert(isId(id), `a bus needs a valid id, got ${JSON.stringify(id)}`);
    const node: Node = {
      id,
      role,
      state: { at: 'idle' },
      up: false,
      mailbox: [],
      isScheduled: false,
      sentBytes: 0,
      inboundBytes: 0,
    };
    return {
      kind: 'memory',
      id,
      role,
      open: (handlers) => this.#open(node, handlers),
      send: (address, frame) => this.#send(node, address, frame),
      buffered: () => node.sentBytes,
      close: () => this.#close(node),
    };
  }

  #open(node: Node, handlers: BusHandlers): Promise<void> {
    assert(node.state.at === 'idle', `bus ${node.id} is opened once; it is ${node.state.at}`);
    return new Promise((resolve, reject) => {
      const older = this.#nodes.get(node.id);
      node.state = { at: 'open', handlers, resolve, reject };
      this.#nodes.set(node.id, node);
      if (older) this.#replace(older);
      this.#refresh('');
      if (node.up) return;
      const reason = this.#cut.has(node.id) ? 'the link was cut' : 'no master is there';
      this.#post(node, { type: 'down', reason });
    });
  }

  #replace(node: Node): void {
    this.#discard(node, () => true);
    if (node.state.at === 'open')
      node.state.reject(new GimmeError('link_down', `${node.id} was ${REPLACED}`));
    if (node.up) this.#post(node, { type: 'down', reason: REPLACED });
    node.up = false;
  }

  #send(node: Node, address: Address, frame: Uint8Array): boolean {
    assertFrame(frame);
    if (!node.up) return false;
    const receivers = this.#receivers(node, address);
    if (receivers === undefined) return false;
    const fate = this.#onSend(node.id, address, frame);
    if (fate === 'drop') return true;
    let isAccepted = true;
    for (const receiver of receivers) {
      if (fate === 'double') this.#carry(node, receiver, frame);
      isAccepted = this.#carry(node, receiver, frame) && isAccepted;
    }
    return isAccepted || address.to === 'workers' || address.to === 'masters';
  }

  /** Nothing for an address that is unknown or of the sender's own kind; a broadcast may reach none. */
  #receivers(from: Node, address: Address): Node[] | undefined {
    switch (address.to) {
      case 'workers':
      case 'masters': {
        const role = address.to === 'workers' ? 'worker' : 'master';
        if (role === from.role) return undefined;
        return [...this.#nodes.values()].filter((node) => node.role === role && node.up);
      }
      case 'worker':
      case 'master': {
        const node = this.#nodes.get(address.id);
        return node?.up && node.role === address.to && node.role !== from.role ? [node] : undefined;
      }
      default:
        return unreachable(address);
    }
  }

  #carry(from: Node, to: Node, frame: Uint8Array): boolean {
    const worker = to.role === 'worker' ? to : from;
    const underWay = to.role === 'worker' ? to.inboundBytes : from.sentBytes;
    // B3
    if (underWay + frame.length > PEER_BUFFER_BYTES_MAX) {
      this.cut(worker.id, 'too much was under way');
      return false;
    }
    from.sentBytes += frame.length;
    if (to === worker) to.inboundBytes += frame.length;
    this.#post(to, { type: 'frame', from, worker, frame: new Uint8Array(frame) });
    return true;
  }

  #close(node: Node): Promise<void> {
    if (node.state.at === 'open') {
      node.state.reject(new GimmeError('link_down', `the link of ${node.id} was closed before it came up`));
    }
    node.state = { at: 'closed' };
    node.up = false;
    this.#discard(node, () => true);
    if (this.#nodes.get(node.id) === node) {
      this.#nodes.delete(node.id);
      this.#refresh(`master ${node.id} closed`);
    }
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  /** Brings every node's `up` in line with what is there, and tells those for which it changed. */
  #refresh(reason: string): void {
    const isLinked = (node: Node): boolean => !this.#cut.has(node.id);
    const hasMaster = [...this.#nodes.values()].some((node) => node.role === 'master' && isLinked(node));
    for (const node of this.#nodes.values()) {
      const isUp = isLinked(node) && (node.role === 'master' || hasMaster);
      if (isUp === node.up) continue;
      node.up = isUp;
      this.#post(node, isUp ? { type: 'up' } : { type: 'down', reason });
    }
  }

  #post(node: Node, mail: Mail): void {
    node.mailbox.push(mail);
    this.#schedule(node);
  }

  #schedule(node: Node): void {
    if (node.isScheduled || node.mailbox.length === 0) return;
    node.isScheduled = true;
    setImmediate(() => {
      node.isScheduled = false;
      this.#deliver(node);
    });
  }

  #deliver(node: Node): void {
    // N1. What the handlers cause is for the next turn, so that no node starves the others.
    for (let left = node.mailbox.length; left > 0; left--) {
      const { state } = node;
      // A handler may have closed, cut or stalled this very node.
      if (state.at !== 'open' || this.#stalled.has(node.id)) return;
      const mail = node.mailbox.shift();
      if (!mail) return;
      this.#hand(state, node, mail);
    }
    this.#schedule(node);
  }

  #hand({ handlers, resolve }: Open, node: Node, mail: Mail): void {
    switch (mail.type) {
      case 'frame':
        this.#settle(node, mail);
        handlers.onFrame(mail.from.id, mail.frame);
        break;
      case 'up':
        handlers.onUp();
        resolve();
        break;
      case 'down':
        handlers.onDown(mail.reason);
        break;
      default:
        unreachable(mail);
    }
  }

  #discard(node: Node, isLost: (mail: FrameMail) => boolean): void {
    node.mailbox = node.mailbox.filter((mail) => {
      if (mail.type !== 'frame' || !isLost(mail)) return true;
      this.#settle(node, mail);
      return false;
    });
  }

  /** N2 */
  #settle(to: Node, { from, worker, frame }: FrameMail): void {
    from.sentBytes -= frame.length;
    if (to === worker) to.inboundBytes -= frame.length;
    assert(
      from.sentBytes >= 0 && to.inboundBytes >= 0,
      `a frame from ${from.id} to ${to.id} was settled twice`,
    );
  }
}
