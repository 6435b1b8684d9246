/** A worker's shell over a network in memory, and the master that it speaks with: a test's own hand. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { WorkDefinition } from '../../../shared/core/work.ts';
import { MemoryNetwork } from '../../../shared/io/bus/memory.ts';
import { FakeClock } from '../../../shared/io/clock.ts';
import { silentLog } from '../../../shared/io/log.ts';
import { type Decoded, decodeWorkerMessage, encodeFrame, prefixed } from '../../../shared/protocol/codec.ts';
import type { MasterMessage, Work, WorkerMessage } from '../../../shared/protocol/messages.ts';
import { WorkerRuntime } from '../../../worker/io/runtime.ts';
import { manifestOf } from '../../../worker/main.ts';

/** Turns of the loop, and 50 ms of the clock in each, that anything may take. */
const TURNS_MAX = 1_000;

export type Heard = { from: string } & Decoded<WorkerMessage>;

/** A master that says what the test has it say, and answers only for briefs. */
export class HandMaster {
  readonly heard: Heard[] = [];
  readonly clock = new FakeClock(1_000);
  readonly network = new MemoryNetwork();
  readonly #bus = this.network.master('m');
  readonly #work: WorkDefinition;
  readonly #brief: Buffer;
  readonly #hash: string;

  constructor(work: WorkDefinition, brief: unknown = null) {
    this.#work = work;
    this.#brief = Buffer.from(JSON.stringify({ brief, format: { type: 'json' } }));
    this.#hash = createHash('sha256').update(this.#brief).digest('hex');
    void this.#bus.open({
      onFrame: (from, frame) => {
        const decoded = decodeWorkerMessage(frame);
        this.heard.push({ from, ...decoded });
        const { message } = decoded;
        if (message.t === 'hello') this.say(from, { t: 'available', v: 1, master: 'm', term: 1, works: [] });
        if (message.t !== 'want-brief') return;
        this.say(from, { t: 'brief', hash: this.#hash, part: 0, parts: 1 }, [this.#brief]);
      },
      onUp: () => {},
      onDown: () => {},
    });
  }

  worker(session: string): WorkerRuntime {
    const { clock, network } = this;
    const identity = { name: session, works: [manifestOf(this.#work)], labels: {}, slots: 4, version: '0' };
    const works = new Map([[this.#work.name, this.#work]]);
    const bus = network.worker(session);
    const runtime = new WorkerRuntime({ identity, works, bus, clock, random: () => 0.5, log: silentLog });
    void runtime.open();
    return runtime;
  }

  say(to: string, message: MasterMessage, items: readonly Uint8Array[] = []): void {
    this.#bus.send({ to: 'worker', id: to }, encodeFrame(message, items.map(prefixed)));
  }

  grant(to: string, more: Partial<Work>, items: readonly Uint8Array[]): void {
    const base = {
      t: 'work',
      term: 1,
      n: 1,
      epic: 'e',
      work: this.#work.name,
      brief: this.#hash,
      seal: 's',
    } as const;
    this.say(to, { ...base, units: [0, 1], ...more }, items);
  }

  /** Time goes by until a worker has said what `wanted` picks; it is taken out of what was heard. */
  async until(wanted: (heard: Heard) => boolean): Promise<Heard> {
    for (let i = 0; i < TURNS_MAX; i++) {
      const at = this.heard.findIndex(wanted);
      const found = at >= 0 ? this.heard.splice(at, 1)[0] : undefined;
      if (found) return found;
      this.clock.advance(50);
      await turn();
    }
    return assert.fail(
      `heard only ${this.heard.map(({ from, message }) => `${from} ${message.t}`).join(', ')}`,
    );
  }
}

export const says = (from: string, t: WorkerMessage['t']) => (heard: Heard) =>
  heard.from === from && heard.message.t === t;

/** A report that has a list of this name. */
export const reports = (from: string, list: 'ok' | 'later' | 'failed') => (heard: Heard) =>
  heard.from === from &&
  heard.message.t === 'gimme' &&
  heard.message.reports.some((report) => report[list] !== undefined);

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
