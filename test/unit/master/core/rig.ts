/** A master's core and a hand on its inputs: what the tests of the core are written with. */
import assert from 'node:assert/strict';
import { frameNumbers } from '../../../../master/core/framer.ts';
import { Master, type MasterInput } from '../../../../master/core/master.ts';
import type { EpicRecord, EpicRecordOf } from '../../../../master/core/records.ts';
import { sealOf } from '../../../../master/core/seal.ts';
import type { BadUnit, Batch } from '../../../../master/core/source.ts';
import type { CoreSettings, Outgoing, ReadWanted, StepOutput } from '../../../../master/core/state.ts';
import { Rows } from '../../../../master/io/stores/rows.ts';
import type { Totals } from '../../../../shared/protocol/api.ts';
import { prefixed, type UnitBytes, unitsOf } from '../../../../shared/protocol/codec.ts';
import type {
  Brings,
  Effect,
  GrantReport,
  Heartbeat,
  HeldGrant,
  Hello,
  MasterMessage,
  Ranges,
  WorkerMessage,
  WorkManifest,
} from '../../../../shared/protocol/messages.ts';

export const LEASE_MS = 1_000;
export const BEAT_MS = 200;
const WALL_MS = 1_700_000_000_000;

/** What none but a master may know. */
export const sealed = (text: string): string => `sealed ${text}`;

type Of<T extends MasterMessage['t']> = Extract<MasterMessage, { t: T }>;

export function work(name: string, effects: Effect[] = ['none'], hash = `${name}-1`): WorkManifest {
  return { name, hash, steps: effects.map((effect, i) => ({ name: `s${i}`, effect })) };
}

/** What the listed units of a message bring: `unit 7` for the bytes of unit 7, `state 7` for its state. */
function payloadOf(message: WorkerMessage): UnitBytes {
  const items: Uint8Array[] = [];
  const bring = ({ unit, brings = 0 }: { unit: number; brings?: Brings }): void => {
    if (brings > 0) items.push(prefixed(Buffer.from(`unit ${unit}`)));
    if (brings > 1) items.push(prefixed(Buffer.from(`"state ${unit}"`)));
  };
  if (message.t === 'begin') for (const item of message.saved ?? []) bring(item);
  if (message.t === 'gimme') {
    for (const { failed = [], unknown = [], later = [], answers = [] } of message.reports) {
      for (const item of [...failed, ...unknown, ...later, ...answers]) bring(item);
    }
  }
  return unitsOf(Buffer.concat(items));
}

export class Rig {
  readonly core: Master;
  nowMs = 1_000;
  /** Output of the last step. */
  out: StepOutput = { records: [], messages: [], reads: [], dues: [], waits: [], wakeAt: 0 };
  readonly records: EpicRecord[] = [];
  /** What a store would have. */
  readonly rows = new Rows();
  /** `at` of each session's last demand. */
  readonly #at = new Map<string, number>();

  constructor(settings: Partial<CoreSettings> = {}, seal = sealed) {
    const own = { leaseMs: LEASE_MS, heartbeatMs: BEAT_MS, recallAfterMs: 50, availableGapMs: 10 };
    this.core = new Master({ id: 'm', term: 7, seal, settings: { ...own, ...settings } });
  }

  step(input: MasterInput): StepOutput {
    this.out = this.core.step(input, { monoMs: this.nowMs, wallMs: WALL_MS + this.nowMs });
    this.records.push(...this.out.records);
    for (const record of this.out.records) this.rows.apply(record);
    return this.out;
  }

  /** Time goes by, and then a tick comes. */
  tick(ms: number): StepOutput {
    this.nowMs += ms;
    return this.step({ type: 'tick' });
  }

  /** Ticks as often as it asks for until this much time has gone by; returns all it said and wrote. */
  pass(ms: number): StepOutput {
    const untilMs = this.nowMs + ms;
    const all: StepOutput = { records: [], messages: [], reads: [], dues: [], waits: [], wakeAt: 0 };
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, Math.max(this.nowMs + 1, this.out.wakeAt));
      const out = this.step({ type: 'tick' });
      all.records.push(...out.records);
      all.messages.push(...out.messages);
      all.reads.push(...out.reads);
      all.dues.push(...out.dues);
    }
    this.out = all;
    return all;
  }

  submit(epic: string, workName: string, to = 10): StepOutput {
    const source = { type: 'range', from: 0, to } as const;
    return this.step({ type: 'submit', epic: { epic, name: epic, work: workName, source, brief: 'b' } });
  }

  say(from: string, message: WorkerMessage): StepOutput {
    return this.step({ type: 'message', from, message, payload: payloadOf(message) });
  }

  hello(from: string, works: WorkManifest[], level: number, more: Partial<Hello> = {}): StepOutput {
    const self = { name: from, works, labels: {}, slots: 1, version: '0', held: [] };
    const stand = { at: this.at(from), term: 7, lastGrant: 0, level };
    return this.say(from, { t: 'hello', v: 1, ...self, ...stand, ...more });
  }

  gimme(from: string, lastGrant: number, level: number, reports: GrantReport[] = []): StepOutput {
    return this.say(from, { t: 'gimme', at: this.at(from), term: 7, lastGrant, level, reports });
  }

  beat(from: string, lastGrant: number, level: number, held: number[]): StepOutput {
    const stand = { at: this.at(from), term: 7, lastGrant, level };
    const message: Heartbeat = { t: 'heartbeat', ...stand, held, steps: {} };
    return this.say(from, message);
  }

  begin(from: string, epic: string, n: number, units: Ranges, at = this.at(from)): StepOutput {
    return this.say(from, { t: 'begin', at, epic, term: 7, n, units });
  }

  report(from: string, epic: string, n: number, what: Partial<GrantReport>): StepOutput {
    const { lastGrant, level } = { lastGrant: n, level: 0 };
    return this.gimme(from, lastGrant, level, [{ epic, term: 7, n, ...what }]);
  }

  /** A claim of units of a grant that was of these `granted` ones. */
  held(from: string, n: number, units: Ranges, granted = units, token = { epic: 'e', term: 7 }): HeldGrant {
    const claim = { ...token, n, units, seal: sealOf(sealed, from, { ...token, n }, granted) };
    return granted === units ? claim : { ...claim, granted };
  }

  at(from: string): number {
    const at = (this.#at.get(from) ?? 0) + 1;
    this.#at.set(from, at);
    return at;
  }

  /** Answers the one read that the last step asked for, with these units bad. */
  read(bad: BadUnit[] = [], wanted: ReadWanted[] = this.out.reads): StepOutput {
    assert.equal(wanted.length, 1, 'one read is wanted');
    return this.step({ type: 'batch', ...this.batchFor(wanted[0] as ReadWanted, bad) });
  }

  /** Answers the one look at parked units that the last step asked for. */
  due(): StepOutput {
    const [wanted, ...more] = this.out.dues;
    assert.ok(wanted && more.length === 0, 'one look at parked units is wanted');
    return this.step({ type: 'due', epic: wanted.epic, due: this.rows.due(wanted) });
  }

  batchFor({ epic, offset, first, units }: ReadWanted, bad: BadUnit[] = []): { epic: string; batch: Batch } {
    const source = this.epic(epic).source;
    assert.equal(source.type, 'range');
    const count = Math.min(units, source.type === 'range' ? source.to - offset : 0);
    const next = offset + count;
    const { framed, starts } = frameNumbers(offset, count);
    const end = source.type === 'range' && next >= source.to;
    return { epic, batch: { first, count, framed, starts, bad, offset, next, end } };
  }

  epic(id: string): NonNullable<ReturnType<Master['state']['ledger']['epics']['get']>> {
    const epic = this.core.state.ledger.epics.get(id);
    assert.ok(epic, `there is no epic ${id}`);
    return epic;
  }

  totals(id: string): Partial<Totals> {
    const totals = this.epic(id).totals();
    const { read, outstanding, ...ended } = totals;
    assert.equal(read, outstanding + Object.values(ended).reduce((sum, n) => sum + n, 0), 'G1');
    return Object.fromEntries(Object.entries(totals).filter(([, count]) => count > 0));
  }

  /** Messages of one kind in the last output. */
  sent<T extends MasterMessage['t']>(t: T, to?: string): Of<T>[] {
    return this.outgoing(t, to).map(({ message }) => message as Of<T>);
  }

  outgoing(t: MasterMessage['t'], to?: string): Outgoing[] {
    return this.out.messages.filter(
      (out) => out.message.t === t && (to === undefined || (out.to === 'worker' && out.session === to)),
    );
  }

  /** Records of one kind in the last output. */
  wrote<K extends EpicRecord['k']>(k: K): EpicRecordOf<K>[] {
    return this.out.records.filter((record): record is EpicRecordOf<K> => record.k === k);
  }

  /** An epic of a work with these effects, read, and granted whole to `w`; returns the grant's number. */
  granted(count: number, effects: Effect[] = ['none'], epic = 'e'): number {
    const manifest = work('job', effects);
    this.submit(epic, 'job', count);
    this.hello('w', [manifest], count);
    this.read();
    const grants = this.sent('work', 'w');
    assert.equal(grants.length, 1);
    assert.deepEqual(grants[0]?.units, [0, count]);
    return grants[0]?.n ?? 0;
  }
}
