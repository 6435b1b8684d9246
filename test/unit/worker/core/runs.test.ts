/** Runs: reports, begins, retries, and what the master takes back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LOCAL_DELAY_MAX_MS, REPORT_AFTER_MS, RESEND_MS } from '../../../../shared/core/limits.ts';
import { BEAT_MS, Rig, retry } from './rig.ts';

describe('reports', () => {
  test('go soon, name the token alone, and are kept until settled', () => {
    const rig = Rig.known();
    rig.work(1, [0, 2]);
    rig.clear();
    rig.finish(rig.start());
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(rig.reports(), [{ epic: 'e', term: 1, n: 1, ok: [0, 1] }]);
    assert.equal(rig.core.held, 2);
    rig.settled(1, [0, 1]);
    assert.equal(rig.core.held, 1);
    rig.clear();
    rig.pass(3 * RESEND_MS);
    assert.deepEqual(rig.reports(), []);
  });

  test('are sent again when they are not settled in time', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    const failed = { kind: 'failed', code: 'x', message: 'm', step: 's0', attempt: 1 } as const;
    rig.finish(rig.start(), failed);
    rig.pass(REPORT_AFTER_MS);
    rig.clear();
    rig.pass(RESEND_MS - BEAT_MS);
    assert.deepEqual(rig.reports(), []);
    rig.pass(2 * BEAT_MS);
    const report = { unit: 0, code: 'x', message: 'm', step: 's0', attempt: 1, brings: 1 };
    assert.deepEqual(rig.reports(), [{ epic: 'e', term: 1, n: 1, failed: [report] }]);
  });

  test('are sent again after every reconnection, once each', () => {
    const rig = Rig.known();
    rig.work(1, [0, 2]);
    rig.finish(rig.start());
    rig.pass(REPORT_AFTER_MS);
    rig.step({ type: 'down' });
    rig.finish(rig.start(), { kind: 'skipped' });
    rig.pass(500);
    rig.clear();
    rig.step({ type: 'up' });
    rig.pass(REPORT_AFTER_MS);
    assert.equal(rig.said[0]?.t, 'hello');
    assert.deepEqual(rig.reports(), [{ epic: 'e', term: 1, n: 1, ok: [0, 1], skipped: [1, 2] }]);
  });

  test('of a term that is over go to the new master, and are settled under their own', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.take({ t: 'available', v: 1, master: 'new', term: 2, works: [] });
    rig.clear();
    rig.finish(rig.start());
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(rig.reports(), [{ epic: 'e', term: 1, n: 1, ok: [0, 1] }]);
    rig.settled(1, [0, 1], 2);
    assert.equal(rig.core.held, 1);
    rig.settled(1, [0, 1], 1);
    assert.equal(rig.core.held, 0);
  });
});

describe('effects', () => {
  test('a run asks, and goes on by the answer', () => {
    const rig = Rig.known();
    rig.work(1, [0, 2]);
    const [go, skip] = [rig.start(), rig.start()];
    rig.core.ask(go);
    rig.core.ask(skip);
    rig.clear();
    rig.step({ type: 'ran' });
    const [begin] = rig.all('begin');
    assert.deepEqual([begin?.epic, begin?.n, begin?.units], ['e', 1, [0, 2]], 'many in one message');
    rig.proceed(1, begin?.at ?? 0, [0, 1], [1, 2]);
    assert.deepEqual(
      rig.out.proceeds.map(({ run, go: may }) => [run.unit, may, run.begun]),
      [
        [0, true, true],
        [1, false, false],
      ],
    );
    rig.core.dropped(skip);
    assert.deepEqual([rig.core.held, rig.core.running], [1, 1], 'its outcome is decided elsewhere');
    rig.proceed(1, begin?.at ?? 0, [0, 1]);
    assert.deepEqual(rig.out.proceeds, [], 'a doubled answer is nobody’s');
  });

  test('an asking without an answer is sent again, and after a reconnection', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.core.ask(rig.start());
    rig.step({ type: 'ran' });
    rig.clear();
    rig.pass(RESEND_MS + BEAT_MS);
    assert.equal(rig.all('begin').length, 1);
    rig.step({ type: 'down' });
    rig.clear();
    rig.step({ type: 'up' });
    assert.deepEqual(rig.all('begin')[0]?.units, [0, 1]);
  });

  // Broke: each new asking put off the second sending of an older one that was lost.
  test('an asking that was lost is sent again in time, however many others are asked meanwhile', () => {
    const rig = Rig.known(8);
    rig.work(1, [0, 8]);
    rig.core.ask(rig.start());
    rig.step({ type: 'ran' });
    for (let i = 0; i < 6; i++) {
      rig.pass(RESEND_MS / 5);
      const run = rig.start();
      rig.core.ask(run);
      rig.step({ type: 'ran' });
      rig.proceed(1, rig.all('begin').at(-1)?.at ?? 0, [run.unit, run.unit + 1]);
    }
    const asked = rig.all('begin').filter(({ units }) => units[0] === 0);
    assert.ok(asked.length >= 2, `unit 0 was asked for ${asked.length} times in ${(6 * RESEND_MS) / 5} ms`);
  });

  test('a late answer to an earlier asking allows nothing', () => {
    // The master has cleared that begin: a crash now would have the unit run again beside its effect.
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    const run = rig.start();
    rig.core.ask(run);
    rig.step({ type: 'ran' });
    rig.pass(RESEND_MS + BEAT_MS);
    const [first, again] = rig.all('begin');
    rig.proceed(1, first?.at ?? 0, [0, 1]);
    rig.finish(run, retry(0));
    rig.step({ type: 'tick' });
    assert.equal(rig.start(), run);
    rig.core.ask(run);
    rig.proceed(1, again?.at ?? 0, [0, 1]);
    assert.deepEqual(rig.out.proceeds, [], 'not even before it is asked');
    rig.pass(1);
    rig.proceed(1, again?.at ?? 0, [0, 1]);
    assert.deepEqual(rig.out.proceeds, []);
    rig.proceed(1, rig.all('begin').at(-1)?.at ?? 0, [0, 1]);
    assert.equal(rig.out.proceeds.length, 1);
  });

  test('a retry tells that its effect did not happen, and before it asks again', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    const run = rig.start();
    rig.core.ask(run);
    rig.step({ type: 'ran' });
    rig.proceed(1, rig.all('begin')[0]?.at ?? 0, [0, 1]);
    rig.step({ type: 'down' });
    rig.finish(run, retry(10));
    rig.pass(20);
    rig.core.ask(rig.start());
    rig.clear();
    rig.step({ type: 'up' });
    const cleared = rig.all('gimme').find(({ reports }) => reports[0]?.cleared);
    const [begin] = rig.all('begin');
    assert.ok(cleared && begin && cleared.at < begin.at, 'what is cleared must not undo the new asking');
  });
});

describe('retries', () => {
  test('a short one waits here without a slot and comes back as it was', () => {
    const rig = Rig.known(1);
    rig.work(1, [0, 2]);
    const run = rig.start();
    run.state = { index: 0, input: 'rendered' };
    rig.finish(run, retry(500));
    assert.equal(rig.core.running, 0);
    const other = rig.start();
    assert.equal(other.unit, 1);
    rig.pass(499);
    rig.finish(other);
    assert.equal(rig.core.next(), undefined);
    assert.equal(rig.core.held, 2, 'it counts as held');
    rig.pass(1);
    const back = rig.start();
    assert.deepEqual([back === run, back.attempts, back.state?.input], [true, [2], 'rendered']);
    rig.finish(back);
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(rig.reports().at(-1)?.ok, [0, 1]);
  });

  test('a long one goes back to the master', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.finish(rig.start(), { ...retry(LOCAL_DELAY_MAX_MS + 0.5), attempt: 3 } as never);
    rig.pass(REPORT_AFTER_MS);
    const later = { unit: 0, attempt: 3, step: 0, delayMs: LOCAL_DELAY_MAX_MS + 1, code: 'x', brings: 1 };
    assert.deepEqual(rig.reports(), [{ epic: 'e', term: 1, n: 1, later: [later] }]);
  });

  test('a unit that ran before starts at its attempt and step', () => {
    const rig = Rig.known();
    rig.work(1, [0, 2], { again: [{ unit: 1, attempt: 4, step: 2 }] });
    const [fresh, again] = [rig.start(), rig.start()];
    assert.deepEqual([fresh.attempts, again.attempts], [[], [1, 1, 4]]);
  });
});

describe('taken back', () => {
  test('recall: as many as are asked for of what has not started, the last ones', () => {
    const rig = Rig.known(1);
    rig.work(1, [0, 3]);
    rig.work(2, [7, 9]);
    rig.start();
    rig.clear();
    rig.take({ t: 'recall', term: 1, count: 3 });
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(
      rig.reports().map(({ n, back }) => [n, back]),
      [
        [2, [7, 9]],
        [1, [2, 3]],
      ],
    );
    rig.take({ t: 'recall', term: 1, count: 99 });
    assert.deepEqual([rig.core.pending, rig.core.running], [0, 1], 'what runs goes on');
  });

  test('abort: a run that fails after it goes back to the master; it is not tried again here', () => {
    const rig = Rig.known(1);
    rig.work(1, [0, 1]);
    const run = rig.start();
    rig.take({ t: 'abort', term: 1, epic: 'e', units: [0, 1] });
    rig.clear();
    rig.finish(run, retry(50));
    rig.pass(RESEND_MS / 5);
    assert.equal(rig.core.next(), undefined, 'what was cancelled begins no second run');
    assert.deepEqual(
      rig.reports()[0]?.later?.map(({ unit }) => unit),
      [0],
    );
  });

  // Broke: what waited for another try was handed back as if it had never run.
  test('abort: what waits is handed back, what runs is told and still reports', () => {
    const rig = Rig.known();
    rig.work(1, [0, 4]);
    const [waits, runs] = [rig.start(), rig.start()];
    rig.finish(waits, retry(5_000));
    rig.clear();
    rig.take({ t: 'abort', term: 1, epic: 'e', units: [0, 3] });
    assert.deepEqual(rig.out.aborts, [runs]);
    rig.pass(REPORT_AFTER_MS);
    const [report] = rig.reports();
    assert.deepEqual(report?.back, [2, 3]);
    assert.deepEqual(
      report?.later?.map(({ unit, attempt }) => [unit, attempt]),
      [[0, 2]],
    );
    rig.finish(runs);
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(rig.reports().at(-1)?.ok, [1, 2]);
    assert.equal(rig.core.pending, 1, 'unit 3 is not meant');
    rig.take({ t: 'abort', term: 1, epic: 'other' });
    assert.deepEqual(rig.out.aborts, []);
  });

  test('drain: hands back what has not begun, keeps what runs, asks for nothing, then ends', () => {
    const rig = Rig.known();
    rig.work(1, [0, 5]);
    const [first, second] = [rig.start(), rig.start()];
    rig.finish(first, retry(5_000));
    rig.clear();
    rig.step({ type: 'drain' });
    assert.equal(rig.all('bye')[0]?.reason, 'draining');
    rig.pass(REPORT_AFTER_MS);
    const [report] = rig.reports();
    assert.deepEqual(report?.back, [2, 5]);
    assert.deepEqual(
      report?.later?.map(({ unit, attempt }) => [unit, attempt]),
      [[0, 2]],
    );
    assert.equal(rig.stand().level, 0);
    assert.equal(rig.out.drained, false);
    rig.work(2, [8, 9]);
    rig.pass(REPORT_AFTER_MS);
    assert.deepEqual(rig.reports().at(-1)?.back, [8, 9], 'a grant that was on its way goes back');
    rig.finish(second, retry(10));
    rig.pass(REPORT_AFTER_MS);
    assert.equal(rig.reports().at(-1)?.later?.[0]?.unit, 1, 'no retry waits here any more');
    rig.settled(1, [0, 5]);
    assert.equal(rig.out.drained, false);
    rig.settled(2, [8, 9]);
    assert.equal(rig.out.drained, true);
  });

  test('a worker that holds nothing has drained at once', () => {
    assert.equal(Rig.known().step({ type: 'drain' }).drained, true);
  });
});

describe('briefs', () => {
  test('are asked for once, and a grant that waits for one does not block the others', () => {
    const rig = Rig.known();
    rig.work(1, [0, 2], { brief: 'late', epic: 'f' });
    assert.deepEqual(rig.out.briefs, [{ work: 'job', hash: 'late' }]);
    rig.work(2, [2, 3], { brief: 'late', epic: 'f' });
    assert.deepEqual(rig.out.briefs, []);
    rig.work(3, [0, 1]);
    assert.equal(rig.start().held.epic, 'e');
    assert.equal(rig.core.next(), undefined);
    rig.step({ type: 'brief-ready', work: 'job', hash: 'late' });
    assert.equal(rig.start().held.epic, 'f');
  });
});
