/**
 * The master of the model: the real core, with a store that takes its time (one append at a time, as the
 * journal does) and sources that are slow, and sometimes fail, to be read.
 */

import { frameNumbers } from '../../master/core/framer.ts';
import { Ledger } from '../../master/core/ledger.ts';
import { Master, type MasterInput } from '../../master/core/master.ts';
import type { EpicRecord } from '../../master/core/records.ts';
import type { BadUnit, Batch } from '../../master/core/source.ts';
import type { CoreSettings, Outgoing, ReadWanted, StepOutput } from '../../master/core/state.ts';
import { assert } from '../../shared/core/errors.ts';
import { decodeWorkerMessage, encodeFrame } from '../../shared/protocol/codec.ts';
import type { MasterMessage } from '../../shared/protocol/messages.ts';
import type { Dice } from './dice.ts';
import { Process } from './process.ts';
import type { Timeline } from './timeline.ts';

const WALL_MS = 1_700_000_000_000;

export type StoreSpeed = { appendMs: number; readMs: number; readFails: number };

export type MasterParts = {
  timeline: Timeline;
  dice: Dice;
  settings: Partial<CoreSettings>;
  speed: () => StoreSpeed;
  /** Units of one read at most. */
  readUnits: number;
  /** Of this many units one is bad; 0 is none. */
  badEvery: number;
  /** Of this process: larger than that of those before it. */
  term: number;
  /** What the process before it left in the store. */
  durable: readonly EpicRecord[];
  /** To one session, or to 'all'. */
  send: (to: string, message: MasterMessage, frame: Uint8Array) => void;
  /** Told after each step. */
  watch: (input: MasterInput, output: StepOutput) => void;
};

type Group = { records: EpicRecord[]; messages: Outgoing[]; upTo: number };

export class MasterNode {
  readonly core: Master;
  readonly process: Process;
  /** Records that the store has. */
  readonly durable: EpicRecord[];
  readonly #parts: MasterParts;
  #pending: Group = { records: [], messages: [], upTo: 0 };
  #inFlight: Group | undefined;
  #synced = 0;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(parts: MasterParts) {
    this.#parts = parts;
    this.process = new Process(parts.timeline);
    const { term, settings, dice } = parts;
    this.durable = [...parts.durable];
    this.core = new Master({ id: `m${term}`, term, seal: hash, settings });
    this.core.recover(dice.chance(0.5) ? this.durable : checkpointed(this.durable, dice));
  }

  /** Dies: what is being appended may or may not be durable. Returns what the store has. */
  crash(): readonly EpicRecord[] {
    this.process.isDead = true;
    if (this.#inFlight && this.#parts.dice.chance(0.5)) this.durable.push(...this.#inFlight.records);
    return this.durable;
  }

  receive(from: string, frame: Uint8Array): void {
    this.process.run(() => this.step({ type: 'message', from, message: decodeWorkerMessage(frame).message }));
  }

  step(input: MasterInput): void {
    const monoMs = this.#parts.timeline.nowMs;
    const output = this.core.step(input, { monoMs, wallMs: WALL_MS + monoMs });
    this.#pending.records.push(...output.records);
    this.#pending.upTo = this.core.state.recorded;
    for (const message of output.messages) this.#place(message);
    for (const read of output.reads) this.#read(read);
    this.#append();
    assert(output.wakeAt > monoMs, `the master wakes at ${output.wakeAt}, which is not after ${monoMs}`);
    this.#wake(output.wakeAt);
    this.#parts.watch(input, output);
  }

  #place(message: Outgoing): void {
    if (message.after <= this.#synced) this.#send(message);
    else if (this.#inFlight && message.after <= this.#inFlight.upTo) this.#inFlight.messages.push(message);
    else this.#pending.messages.push(message);
  }

  #send(outgoing: Outgoing): void {
    const frame = encodeFrame(outgoing.message, outgoing.payload);
    this.#parts.send(outgoing.to === 'worker' ? outgoing.session : 'all', outgoing.message, frame);
  }

  #append(): void {
    if (this.#inFlight || this.#pending.records.length === 0) return;
    const group = this.#pending;
    this.#inFlight = group;
    this.#pending = { records: [], messages: [], upTo: 0 };
    this.process.after(this.#parts.dice.between(0, this.#parts.speed().appendMs), () => {
      this.#inFlight = undefined;
      this.#synced = group.upTo;
      this.durable.push(...group.records);
      for (const message of group.messages) this.#send(message);
      this.#append();
    });
  }

  #wake(atMs: number): void {
    if (atMs >= this.#wakeAt) return;
    this.#wakeAt = atMs;
    this.#parts.timeline.at(atMs, () => {
      if (this.#wakeAt !== atMs) return;
      // Input that waits while the process is stopped comes before the tick.
      this.process.run(() => {
        if (this.#wakeAt !== atMs) return;
        this.#wakeAt = Number.POSITIVE_INFINITY;
        this.step({ type: 'tick' });
      });
    });
  }

  #read(read: ReadWanted): void {
    const { dice, speed } = this.#parts;
    this.process.after(dice.between(0, speed().readMs), () => {
      const { epic, first } = read;
      if (dice.chance(speed().readFails)) {
        return this.step({ type: 'read-failed', epic, first, message: 'the disk said no' });
      }
      this.step({ type: 'batch', epic, batch: this.#batch(read) });
    });
  }

  /** Offsets of a range are its numbers. The same stretch is always cut in the same way. */
  #batch({ epic, offset, first, units }: ReadWanted): Batch {
    const source = this.core.state.ledger.epics.get(epic)?.source;
    assert(source?.type === 'range', `epic ${epic} has no range`);
    const count = Math.min(units, this.#parts.readUnits, source.to - offset);
    const { framed, starts } = frameNumbers(offset, count);
    const bad: BadUnit[] = [];
    const { badEvery } = this.#parts;
    for (let unit = first; unit < first + count; unit++) {
      if (badEvery > 0 && unit % badEvery === badEvery - 1)
        bad.push({ unit, code: 'invalid_unit', message: 'bad' });
    }
    const next = offset + count;
    return { first, count, framed, starts, bad, offset, next, end: next >= source.to };
  }
}

/** The same journal with a checkpoint in the place of its first part. */
function checkpointed(records: readonly EpicRecord[], dice: Dice): EpicRecord[] {
  const upTo = dice.whole(0, records.length);
  const ledger = new Ledger();
  for (const record of records.slice(0, upTo)) ledger.apply(record);
  const checkpoint = JSON.parse(JSON.stringify(ledger.checkpoint())) as EpicRecord[];
  return [...checkpoint, ...records.slice(upTo)];
}

/** Stands for a signature: a liar of the model could forge it, but there is none. (FNV-1a) */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value.toString(36);
}
