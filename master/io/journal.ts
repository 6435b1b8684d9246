/**
 * Group commit: records go to the store in the order they were written, one append at a time, and what
 * waits for a record is let go once the append that holds it has resolved. It knows no message's meaning.
 *
 * J1: a full disk loses nothing: the records wait and are tried again; any other failure is fatal, since after
 *     a failed fsync nobody knows what is on the disk.
 */

import { GimmeError } from '../../shared/core/errors.ts';
import { STORE_RETRY_MS, STORE_SLOW_MS } from '../../shared/core/limits.ts';
import type { EpicRecord } from '../core/records.ts';
import type { Outgoing } from '../core/state.ts';
import type { Store } from './store.ts';

/** Records, and what waits for them: messages with so many bytes of units. `upTo` is the number of the last one. */
type Group = {
  records: EpicRecord[];
  messages: Outgoing[];
  bytes: number;
  upTo: number;
  waiters: (() => void)[];
};

export type JournalParts = {
  store: Pick<Store, 'append'>;
  monoMs: () => number;
  /** Records are durable, and the messages that waited for them are sent. */
  onSynced: (records: readonly EpicRecord[], seconds: number) => void;
  send: (message: Outgoing) => void;
  /** Records cannot be made durable now, or not in time; told again with undefined once they can. */
  onStalled: (reason: string | undefined) => void;
  setTimer: (ms: number, fn: () => void) => () => void;
  onFatal: (error: unknown) => void;
};

export class Journal {
  readonly #parts: JournalParts;
  #pending = emptyGroup();
  #inFlight: Group | undefined;
  #synced = 0;
  #stalled: string | undefined;
  #isHeld = false;

  constructor(parts: JournalParts) {
    this.#parts = parts;
  }

  /** Records not yet given to the store, and messages that wait for them. */
  get depth(): { records: number; messages: number } {
    return { records: this.#pending.records.length, messages: this.#pending.messages.length };
  }

  /** Bytes of units in messages that wait for a record. */
  get waitingBytes(): number {
    return this.#pending.bytes + (this.#inFlight?.bytes ?? 0);
  }

  /** Takes what one step wrote and said; `recorded` is the number of the last record ever written. */
  take(records: readonly EpicRecord[], messages: readonly Outgoing[], recorded: number): void {
    for (const record of records) this.#pending.records.push(record);
    this.#pending.upTo = recorded;
    for (const message of messages) this.#place(message);
    this.#append();
  }

  /** Runs `decide`; what is taken meanwhile goes into one append. */
  together(decide: () => void): void {
    this.#isHeld = true;
    try {
      decide();
    } finally {
      this.#isHeld = false;
      this.#append();
    }
  }

  /** Resolves once everything taken so far is durable. */
  settled(): Promise<void> {
    const last = this.#pending.records.length > 0 ? this.#pending : this.#inFlight;
    if (!last) return Promise.resolve();
    return new Promise((resolve) => last.waiters.push(resolve));
  }

  #place(message: Outgoing): void {
    if (message.after <= this.#synced) return this.#parts.send(message);
    const inFlight = this.#inFlight;
    const group = inFlight && message.after <= inFlight.upTo ? inFlight : this.#pending;
    group.messages.push(message);
    for (const chunk of message.payload) group.bytes += chunk.length;
  }

  #append(): void {
    if (this.#inFlight || this.#isHeld || this.#pending.records.length === 0) return;
    const writing = this.#pending;
    this.#inFlight = writing;
    this.#pending = emptyGroup();
    this.#write(writing);
  }

  #write(writing: Group): void {
    const { store, monoMs, setTimer } = this.#parts;
    const startedMs = monoMs();
    const cancel = setTimer(STORE_SLOW_MS, () =>
      this.#stall('the store is slow: an append has taken over 2 s'),
    );
    store.append(writing.records).then(
      () => {
        cancel();
        this.#stall(undefined);
        this.#onSynced(writing, (monoMs() - startedMs) / 1_000);
      },
      (error: unknown) => {
        cancel();
        if (!(error instanceof GimmeError) || error.code !== 'disk_full') return this.#parts.onFatal(error); // J1
        this.#stall(error.message);
        setTimer(STORE_RETRY_MS, () => this.#write(writing));
      },
    );
  }

  #stall(reason: string | undefined): void {
    if (reason === this.#stalled) return;
    this.#stalled = reason;
    this.#parts.onStalled(reason);
  }

  #onSynced(written: Group, seconds: number): void {
    this.#inFlight = undefined;
    this.#synced = written.upTo;
    // First of all, since a worker may be idle until it hears.
    for (const message of written.messages) this.#parts.send(message);
    this.#parts.onSynced(written.records, seconds);
    for (const waiter of written.waiters) waiter();
    this.#append();
  }
}

function emptyGroup(): Group {
  return { records: [], messages: [], bytes: 0, upTo: 0, waiters: [] };
}
