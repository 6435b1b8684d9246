/** The worker's shell with a master by hand: what a unit is kept with, and that it goes on elsewhere from there. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { defineWork, RetryableError, type WorkDefinition } from '../../../shared/core/work.ts';
import { MemoryNetwork } from '../../../shared/io/bus/memory.ts';
import { FakeClock } from '../../../shared/io/clock.ts';
import { silentLog } from '../../../shared/io/log.ts';
import { type Decoded, decodeWorkerMessage, encodeFrame, prefixed } from '../../../shared/protocol/codec.ts';
import type { MasterMessage, Work, WorkerMessage } from '../../../shared/protocol/messages.ts';
import { WorkerRuntime } from '../../../worker/io/runtime.ts';
import { manifestOf } from '../../../worker/main.ts';

const BRIEF = Buffer.from(JSON.stringify({ brief: null, format: { type: 'json' } }));
const HASH = createHash('sha256').update(BRIEF).digest('hex');
/** Turns of the loop, and 50 ms of the clock in each, that anything may take. */
const TURNS_MAX = 1_000;

type Heard = { from: string } & Decoded<WorkerMessage>;

/** A master that says what the test has it say, and answers only for briefs. */
class HandMaster {
  readonly heard: Heard[] = [];
  readonly clock = new FakeClock(1_000);
  readonly network = new MemoryNetwork();
  readonly #bus = this.network.master('m');
  readonly #work: WorkDefinition;

  constructor(work: WorkDefinition) {
    this.#work = work;
    void this.#bus.open({
      onFrame: (from, frame) => {
        const decoded = decodeWorkerMessage(frame);
        this.heard.push({ from, ...decoded });
        const { message } = decoded;
        if (message.t === 'hello') this.say(from, { t: 'available', v: 1, master: 'm', term: 1, works: [] });
        if (message.t !== 'want-brief') return;
        this.say(from, { t: 'brief', hash: HASH, part: 0, parts: 1 }, [BRIEF]);
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
      brief: HASH,
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

const says = (from: string, t: WorkerMessage['t']) => (heard: Heard) =>
  heard.from === from && heard.message.t === t;

/** A report that has a list of this name. */
const reports = (from: string, list: 'ok' | 'later' | 'failed') => (heard: Heard) =>
  heard.from === from &&
  heard.message.t === 'gimme' &&
  heard.message.reports.some((report) => report[list] !== undefined);

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('after a checkpoint a crash runs no step before it again, however often its answer was lost', async () => {
  const ran: unknown[] = [];
  const work = defineWork<number>('job', { key: (unit) => `number ${unit}` })
    .step('first', { checkpoint: true }, async (unit) => {
      ran.push('first');
      return { doubled: unit * 2 };
    })
    .step('second', async (input) => void ran.push(input)) as unknown as WorkDefinition;
  const master = new HandMaster(work);
  master.worker('w1');
  await master.until(says('w1', 'hello'));
  master.grant('w1', {}, [Buffer.from('21')]);
  const lost = await master.until(says('w1', 'begin'));
  const again = await master.until(says('w1', 'begin'));
  assert.deepEqual(lost.message.t === 'begin' && lost.message.saved, [
    { unit: 0, step: 1, key: 'number 21', brings: 2 },
  ]);
  assert.equal(text(again.payload), text(lost.payload));
  assert.deepEqual(ran, ['first'], 'it waits for the answer');
  master.network.cut('w1');
  master.worker('w2');
  await master.until(says('w2', 'hello'));
  const more = { again: [{ unit: 0, attempt: 1, step: 1, state: true as const }] };
  master.grant('w2', more, [again.units.at(0), again.units.at(1)]);
  await master.until(reports('w2', 'ok'));
  assert.deepEqual(ran, ['first', { doubled: 42 }]);
});

test('a long retry, and one that waits when its worker drains, go on elsewhere at their step', async () => {
  const ran: unknown[] = [];
  const work = defineWork<number>('job')
    .step('first', (unit) => {
      ran.push('first');
      return [unit];
    })
    .step('second', { retry: { attempts: 9 } }, ([unit = 0], ctx) => {
      ran.push([unit, ctx.attempt]);
      if (ctx.attempt === 1) throw new RetryableError('later', { afterMs: unit });
    }) as unknown as WorkDefinition;
  const master = new HandMaster(work);
  const first = master.worker('w1');
  await master.until(says('w1', 'hello'));
  master.grant('w1', { units: [0, 2] }, [Buffer.from('60000'), Buffer.from('9000')]);
  const long = await master.until(reports('w1', 'later'));
  assert.deepEqual(
    [long.units.count, text(long.units.at(0)), text(long.units.at(1))],
    [2, '60000', '{"step":1,"input":[60000],"attempts":[1,2]}'],
  );
  const ended = first.drain('a test', 1_000);
  const waited = await master.until(reports('w1', 'later'));
  assert.equal(text(waited.units.at(1)), '{"step":1,"input":[9000],"attempts":[1,2]}');
  master.say('w1', { t: 'settled', term: 1, grants: [{ n: 1, units: [0, 2] }] });
  await master.until(says('w1', 'bye'));
  await ended;
  master.worker('w2');
  await master.until(says('w2', 'hello'));
  const again = [0, 1].map((unit) => ({ unit, attempt: 2, step: 1, state: true as const }));
  const items = [long, waited].map(({ units }) => units);
  master.grant(
    'w2',
    { units: [0, 2], again },
    [0, 1].flatMap((at) => items.map((units) => units.at(at))),
  );
  await master.until(reports('w2', 'ok'));
  assert.deepEqual(ran, ['first', [60_000, 1], 'first', [9_000, 1], [60_000, 2], [9_000, 2]]);
});
