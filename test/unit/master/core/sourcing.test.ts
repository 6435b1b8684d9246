/** A source that workers read: when a read is granted, what of it counts, and how it goes on and ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ControlToken } from '../../../../master/core/control.ts';
import { frameNumbers } from '../../../../master/core/framer.ts';
import { Ledger } from '../../../../master/core/ledger.ts';
import type { BadUnit } from '../../../../master/core/source.ts';
import type { CoreSettings } from '../../../../master/core/state.ts';
import { CONTROL_UNIT, type GrantReport, type ReadInput } from '../../../../shared/protocol/messages.ts';
import { LEASE_MS, Rig, work } from './rig.ts';

const READ = [CONTROL_UNIT, CONTROL_UNIT + 1];
const feed = { sources: ['feed'] };

/** An epic of a named source, and a hand on who reads it. */
class Hand extends Rig {
  constructor(settings: Partial<CoreSettings> = {}, isNew = true) {
    super({ lookAheadUnits: 10, ...settings });
    if (!isNew) return;
    const source = { type: 'named', id: 's', name: 'feed', args: '{"of":1}' } as const;
    this.step({ type: 'submit', epic: { epic: 'e', name: 'e', work: 'job', source, brief: 'b' } });
  }

  /** The read that was granted in the last step, and what it was told. */
  granted1(session = 'w'): ControlToken & { input: ReadInput; brief: string; attempt: number } {
    const found = this.outgoing('work', session).find(
      ({ message }) => message.t === 'work' && message.control === 'read',
    );
    assert.ok(found?.message.t === 'work', 'a read was granted');
    const { n, units, brief, again } = found.message;
    assert.deepEqual(units, READ);
    const input = JSON.parse(
      Buffer.from(found.payload[0] as Uint8Array)
        .subarray(4)
        .toString(),
    ) as ReadInput;
    return { session, epic: 'e', term: 7, n, input, brief, attempt: again?.[0]?.attempt ?? 1 };
  }

  get reads(): number {
    return this.sent('work').filter(({ control }) => control === 'read').length;
  }

  /** A batch of so many units is durable; offsets are counted in units here. */
  give(
    { session, epic, term, n }: ControlToken,
    count: number,
    more: { last?: boolean; end?: boolean; first?: number; bad?: BadUnit[]; cursor?: string } = {},
  ): void {
    const { last = false, end = false, first = this.epic('e').read, bad = [] } = more;
    const batch = {
      first,
      count,
      ...frameNumbers(first, count),
      bad,
      offset: first,
      next: first + count,
      end,
    };
    const token = { session, epic, term, n };
    this.step({ type: 'sourced', token, batch, last, cursor: more.cursor ?? String(first + count - 1) });
  }

  ends(token: ControlToken, how: Partial<GrantReport>): void {
    this.gimme(token.session, token.n, 5, [{ epic: 'e', term: 7, n: token.n, ...how }]);
  }
}

describe('a read', () => {
  test('is granted once a worker offers the work and one the source, which may be two', () => {
    const hand = new Hand();
    hand.hello('w', [], 1, feed);
    assert.equal(hand.reads, 0);
    hand.hello('v', [work('job')], 5);
    const { input, brief } = hand.granted1();
    assert.deepEqual(input, { source: 'feed', args: '{"of":1}', first: 0, units: 10, bytes: input.bytes });
    assert.equal(brief, '', 'it needs none');
  });

  test('gives units that are granted only after their record, and goes on behind its cursor', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 20, feed);
    const read = hand.granted1();
    hand.give(read, 4, { cursor: '"d"' });
    assert.deepEqual(hand.wrote('horizon'), [
      { k: 'horizon', epic: 'e', to: 4, offset: 4, end: false, cursor: '"d"' },
    ]);
    const [grant] = hand.outgoing('work', 'w');
    assert.equal(grant?.after, hand.core.state.recorded);
    assert.deepEqual(grant?.message.t === 'work' && grant.message.units, [0, 4]);
    hand.give(read, 6, { last: true, cursor: '"j"' });
    assert.deepEqual(hand.granted1().input, { ...read.input, first: 10, cursor: '"j"' });
  });

  test('is wanted no more while half of what may lie ready is there, and never exceeds it', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 1, feed);
    const first = hand.granted1();
    hand.give(first, 10, { last: true });
    hand.gimme('w', first.n, 4);
    assert.equal(hand.reads, 0, 'six are ready');
    hand.gimme('w', first.n + 1, 1);
    assert.equal(hand.reads, 0, 'five are ready, and no room is left');
    hand.gimme('w', first.n + 2, 1);
    assert.equal(hand.granted1().input.units, 5);
  });

  test('ends the epic when the source has no more, also where it has none at all', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 5, feed);
    hand.give(hand.granted1(), 0, { last: true, end: true });
    assert.equal(hand.epic('e').state, 'finished');
    assert.deepEqual(hand.totals('e'), {});
  });

  test('takes the first place of a worker that would else be full of units', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 2, feed);
    const read = hand.granted1();
    hand.give(read, 10, { last: true });
    hand.gimme('w', read.n, 9);
    hand.gimme('w', read.n + 2, 1);
    assert.deepEqual(
      hand.sent('work', 'w').map(({ control }) => control),
      ['read'],
    );
  });

  test('settles what is no unit as failed, with its number', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 20, feed);
    const bad = [{ unit: 1, code: 'unit_too_large', message: 'record 2 is' }];
    hand.give(hand.granted1(), 3, { last: true, end: true, bad });
    assert.deepEqual(hand.totals('e'), { read: 3, failed: 1, outstanding: 2 });
    assert.deepEqual(hand.wrote('settled')[0]?.failed?.[0]?.unit, 1);
    assert.deepEqual(hand.sent('work', 'w')[0]?.units, [0, 1, 2, 3]);
  });
});

describe('a read that another follows', () => {
  test('gives nothing that counts: its worker was lost, and the next one goes on from the cursor', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 1, feed);
    const lost = hand.granted1();
    hand.give(lost, 3, { cursor: '2' });
    hand.pass(LEASE_MS + 100);
    hand.hello('v', [work('job')], 1, feed);
    const next = hand.granted1('v');
    assert.deepEqual([next.input.first, next.input.cursor], [3, '2']);
    hand.give(lost, 2);
    assert.deepEqual([hand.out.records, hand.epic('e').read], [[], 3]);
    hand.give(next, 2);
    assert.equal(hand.epic('e').read, 5);
  });

  test('counts no more once its last part is there, nor where a batch does not begin at the end of those before', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 1, feed);
    const read = hand.granted1();
    hand.give(read, 3);
    hand.give(read, 3, { first: 0 });
    assert.equal(hand.epic('e').read, 3, 'it came twice');
    hand.give(read, 3, { last: true });
    hand.give(read, 3);
    assert.equal(hand.epic('e').read, 6);
  });

  test('is not known after a restart, which goes on from what is recorded', () => {
    const hand = new Hand();
    hand.hello('w', [work('job')], 1, feed);
    const read = hand.granted1();
    hand.give(read, 3, { cursor: '{"after":[3]}' });
    const again = new Hand({}, false);
    const ledger = new Ledger();
    for (const record of hand.records) ledger.apply(record);
    again.core.recover(ledger.checkpoint());
    again.hello('w', [work('job')], 1, { ...feed, held: [again.held('w', read.n, READ)] });
    assert.deepEqual(again.sent('abort', 'w')[0]?.units, READ);
    assert.deepEqual([again.granted1().input.cursor, again.granted1().input.first], ['{"after":[3]}', 3]);
  });
});

test('after restarts at most one more look-ahead is read while what was read before waits for its holders', () => {
  // Each restart within a lease read another one: what lay ready grew with their number.
  let before = new Hand();
  const reads: boolean[] = [];
  before.hello('w', [work('job')], 1, feed);
  before.give(before.granted1(), 10, { last: true });
  const records = [...before.records];
  for (let restarts = 0; restarts < 3; restarts++) {
    const after = new Hand({}, false);
    after.core.recover(records);
    after.hello('w', [work('job')], 1, feed);
    reads.push(after.reads > 0);
    if (after.reads > 0) after.give(after.granted1(), 10, { last: true });
    records.push(...after.records);
    before = after;
  }
  assert.deepEqual(reads, [true, false, false]);
  assert.equal(before.epic('e').read, 20);
  before.nowMs += 1;
  before.pass(LEASE_MS + 100);
  assert.equal(before.core.state.live.get('e')?.readyCount, 20);
});

describe('a source that fails', () => {
  const later = (attempt: number, code = 'source_failed'): Partial<GrantReport> => ({
    later: [{ unit: CONTROL_UNIT, attempt, step: 0, delayMs: 2_000, code }],
  });
  const failed = (code: string): Partial<GrantReport> => ({
    failed: [{ unit: CONTROL_UNIT, code, message: 'no such table', step: '', attempt: 1 }],
  });

  test('is read again after its delay, and anew from the first attempt once it gave something', () => {
    const hand = new Hand({ leaseMs: 1_000_000 });
    hand.hello('w', [work('job')], 5, feed);
    hand.ends(hand.granted1(), later(2));
    hand.pass(1_900);
    assert.equal(hand.reads, 0);
    hand.pass(1_100);
    const read = hand.granted1();
    assert.equal(read.attempt, 2);
    hand.give(read, 1);
    hand.ends(read, later(2));
    hand.pass(3_000);
    assert.equal(hand.granted1().attempt, 2);
  });

  test('for good fails the epic, once what was read of it is done', () => {
    const hand = new Hand({ leaseMs: 1_000_000 });
    hand.hello('w', [work('job')], 5, feed);
    const read = hand.granted1();
    hand.give(read, 2);
    hand.ends(read, failed('source_failed'));
    assert.equal(hand.wrote('source-failed').length, 1);
    assert.equal(hand.epic('e').state, 'running');
    hand.report('w', 'e', read.n + 1, { ok: [0, 2] });
    assert.deepEqual([hand.epic('e').state, hand.totals('e')], ['failed', { read: 2, succeeded: 2 }]);
    assert.deepEqual(hand.epic('e').fault, { code: 'source_failed', message: 'no such table' });
    const ledger = new Ledger();
    for (const record of hand.records) ledger.apply(record);
    assert.deepEqual(ledger.checkpoint(), hand.core.state.ledger.checkpoint());
  });

  test('at every attempt pauses the epic: nothing is lost, and a person has it go on', () => {
    const hand = new Hand({ leaseMs: 1_000_000 });
    hand.hello('w', [work('job')], 5, feed);
    const read = hand.granted1();
    hand.give(read, 2, { cursor: '1' });
    hand.ends(read, failed('retries_exhausted'));
    assert.match(hand.epic('e').paused ?? '', /no such table; resume the epic once it can/);
    hand.gimme('w', read.n + 1, 5);
    assert.equal(hand.reads, 0);
    hand.step({ type: 'resume', epic: 'e' });
    assert.deepEqual([hand.granted1().attempt, hand.granted1().input.cursor], [1, '1']);
  });

  test('is no failure where the read was stopped or handed back', () => {
    const hand = new Hand({ leaseMs: 1_000_000 });
    hand.hello('w', [work('job')], 5, feed);
    for (let times = 0; times < 20; times++) {
      const read = hand.granted1();
      assert.equal(read.attempt, 1);
      hand.ends(read, later(1, 'stopped'));
      hand.pass(3_000);
    }
  });
});

describe('a read is stopped', () => {
  test('by a pause; what comes of it then does not count, and it goes on afterwards', () => {
    const hand = new Hand({ leaseMs: 1_000_000 });
    hand.hello('w', [work('job')], 1, feed);
    const read = hand.granted1();
    hand.step({ type: 'pause', epic: 'e', reason: 'lunch' });
    assert.deepEqual(hand.sent('abort', 'w')[0]?.units, READ);
    hand.give(read, 3);
    assert.equal(hand.epic('e').read, 0);
    hand.gimme('w', read.n, 1);
    assert.equal(hand.reads, 0);
    hand.step({ type: 'resume', epic: 'e' });
    assert.equal(hand.granted1().input.first, 0);
  });

  test('by its deadline: what was read and not begun is missing, and what was not read is counted nowhere', () => {
    const hand = new Hand({}, false);
    const source = { type: 'named', id: 's', name: 'feed', args: 'null' } as const;
    const epic = { epic: 'e', name: 'e', work: 'job', source, brief: 'b', ends: { deadlineMs: 5_000 } };
    hand.step({ type: 'submit', epic });
    hand.hello('w', [work('job')], 1, feed);
    const read = hand.granted1();
    hand.give(read, 3);
    for (let ms = 0; ms < 5_000; ms += 500) {
      hand.pass(500);
      hand.beat('w', read.n, 0, [read.n]);
    }
    assert.deepEqual([hand.epic('e').state, hand.totals('e')], ['finished', { read: 3, missing: 3 }]);
    hand.give(read, 3);
    assert.equal(hand.out.records.length, 0);
  });

  test('by a cancel, which counts what was read and asks for no more', () => {
    const hand = new Hand({ leaseMs: 1_000_000 });
    hand.hello('w', [work('job')], 1, feed);
    const read = hand.granted1();
    hand.give(read, 3);
    hand.step({ type: 'cancel', epic: 'e', reason: 'enough' });
    assert.deepEqual(hand.sent('abort', 'w').length, 1);
    assert.deepEqual([hand.epic('e').state, hand.totals('e')], ['cancelled', { read: 3, cancelled: 3 }]);
  });
});
