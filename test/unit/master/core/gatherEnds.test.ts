/** What must not follow from how, when or by whom a gather is ended: each of these broke once. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Addresses, GatherAsked } from '../../../../master/core/records.ts';
import { FOLD_OFFER_MS } from '../../../../shared/core/limits.ts';
import { encodeFrame } from '../../../../shared/protocol/codec.ts';
import { CONTROL_UNIT, type GrantReport } from '../../../../shared/protocol/messages.ts';
import { answer, answers, controlOf, DEADLINE_MS, done, gather, scattered } from './gatherRig.ts';
import { Rig } from './rig.ts';

/** A gather of one item, answered; returns the number of its fold's grant. */
function folding(rig: Rig, asked: GatherAsked = {}): number {
  done(rig, scattered(rig, 1, { asked }));
  answer(rig, 'w', [0], 2);
  return controlOf(rig, 'w').n;
}

function later(n: number, attempt: number, delayMs = 0): GrantReport {
  return { epic: 'g', term: 7, n, later: [{ unit: CONTROL_UNIT, attempt, step: 0, delayMs, code: 'later' }] };
}

describe('a fold', () => {
  test('at its last attempt ends the gather as finished, whatever its worker says of it then', () => {
    // The report of a fold that was taken counted as one attempt more, and failed what had finished.
    const rig = new Rig({ leaseMs: 60_000 });
    let n = folding(rig);
    for (let attempt = 2; attempt <= 5; attempt++) {
      rig.gimme('w', n, 100, [later(n, attempt)]);
      while (rig.sent('work', 'w').length === 0) rig.tick(500);
      n = controlOf(rig, 'w').n;
    }
    const token = { session: 'w', epic: 'g', term: 7, n };
    rig.step({ type: 'folded', token, bytes: 7, hash: 'h' });
    assert.equal(rig.epic('g').state, 'finished');
    done(rig, token);
    assert.equal(rig.epic('g').state, 'finished');
    assert.equal(rig.records.filter(({ k }) => k === 'epic-finished').length, 1);
  });

  test('that was taken cannot fail any more', () => {
    // A failure that came after its value made a finished epic a failed one.
    const rig = new Rig({ leaseMs: 60_000 });
    const n = folding(rig);
    rig.step({ type: 'folded', token: { session: 'w', epic: 'g', term: 7, n }, bytes: 7, hash: 'h' });
    const fault = { unit: CONTROL_UNIT, code: 'x', message: 'x', step: '', attempt: 1 };
    rig.report('w', 'g', n, { failed: [fault] });
    assert.equal(rig.epic('g').state, 'finished');
  });

  test('of a cancelled gather cannot fail it any more', () => {
    // Cancelled after its deadline, its fold was neither stopped nor forgotten.
    const rig = new Rig({ leaseMs: 60_000 });
    const token = scattered(rig, 2, { asked: { enough: 1 } });
    done(rig, token);
    answer(rig, 'w', [0], 2);
    const { n } = controlOf(rig, 'w');
    rig.step({ type: 'cancel', epic: 'g', reason: 'no need' });
    assert.equal(rig.epic('g').state, 'cancelled');
    assert.equal(rig.sent('abort', 'w').length, 1);
    const fault = { unit: CONTROL_UNIT, code: 'x', message: 'x', step: '', attempt: 1 };
    rig.report('w', 'g', n, { failed: [fault] });
    assert.equal(rig.epic('g').state, 'cancelled');
  });

  test('whose worker is lost after its epic was forgotten changes nothing', () => {
    // The lapse wrote a record of an epic that was purged, which ends the master.
    const rig = new Rig({ leaseMs: 2_000, retentionMs: 500 });
    const n = folding(rig);
    rig.step({ type: 'folded', token: { session: 'w', epic: 'g', term: 7, n }, bytes: 7, hash: 'h' });
    rig.pass(1_500);
    assert.equal(rig.core.state.ledger.epics.size, 0);
    rig.pass(5_000);
    assert.equal(rig.core.state.sessions.get('w')?.expired, true);
  });

  test('that nobody is there for does not keep the master awake once the deadline has passed', () => {
    // A complete gather has no deadline to wait for: it was woken each millisecond.
    const rig = new Rig({ leaseMs: 2_000 });
    folding(rig);
    rig.say('w', { t: 'bye', reason: 'gone' });
    rig.pass(DEADLINE_MS + 1_000);
    rig.tick(1);
    assert.ok(rig.out.wakeAt - rig.nowMs > 100, `woken again after ${rig.out.wakeAt - rig.nowMs} ms`);
  });

  test('is granted however many are missing', () => {
    // The grant of such a fold was no frame any more: it ended the master, and the next one too; later it failed.
    const rig = new Rig({ leaseMs: 60_000 });
    const items = 60_000;
    const to: Addresses = [
      // Every other one is for x, who never comes.
      ['w', Array.from({ length: items }, (_, i) => i)],
      ['x', Array.from({ length: items }, (_, i) => i + 1)],
    ];
    const token = scattered(rig, items, { to });
    while (rig.epic('g').counts.skipped < items / 2) {
      const grants = rig.sent('work', 'w').filter(({ control }) => !control);
      while (rig.out.reads.length > 0) {
        rig.read();
        grants.push(...rig.sent('work', 'w'));
      }
      assert.ok(grants.length > 0, 'what is for w goes on');
      const reports = grants.map(({ n, units }) => ({ epic: 'g', term: 7, n, skipped: units }));
      rig.gimme('w', grants.at(-1)?.n ?? 0, 30_000, reports);
    }
    done(rig, token);
    rig.pass(DEADLINE_MS);
    const grants = rig.out.messages.flatMap(({ message, payload }) =>
      message.t === 'work' ? [encodeFrame(message, payload).length] : [],
    );
    assert.equal(grants.length, 1);
    assert.ok((grants[0] ?? 0) < 1_000, `${grants[0]} bytes`);
    assert.equal(rig.epic('g').gather?.missing.intervalCount, items / 2);
  });

  test('that nobody offers for long fails once the deadline has passed, with the answers kept', () => {
    // It waited for ever, and so did whoever had asked.
    const rig = new Rig({ leaseMs: 2_000 });
    folding(rig);
    rig.say('w', { t: 'bye', reason: 'gone' });
    rig.hello('other', [{ ...gather(), hash: 'another version' }], 100);
    rig.pass(FOLD_OFFER_MS - 2_000);
    rig.hello('x', [gather()], 0);
    rig.pass(1_000);
    rig.say('x', { t: 'bye', reason: 'gone' });
    rig.pass(FOLD_OFFER_MS - 2_000);
    assert.deepEqual([rig.epic('g').state, rig.totals('g')], ['running', { read: 1, succeeded: 1 }]);
    rig.pass(4_000);
    assert.deepEqual([rig.epic('g').state, rig.epic('g').fault?.code], ['failed', 'fold_not_offered']);
    assert.deepEqual(rig.totals('g'), { read: 1, succeeded: 1 });
    const kept = rig.rows.units({ epic: 'g', states: ['answered'], limit: 10 });
    assert.equal(kept.length, 1);
  });

  test('that nobody offers waits for its deadline at the least, and for a link that is down', () => {
    const rig = new Rig({ leaseMs: 2_000 });
    const deadlineMs = 5 * FOLD_OFFER_MS;
    folding(rig, { deadlineMs });
    rig.say('w', { t: 'bye', reason: 'gone' });
    rig.pass(deadlineMs - 2_000);
    assert.equal(rig.epic('g').state, 'running');
    rig.pass(4_000);
    assert.equal(rig.epic('g').fault?.code, 'fold_not_offered');

    const cut = new Rig({ leaseMs: 2_000 });
    folding(cut);
    cut.say('w', { t: 'bye', reason: 'gone' });
    cut.step({ type: 'down' });
    cut.pass(5 * FOLD_OFFER_MS);
    assert.equal(cut.epic('g').state, 'running');
  });

  test('of a gather that is paused runs once the deadline has passed', () => {
    // Complete when it was paused, it waited for somebody to resume what no pause may hold up (G7).
    const rig = new Rig({ leaseMs: 60_000 });
    done(rig, scattered(rig, 1));
    rig.step({ type: 'pause', epic: 'g', reason: 'wait' });
    answer(rig, 'w', [0], 2);
    const folds = (): number => rig.sent('work', 'w').filter(({ control }) => control === 'fold').length;
    assert.equal(folds(), 0);
    rig.pass(DEADLINE_MS - 1_000);
    assert.equal(folds(), 0);
    rig.pass(2_000);
    assert.equal(folds(), 1);
  });

  test('is told what holds: what is known too late to have happened is counted late, and stays unknown', () => {
    // The fold was told of one unknown, and then the totals had it as succeeded.
    const rig = new Rig({ leaseMs: 2_000 });
    done(rig, scattered(rig, 2, { manifest: gather({}, 'at-most-once') }));
    rig.begin('w', 'g', 2, [0, 2]);
    answer(rig, 'w', [0], 2);
    rig.pass(DEADLINE_MS + 2_100);
    assert.deepEqual(rig.totals('g'), { read: 2, succeeded: 1, unknown: 1 });
    assert.equal(rig.epic('g').gather?.phase, 'fold');
    const claim = rig.held('w', 2, [1, 2], [0, 2], { epic: 'g', term: 7 });
    rig.hello('w', [gather({}, 'at-most-once')], 0, { held: [claim] });
    for (let i = 0; i < 2; i++) answer(rig, 'w', [1], 2);
    assert.deepEqual(rig.totals('g'), { read: 2, succeeded: 1, unknown: 1 });
    assert.deepEqual(rig.epic('g').gather?.late.ranges(), [1, 2]);
    const told = rig.records.filter(({ k }) => k === 'late' || k === 'resolved');
    assert.deepEqual(told, [{ k: 'late', epic: 'g', units: [1, 2] }]);
  });

  test('is not put off for longer than a retry may be', () => {
    const rig = new Rig({ leaseMs: 60_000 });
    const n = folding(rig);
    rig.gimme('w', n, 100, [later(n, 2, Number.MAX_SAFE_INTEGER)]);
    const { retryAtMs } = rig.core.state.live.get('g')?.control ?? { retryAtMs: 0 };
    assert.ok(retryAtMs <= rig.core.state.listenedMs + 30 * 24 * 3_600_000, `at ${retryAtMs}`);
  });
});

describe('a paused gather', () => {
  test('ends at its deadline all the same', () => {
    // Intake ended, and the fold waited for somebody to resume what no pause could hold up.
    const rig = new Rig({ leaseMs: 60_000 });
    const token = scattered(rig, 2, { asked: { deadlineMs: 2_000 } });
    done(rig, token);
    answer(rig, 'w', [0], 2);
    rig.step({ type: 'pause', epic: 'g', reason: 'wait' });
    const out = rig.pass(2_100);
    assert.deepEqual(rig.totals('g'), { read: 2, succeeded: 1, missing: 1 });
    const folds = out.messages.filter(({ message }) => message.t === 'work' && message.control === 'fold');
    assert.equal(folds.length, 1);
  });

  test('keeps what its scatter or fold gave meanwhile', () => {
    // What a worker had worked out was thrown away and asked for again.
    const rig = new Rig({ leaseMs: 60_000 });
    const n = folding(rig);
    rig.step({ type: 'pause', epic: 'g', reason: 'wait' });
    rig.step({ type: 'folded', token: { session: 'w', epic: 'g', term: 7, n }, bytes: 7, hash: 'h' });
    assert.equal(rig.epic('g').state, 'finished');
  });
});

describe('a reissued unit', () => {
  test('goes to another worker while one has room, and else to the same again', () => {
    // The worker that had it was as likely to get it once more, while another waited for something to do.
    const rig = new Rig({ leaseMs: 60_000 });
    const manifest = gather({ reissueAfterMs: 1_000 });
    done(rig, scattered(rig, 8, { manifest }));
    rig.hello('x', [manifest], 100);
    const granted = (to: string): number[] => rig.sent('work', to).flatMap(({ units }) => [...units]);
    rig.tick(900);
    rig.tick(200);
    rig.read();
    assert.deepEqual([granted('w'), granted('x')], [[], [0, 8]]);
    rig.say('x', { t: 'bye', reason: 'gone' });
    rig.read();
    assert.deepEqual(granted('w'), [0, 8], 'nobody else is there');
  });

  test('goes on from one worker to the next, however many of them have had it', () => {
    // Who had it once was never given it again while others were there: with two, nobody was.
    const rig = new Rig({ leaseMs: 60_000 });
    const manifest = gather({ reissueAfterMs: 1_000 });
    done(rig, scattered(rig, 2, { manifest }));
    rig.hello('x', [manifest], 100);
    const granted = (to: string): number[] => rig.sent('work', to).flatMap(({ units }) => [...units]);
    const turn = (): void => {
      rig.tick(900);
      rig.tick(200);
      rig.read();
    };
    turn();
    assert.deepEqual([granted('w'), granted('x')], [[], [0, 2]]);
    turn();
    assert.deepEqual([granted('w'), granted('x')], [[0, 2], []]);
    turn();
    assert.deepEqual([granted('w'), granted('x')], [[], [0, 2]]);
  });

  test('leaves nothing behind on the session that had it first', () => {
    // Each reissued grant stayed on its session for as long as that lived.
    const rig = new Rig({ leaseMs: 60_000 });
    const manifest = gather({ reissueAfterMs: 1_000 });
    done(rig, scattered(rig, 2, { manifest }));
    rig.gimme('w', 2, 0);
    rig.hello('x', [manifest], 10);
    rig.tick(900);
    rig.tick(200);
    rig.read();
    const n = rig.sent('work', 'x')[0]?.n ?? 0;
    rig.gimme('x', n, 10, [answers([0, 1], n)]);
    const { outlived } = rig.core.state.sessions.get('w') ?? {};
    rig.beat('w', 2, 0, [2]);
    assert.equal(outlived?.size, 1, 'it still holds it, and may answer');
    rig.beat('w', 2, 0, []);
    assert.equal(outlived?.size, 0);
  });
});
