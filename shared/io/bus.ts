/**
 * The `Bus` seam: a link that carries frames between one or more masters and their workers.
 * It owns connections and peers; it knows nothing of what a frame says.
 *
 * What every implementation keeps (test/conformance/bus.ts):
 * B1: frames from one sender to one receiver arrive in order, at most once each, whole.
 * B2: a frame sent while disconnected is dropped and said so, never kept.
 * B3: a peer that does not read is cut at PEER_BUFFER_BYTES_MAX, never buffered without bound.
 * B4: a lost connection is made again for ever, after the first one succeeded; `onUp` runs each time.
 * B5: handlers run one at a time and synchronously; a handler that throws ends the process.
 */

/** Where a frame goes. A broadcast reaches those connected now. */
export type Address =
  | { to: 'workers' }
  | { to: 'masters' }
  | { to: 'worker'; id: string }
  | { to: 'master'; id: string };

export type BusRole = 'master' | 'worker';

export type BusHandlers = {
  /** A frame arrived; `from` is the sender's id. The bytes belong to the receiver: no bus uses them again. */
  onFrame(from: string, frame: Uint8Array): void;
  /** The link is up: first connection and every reconnection (on a master's own hub: it listens). */
  onUp(): void;
  /** The link went down; the bus is trying again. */
  onDown(reason: string): void;
};

export type Bus = {
  readonly kind: 'memory' | 'ws' | 'nats';
  readonly id: string;
  readonly role: BusRole;
  /** Starts the link; resolves when up, rejects with a GimmeError if it cannot come up at first. */
  open(handlers: BusHandlers): Promise<void>;
  /** Sends a frame; false when it was dropped (disconnected, unknown or cut peer). */
  send(address: Address, frame: Uint8Array): boolean;
  /** Bytes accepted by `send` and not yet handed to the network, over all peers. */
  buffered(): number;
  /** Sends what was accepted, then closes. */
  close(): Promise<void>;
};
