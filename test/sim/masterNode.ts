/**
 * A master process of the simulation: the real core and the real journal, over a disk, sources and links of
 * virtual time. A broken core is the real one with its inputs and outputs bent on the way (`breakages.ts`).
 */
import { Ledger } from '../../master/core/ledger.ts';
import { Master, type MasterInput } from '../../master/core/master.ts';
import type { EpicRecord } from '../../master/core/records.ts';
import type { CoreSettings, DueWanted, Outgoing, ReadWanted, StepOutput } from '../../master/core/state.ts';
import { Journal } from '../../master/io/journal.ts';
import { assert } from '../../shared/core/errors.ts';
import { decodeWorkerMessage, encodeFrame } from '../../shared/protocol/codec.ts';
import type { MasterMessage } from '../../shared/protocol/messages.ts';
import type { Breakage } from './breakages.ts';
import type { Dice } from './dice.ts';
import type { Disk } from './disk.ts';
import type { FaultCounts } from './faults.ts';
import { Process } from './process.ts';
import type { Source } from './sources.ts';
import type { Timeline } from './timeline.ts';
import { Uploads } from './uploads.ts';

const WALL_MS = 1_700_000_000_000;
const READ_MS = 20;

export type MasterParts = {
  timeline: Timeline;
  dice: Dice;
  faults: FaultCounts;
  settings: Partial<CoreSettings>;
  disk: Disk;
  /** By epic; those that scatters gave by their own id. */
  sources: Map<string, Source>;
  /** Units of one read at most. */
  readUnits: number;
  readFails: () => number;
  /** Of this process: larger than that of those before it. */
  term: number;
  breakage: Breakage;
  /** To one session, or to 'all'. */
  send: (to: string, message: MasterMessage, frame: Uint8Array) => void;
  /** Told of each step, before what it asks for is done. */
  watch: (input: MasterInput, output: StepOutput) => void;
  /** These records are durable, and whoever waits for them may be told. */
  onSynced: (records: readonly EpicRecord[]) => void;
};

export class MasterNode {
  readonly core: Master;
  readonly process: Process;
  readonly #parts: MasterParts;
  readonly #journal: Journal;
  readonly #uploads: Uploads;
  /** Records of this process that are durable. */
  #synced = 0;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(parts: MasterParts) {
    this.#parts = parts;
    this.process = new Process(parts.timeline);
    const { term, settings, dice, disk, breakage, timeline } = parts;
    this.core = new Master({ id: `m${term}`, term, seal: hash, settings });
    const found = breakage.recover?.(disk.records) ?? disk.records;
    this.core.recover(dice.chance(0.5) ? found : checkpointed(found, dice));
    breakage.recovered?.(this.core);
    this.#journal = new Journal({
      store: disk.storeOf(this.process),
      monoMs: () => timeline.nowMs,
      onSynced: (records) => {
        this.#synced += records.length;
        parts.onSynced(records);
      },
      send: (message) => this.#send(message),
      onStalled: (reason) => this.step({ type: 'store', stalled: reason !== undefined }),
      setTimer: (ms, fn) => this.#timer(ms, fn),
      onFatal: (error) => {
        throw error;
      },
    });
    this.#uploads = new Uploads({
      state: this.core.state,
      disk,
      spools: parts.sources,
      written: (then, count = 1) => this.process.after(dice.between(0, READ_MS * count), then),
      whenSynced: (then) => this.#whenSynced(then),
      step: (input) => this.step(input),
      send: (session, message, payload) => this.#send({ to: 'worker', session, message, payload, after: 0 }),
    });
  }

  receive(from: string, frame: Uint8Array): void {
    const { message, units } = decodeWorkerMessage(frame);
    this.process.run(() => this.step({ type: 'message', from, message, payload: units }));
  }

  step(input: MasterInput): void {
    const { breakage, timeline } = this.#parts;
    const monoMs = timeline.nowMs;
    const now = { monoMs, wallMs: WALL_MS + monoMs };
    breakage.before?.(this.core, now);
    const given = breakage.input?.(input, this.core) ?? input;
    const wanted = this.core.step(given, now);
    const output = breakage.output?.(wanted, input, this.core) ?? wanted;
    this.#parts.watch(input, output);
    if (!this.process.move()) return;
    this.#journal.take(output.records, output.messages, this.core.state.recorded);
    for (const read of output.reads) this.#read(read);
    for (const due of output.dues) this.#due(due);
    if (given.type === 'message') this.#exchange(given);
    assert(output.wakeAt > monoMs, `the master wakes at ${output.wakeAt}, which is not after ${monoMs}`);
    this.#wake(output.wakeAt);
  }

  /** What the shell answers, since it has the bytes. */
  #exchange({ from, message, payload }: Extract<MasterInput, { type: 'message' }>): void {
    if (message.t === 'part') this.#uploads.take(from, message, payload);
    if (message.t === 'want-answers') this.#uploads.answer(from, message);
  }

  #send(outgoing: Outgoing): void {
    if (!this.process.move()) return;
    const frame = encodeFrame(outgoing.message, outgoing.payload);
    this.#parts.send(outgoing.to === 'worker' ? outgoing.session : 'all', outgoing.message, frame);
  }

  #timer(ms: number, fn: () => void): () => void {
    let isCancelled = false;
    this.process.after(ms, () => {
      if (!isCancelled) fn();
    });
    return () => {
      isCancelled = true;
    };
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

  #read(wanted: ReadWanted): void {
    if (!this.process.move()) return;
    const { dice, faults, sources, readUnits, readFails } = this.#parts;
    this.process.after(dice.between(0, READ_MS), () => {
      const { epic, first } = wanted;
      if (dice.chance(readFails())) {
        faults.add('failed read');
        return this.step({ type: 'read-failed', epic, first, message: 'the disk said no', damaged: false });
      }
      const spec = this.core.state.ledger.epics.get(epic)?.source;
      const source = (spec?.type === 'spool' && sources.get(spec.id)) || sources.get(epic);
      assert(source, `epic ${epic} has no source`);
      this.step({ type: 'batch', epic, batch: source.read(wanted, readUnits) });
    });
  }

  /** Rows follow their records: looked up once all records so far are durable. */
  #due(wanted: DueWanted): void {
    if (!this.process.move()) return;
    const { dice, disk, faults, readFails } = this.#parts;
    const { epic } = wanted;
    const look = (): void => {
      if (dice.chance(readFails())) {
        faults.add('failed read');
        return this.step({ type: 'due-failed', epic });
      }
      this.step({ type: 'due', epic, due: disk.rows.due(wanted) });
    };
    this.process.after(dice.between(0, READ_MS), () => this.#whenSynced(look));
  }

  /** Calls back once all records so far are durable. */
  #whenSynced(then: () => void, upTo = this.core.state.recorded): void {
    if (this.#synced >= upTo) then();
    else this.process.after(1, () => this.#whenSynced(then, upTo));
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

/** Stands for a signature: a liar of the simulation could forge it, but there is none. (FNV-1a) */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value.toString(36);
}
