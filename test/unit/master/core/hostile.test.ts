/** M1: nothing that a worker can say makes the core throw, whatever it holds, nor a replay differ from what was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MasterInput } from '../../../../master/core/master.ts';
import type { Addresses } from '../../../../master/core/records.ts';
import type { ReadWanted, StepOutput } from '../../../../master/core/state.ts';
import { decodeWorkerMessage, encodeFrame, prefixed } from '../../../../shared/protocol/codec.ts';
import {
  CONTROL_UNIT,
  type Ranges,
  type Work,
  type WorkerMessage,
} from '../../../../shared/protocol/messages.ts';
import { fromWorker, type Sample } from '../../shared/protocol/messages.arbitrary.ts';
import { gather } from './gatherRig.ts';
import { Rig, work } from './rig.ts';

type Move =
  | { type: 'say'; from: string; sample: Sample<WorkerMessage>; aim: Aim }
  | { type: 'input'; input: MasterInput }
  | { type: 'hello'; from: string }
  | { type: 'serve' }
  | { type: 'pass'; ms: number };

/** What a message is turned to, so that it is about what there is. */
type Aim = { epic: string; n: number; shift: number };

const JOB = work('job', ['none', 'at-most-once', 'at-least-once']);
const ASK = gather({ reissueAfterMs: 300, deadlineMs: 4_000 });
const EPICS = ['e', 'g', 'h'];
const from = fc.constantFrom('w', 'w', 'w', 'x', 'x', 'stranger');
const epic = fc.constantFrom(...EPICS);
const { hello: _, ...others } = fromWorker;

const say = fc.record({
  type: fc.constant('say' as const),
  from,
  sample: fc.oneof(
    { weight: 6, arbitrary: others.gimme },
    { weight: 4, arbitrary: others.begin },
    { weight: 1, arbitrary: fc.oneof(...Object.values(others)) },
  ) as fc.Arbitrary<Sample<WorkerMessage>>,
  aim: fc.record({ epic, n: fc.integer({ min: 1, max: 5 }), shift: fc.nat({ max: 8 }) }),
});
const input: fc.Arbitrary<MasterInput> = fc.oneof(
  epic.map((id) => ({ type: 'cancel' as const, epic: id, reason: 'r' })),
  epic.map((id) => ({ type: 'pause' as const, epic: id, reason: 'r' })),
  epic.map((id) => ({ type: 'resume' as const, epic: id })),
  fc.constantFrom<MasterInput>(
    { type: 'up' },
    { type: 'down' },
    { type: 'store', stalled: true },
    { type: 'store', stalled: false },
    { type: 'drain', session: 'x' },
  ),
);
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 8, arbitrary: say },
  { weight: 1, arbitrary: input.map((given) => ({ type: 'input' as const, input: given })) },
  { weight: 2, arbitrary: fc.constantFrom('w', 'x').map((id) => ({ type: 'hello' as const, from: id })) },
  { weight: 3, arbitrary: fc.constant({ type: 'serve' as const }) },
  { weight: 2, arbitrary: fc.constantFrom(1, 50, 250, 400).map((ms) => ({ type: 'pass' as const, ms })) },
);

class Hostile {
  readonly rig = new Rig({ lookAheadUnits: 8, retentionMs: 3_000 });
  /** What the core asked of its shell and has not been answered. */
  readonly #asked: StepOutput[] = [];

  constructor() {
    const { rig } = this;
    this.#note(rig.submit('e', 'job', 12));
    for (const id of ['g', 'h']) {
      const source = { type: 'scatter' } as const;
      const epic = { epic: id, name: id, work: 'ask', source, brief: 'b', gather: {} };
      this.#note(rig.step({ type: 'submit', epic }));
    }
    this.#note(rig.hello('w', [JOB, ASK], 5));
    this.#serve();
  }

  make(made: Move): void {
    const { rig } = this;
    if (made.type === 'say')
      this.#say(made.from, this.#placed(made.from, aimed(made.sample.message, made.aim)), made.sample.units);
    else if (made.type === 'input') this.#note(rig.step(made.input));
    else if (made.type === 'hello') this.#note(rig.hello(made.from, [JOB, ASK], 5));
    else if (made.type === 'pass') this.#note(rig.tick(made.ms));
    else this.#serve();
  }

  /** In its place among what its sender says: what is too old is not even looked at. */
  #placed(from: string, message: WorkerMessage): WorkerMessage {
    if (!('at' in message)) return message;
    const at = this.rig.at(from);
    return message.t === 'begin' ? { ...message, at } : { ...message, at, lastGrant: message.lastGrant % 9 };
  }

  #note(out: StepOutput): void {
    this.#asked.push(out);
  }

  /** As a link brings it: what the codec refuses never comes to the core. */
  #say(session: string, message: WorkerMessage, units: Uint8Array[]): void {
    const { message: decoded, units: payload } = decodeWorkerMessage(
      encodeFrame(message, units.map(prefixed)),
    );
    this.#note(this.rig.step({ type: 'message', from: session, message: decoded, payload }));
  }

  /** Answers what was asked for, as the shell does; scatters and folds end well. */
  #serve(): void {
    for (const { reads, dues, messages } of this.#asked.splice(0)) {
      for (const wanted of reads) this.#read(wanted);
      for (const { epic, ...wanted } of dues) {
        this.#note(this.rig.step({ type: 'due', epic, due: this.rig.rows.due({ epic, ...wanted }) }));
      }
      for (const { message, ...to } of messages) {
        if (to.to === 'worker' && message.t === 'work') this.#control(to.session, message);
      }
    }
  }

  #read(wanted: ReadWanted): void {
    const { rig } = this;
    if (rig.core.state.ledger.epics.has(wanted.epic))
      this.#note(rig.step({ type: 'batch', ...rig.batchFor(wanted) }));
  }

  #control(session: string, { control, epic, n }: Work): void {
    if (!control) return;
    const token = { session, epic, term: 7, n };
    const addresses: Addresses = [
      ['x', [0, 2]],
      ['', [2, 6]],
    ];
    const to = epic === 'h' ? { to: addresses } : {};
    const source = { type: 'range', from: 0, to: 6 } as const;
    if (control === 'fold') this.#note(this.rig.step({ type: 'folded', token, bytes: 1, hash: 'v' }));
    else this.#note(this.rig.step({ type: 'scattered', token, source, items: 6, ...to }));
  }
}

function aimed(message: WorkerMessage, { epic: id, n, shift }: Aim): WorkerMessage {
  const token = { epic: id, term: 7, n };
  const near = (unit: number): number =>
    unit > 40 && shift > 0 ? unit : shift === 8 ? CONTROL_UNIT : unit % 13;
  const all = <T extends { unit: number }>(list: T[] | undefined): { list: T[] } | undefined =>
    list && { list: list.map((item) => ({ ...item, unit: near(item.unit) })) };
  const range = (units: Ranges | undefined): Ranges | undefined =>
    units &&
    (shift === 8
      ? [CONTROL_UNIT, CONTROL_UNIT + 1]
      : shift > 5
        ? units
        : [shift, shift + 1 + (units.length % 7)]);
  if (message.t === 'begin') {
    const saved = all(message.saved);
    return { ...message, ...token, units: range(message.units) ?? [], ...(saved && { saved: saved.list }) };
  }
  if (message.t === 'part' || message.t === 'want-answers') return { ...message, ...token };
  if (message.t === 'gimme') {
    const reports = message.reports.map((report) => {
      const told: Record<string, unknown> = { ...report, ...token };
      for (const name of ['ok', 'skipped', 'back', 'cleared'] as const) {
        if (report[name]) told[name] = range(report[name]);
      }
      for (const name of ['failed', 'unknown', 'later', 'answers'] as const) {
        const listed = all<{ unit: number }>(report[name]);
        if (listed) told[name] = listed.list;
      }
      return told as typeof report;
    });
    return { ...message, level: message.level % 9, reports };
  }
  return message;
}

test('whatever workers say, and whenever, the core goes on, counts each unit once and is as its records say', () => {
  fc.assert(
    fc.property(fc.array(move, { minLength: 10, maxLength: 60, size: 'max' }), (moves) => {
      const hostile = new Hostile();
      for (const made of moves) hostile.make(made);
      const { rig } = hostile;
      const { epics } = rig.core.state.ledger;
      for (const id of EPICS) if (epics.has(id)) rig.totals(id);
      const next = new Rig();
      next.core.recover(rig.records);
      assert.deepEqual(next.core.state.ledger.checkpoint(), rig.core.state.ledger.checkpoint());
    }),
    { numRuns: 400 },
  );
});

test('a unit with the last of all numbers, whose range has no end, is refused with its frame', () => {
  // It passed for a number, and then broke the sets of units that it was added to.
  const unit = Number.MAX_SAFE_INTEGER;
  const token = { epic: 'e', term: 7, n: 1 };
  const stand = { t: 'gimme', at: 9, term: 7, lastGrant: 1, level: 0 } as const;
  const fault = { unit, code: 'c', message: 'm', step: '', attempt: 1 };
  const later = { unit, attempt: 1, step: 0, delayMs: 1, code: 'c' };
  const messages: WorkerMessage[] = [
    { ...stand, reports: [{ ...token, failed: [fault] }] },
    { ...stand, reports: [{ ...token, unknown: [fault] }] },
    { ...stand, reports: [{ ...token, later: [later] }] },
    { ...stand, reports: [{ ...token, ok: [0, 1], answers: [{ unit, brings: 0 }] }] },
    { t: 'begin', at: 9, ...token, units: [], saved: [{ unit, step: 0, brings: 0 }] },
  ];
  for (const message of messages) {
    assert.throws(() => decodeWorkerMessage(encodeFrame(message)), { code: 'bad_message' });
  }
});
