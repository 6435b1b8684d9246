/**
 * The `Bus` seam: a link that carries frames between one or more masters and their workers.
 * It owns connections and peers; it knows nothing of what a frame says.
 *
 * What every implementation keeps (test/conformance/bus.ts):
 * B1: frames from one sender to one receiver arrive in order, at most once each, whole.
 * B2: a frame sent while disconnected is dropped and said so, never kept.
 * B3: a peer that does not read is cut at PEER_BUFFER_BYTES_MAX, never buffered without bound. Where a server
 *     stands between (NATS), the server cuts it; a frame that would put too much under way to it is refused.
 * B4: a lost connection is made again for ever; `onUp` runs each time. Only a worker whose session was
 *     taken over by a newer connection stays down.
 * B5: handlers run one at a time and synchronously, never within a call of `send` or `open`; a handler
 *     that throws ends the process. From the call of `close` on, none runs.
 */
import { assert } from '../core/errors.ts';
import { MESSAGE_BYTES_MAX } from '../core/limits.ts';

/**
 * Where a frame goes. A broadcast reaches those connected now. Masters speak to workers and workers to
 * masters: a frame to one's own kind is dropped.
 */
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
  /**
   * The link went down, or could not come up at first: once per loss, however often trying again fails.
   * What was under way may be lost.
   */
  onDown(reason: string): void;
};

export type Bus = {
  readonly kind: 'memory' | 'ws' | 'nats';
  readonly id: string;
  readonly role: BusRole;
  /**
   * Starts the link; called once. Resolves after the first `onUp`, for which it waits without limit.
   * Rejects with a GimmeError where waiting cannot help (refused) or `close` came first. Over NATS, where
   * nothing works without a server, it waits for NATS_CONNECT_MS.
   */
  open(handlers: BusHandlers): Promise<void>;
  /**
   * Sends a frame of 1 to MESSAGE_BYTES_MAX bytes, which nobody changes afterwards. False when it was
   * certainly dropped: disconnected, unknown or cut peer (which over NATS nobody sees). A broadcast is true
   * while the link is up, whoever hears it. True does not say that it arrived. Who sends much at once waits
   * while `buffered` is high.
   */
  send(address: Address, frame: Uint8Array): boolean;
  /** Bytes accepted by `send` and not yet handed to the network, over all peers. */
  buffered(): number;
  /** Sends what was accepted, for at most LINK_CLOSE_MS, then closes. May be called again. */
  close(): Promise<void>;
};

/** Guards `send`: an empty or oversized frame is a fault of the sender's code, not of the link. */
export function assertFrame(frame: Uint8Array): void {
  assert(
    frame.length > 0 && frame.length <= MESSAGE_BYTES_MAX,
    `a frame of ${frame.length} bytes was sent; a bus carries 1 to ${MESSAGE_BYTES_MAX}`,
  );
}
