/** What a worker asks for, whatever becomes of the messages, and how it finds its master. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  HELD_UNITS_MAX,
  HELLO_GRANTS_MAX,
  RESEND_MS,
  WORK_AVAILABLE_JITTER_MS,
} from '../../../../shared/core/limits.ts';
import { Demand } from '../../../../worker/core/demand.ts';
import { NUMBERS_MAX } from '../../../../worker/core/outcomes.ts';
import { BEAT_MS, Rig, retry } from './rig.ts';

/** Two slots and one unit ahead. */
const CAPACITY = 3;

describe('level', () => {
  test('is capacity less what is held, down to nothing', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.pass(BEAT_MS);
    assert.deepEqual(rig.stand(), { lastGrant: 1, level: CAPACITY - 1 });
    rig.work(2, [1, 9]);
    rig.pass(BEAT_MS);
    assert.deepEqual(rig.stand(), { lastGrant: 2, level: 0 });
  });

  test('counts units that are reported until they are settled', () => {
    const rig = Rig.known();
    rig.work(1, [0, 2]);
    rig.finish(rig.start());
    rig.pass(BEAT_MS);
    assert.equal(rig.stand().level, CAPACITY - 2);
    rig.settled(1, [0, 1]);
    rig.pass(BEAT_MS);
    assert.equal(rig.stand().level, CAPACITY - 1);
    rig.settled(1, [0, 1]);
    rig.pass(BEAT_MS);
    assert.equal(rig.stand().level, CAPACITY - 1, 'a doubled Settled frees nothing more');
  });

  test('a doubled grant is refused, and so is an older number', () => {
    const rig = Rig.known();
    rig.work(2, [0, 1]);
    rig.work(2, [0, 1]);
    rig.work(1, [5, 6]);
    assert.equal(rig.core.held, 1);
  });

  test('a grant of another term is refused', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1], { term: 2 });
    rig.work(1, [0, 1], { term: 0 });
    assert.equal(rig.core.held, 0);
  });

  test('is not told again for each settled unit while what was asked for has not come', () => {
    // Two of three messages of a worker that starves were demands which changed nothing.
    const rig = Rig.known(16);
    rig.work(1, [0, 4]);
    for (let i = 0; i < 4; i++) rig.finish(rig.start());
    assert.deepEqual(rig.stand(), { lastGrant: 1, level: 13 });
    rig.clear();
    rig.settled(1, [0, 3]);
    assert.deepEqual(rig.said, [], 'thirteen that it asked for are still to come');
    rig.settled(1, [3, 4]);
    assert.deepEqual(rig.stand(), { lastGrant: 1, level: 17 }, 'a quarter more is worth a message');
  });

  test('goes on while units wait for a short retry: a few of them take no place, and more go back to the master', () => {
    // Three that waited filled a worker of two slots, which did nothing until they were due.
    const rig = Rig.known(2);
    let n = 0;
    for (let unit = 0; unit < 8; unit++) {
      rig.work(++n, [unit, unit + 1]);
      rig.finish(rig.start(), retry(5_000));
    }
    rig.pass(BEAT_MS);
    assert.deepEqual([rig.core.held, rig.stand()], [8, { lastGrant: 8, level: 3 }]);
    rig.clear();
    rig.work(++n, [8, 9]);
    rig.finish(rig.start(), retry(5_000));
    rig.pass(100);
    assert.deepEqual(
      rig.reports().flatMap(({ later = [] }) => later.map(({ unit }) => unit)),
      [8],
    );
    rig.settled(n, [8, 9]);
    rig.pass(5_000);
    assert.equal(rig.start().unit, 0, 'the others go on here when they are due');
  });

  test('is told for a single free place where nothing more is to come', () => {
    const rig = Rig.known(16);
    rig.work(1, [0, 17]);
    const run = rig.start();
    for (let i = 1; i < 16; i++) rig.start();
    rig.finish(run);
    rig.clear();
    rig.settled(1, [0, 1]);
    assert.deepEqual(rig.stand(), { lastGrant: 1, level: 1 });
  });

  test('a hundred doubled WorkAvailable ask once, within the jitter, for no more than fits', () => {
    const rig = Rig.known();
    rig.work(1, [0, 2]);
    rig.clear();
    for (let i = 0; i < 100; i++) rig.take({ t: 'available', v: 1, master: 'm', term: 1, works: ['job'] });
    assert.deepEqual(rig.all('gimme'), []);
    rig.pass(WORK_AVAILABLE_JITTER_MS);
    assert.deepEqual(
      rig.all('gimme').map(({ level }) => level),
      [CAPACITY - 2],
    );
  });

  test('a gap in the numbers is told at once, with what is held', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.clear();
    rig.work(3, [4, 5]);
    const [beat] = rig.all('heartbeat');
    assert.deepEqual([beat?.lastGrant, beat?.held], [3, [1, 3]]);
  });

  test('an empty grant is answered at once', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.clear();
    rig.work(2, []);
    assert.deepEqual(
      rig.all('heartbeat').map(({ held, lastGrant }) => [held, lastGrant]),
      [[[1], 2]],
    );
    assert.equal(rig.core.held, 1);
  });

  test('grows with measured speed, within its limit', () => {
    const demand = new Demand(4);
    assert.equal(demand.capacity, 5);
    demand.measure(100, 20);
    assert.equal(demand.capacity, 4 + 1_000, '5 units a millisecond, 200 ms ahead');
    for (let i = 0; i < 20; i++) demand.measure(1, 20_000);
    assert.equal(demand.capacity, 5, 'and shrinks again');
    demand.measure(1_000_000, 20);
    assert.equal(demand.capacity, HELD_UNITS_MAX);
  });
});

describe('the master', () => {
  test('is found by Hello, which is sent again until somebody answers', () => {
    const rig = new Rig();
    rig.step({ type: 'up' });
    assert.deepEqual(
      rig.said.map(({ t }) => t),
      ['hello'],
    );
    rig.pass(3 * BEAT_MS);
    assert.deepEqual(
      rig.said.map(({ t }) => t),
      ['hello', 'hello', 'hello', 'hello'],
    );
    rig.take({ t: 'available', v: 1, master: 'm', term: 1, works: [] });
    rig.clear();
    rig.pass(3 * BEAT_MS);
    assert.deepEqual(rig.all('hello'), []);
    assert.equal(rig.all('heartbeat').length, 3);
  });

  test('that took the place of another may miss Hello: it is sent again until answered', () => {
    const rig = Rig.known();
    rig.step({ type: 'down' });
    rig.clear();
    rig.step({ type: 'up' });
    rig.pass(2 * BEAT_MS);
    assert.equal(rig.all('hello').length, 3);
    rig.take({ t: 'available', v: 1, master: 'm', term: 1, works: [] });
    rig.pass(2 * BEAT_MS);
    assert.equal(rig.all('hello').length, 3);
  });

  test('that does not know this session is told Hello again, with what is held', () => {
    const rig = Rig.known();
    rig.work(1, [3, 5]);
    rig.pass(BEAT_MS);
    rig.clear();
    rig.take({ t: 'refused', code: 'unknown_session', message: '' });
    assert.deepEqual(rig.all('hello')[0]?.held, [
      { epic: 'e', term: 1, n: 1, units: [3, 5], seal: 'seal-1' },
    ]);
    rig.take({ t: 'refused', code: 'unknown_session', message: '' });
    assert.equal(rig.all('hello').length, 1, 'not for each refused message');
  });

  test('is shown the seal of a grant with the units that it was for, where some of them are settled', () => {
    const rig = Rig.known();
    rig.work(1, [3, 5, 8, 9]);
    rig.settled(1, [4, 5]);
    rig.clear();
    rig.step({ type: 'up' });
    const [held] = rig.all('hello')[0]?.held ?? [];
    assert.deepEqual([held?.units, held?.granted, held?.seal], [[3, 4, 8, 9], [3, 5, 8, 9], 'seal-1']);
  });

  // Broke: what one Hello had no room for was claimed by nobody, and run again by another after a lease.
  test('is told all that is held, in as many Hellos as it takes, each newer than the one before', () => {
    const rig = Rig.known();
    const scattered = Array.from({ length: NUMBERS_MAX }, (_, i) => 3 * (i >> 1) + (i & 1));
    rig.work(1, scattered);
    rig.work(2, [20_000, 20_002]);
    const held = () => {
      rig.clear();
      rig.step({ type: 'up' });
      const hellos = rig.all('hello');
      for (const [i, { at }] of hellos.entries()) assert.ok(i === 0 || at > (hellos[i - 1]?.at ?? at));
      return hellos.map(({ held, part = 0 }) => [part, held.map(({ n }) => n)]);
    };
    assert.deepEqual(held(), [
      [0, [1]],
      [1, [2]],
    ]);
    rig.settled(1, [0, 1]);
    assert.deepEqual(
      held(),
      [
        [0, [1]],
        [1, [2]],
      ],
      'with what it was granted it fills one by itself',
    );
    rig.settled(1, [1, 9_000]);
    assert.deepEqual(held(), [
      [0, [1]],
      [1, [2]],
    ]);
    rig.settled(1, [9_000, 20_000]);
    assert.deepEqual(held(), [[0, [2]]]);
    for (let n = 3; n <= 2 * HELLO_GRANTS_MAX + 3; n++) rig.work(n, [20_000 + n, 20_001 + n]);
    assert.deepEqual(
      held().map(([part, grants]) => [part, (grants as number[]).length]),
      [
        [0, HELLO_GRANTS_MAX],
        [1, HELLO_GRANTS_MAX],
        [2, 2],
      ],
    );
  });

  test('that refuses for good ends the worker', () => {
    const rig = Rig.known();
    const { fatal } = rig.take({ t: 'refused', code: 'protocol_version', message: 'run the same' });
    assert.deepEqual(fatal, { code: 'protocol_version', message: 'run the same' });
  });

  test('of a newer term is told Hello; one of an older term is not heard', () => {
    const rig = Rig.known();
    rig.work(5, [0, 1]);
    rig.clear();
    rig.take({ t: 'available', v: 1, master: 'new', term: 2, works: [] });
    const [hello] = rig.all('hello');
    assert.deepEqual([hello?.term, hello?.lastGrant, hello?.held.length], [2, 0, 1]);
    rig.work(1, [7, 8], { term: 2 });
    assert.equal(rig.core.held, 2, 'its numbers begin anew');
    rig.pass(BEAT_MS);
    const beat = rig.all('heartbeat').at(-1);
    assert.deepEqual([beat?.held, beat?.older], [[1], [1, 5]], 'what is held of both terms');
    rig.clear();
    rig.take({ t: 'available', v: 1, master: 'm', term: 1, works: [] });
    rig.take({ t: 'recall', term: 1, count: 9 });
    rig.take({ t: 'abort', term: 1, epic: 'e' });
    rig.work(6, [9, 10]);
    rig.pass(100);
    assert.deepEqual([rig.reports(), rig.all('hello'), rig.core.held], [[], [], 2]);
  });

  test('heard for the first time is asked at once, under its term: a Hello to nobody in particular asks for nothing', () => {
    const rig = new Rig();
    rig.step({ type: 'up' });
    const [hello] = rig.all('hello');
    assert.equal(hello?.term, 0);
    rig.clear();
    rig.take({ t: 'available', v: 1, master: 'm', term: 3, works: [] });
    const [gimme] = rig.all('gimme');
    assert.deepEqual([gimme?.term, gimme?.lastGrant, gimme?.level], [3, 0, hello?.level]);
    rig.work(1, [0, 1], { term: 2 });
    assert.equal(rig.core.held, 0, 'what an older master sent is refused from then on');
  });

  // Broke: where the word of a new master was lost, a worker went on speaking to the old one for ever.
  test('says nothing for long while something is held: the worker looks for another', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.clear();
    rig.pass(3 * RESEND_MS);
    assert.deepEqual(
      rig.all('hello').map(({ held }) => held.map(({ n }) => n)),
      [[1]],
      'what it holds is claimed',
    );
    rig.take({ t: 'available', v: 1, master: 'm', term: 1, works: [] });
    rig.clear();
    rig.pass(2 * RESEND_MS);
    rig.settled(1, [0, 1]);
    rig.pass(9 * RESEND_MS);
    assert.deepEqual(rig.all('hello'), [], 'not while it is heard, nor when nothing is held');
  });

  // Broke: a worker whose master was absent woke every millisecond.
  test('is not there yet: the worker says Hello with each heartbeat, and sleeps in between', () => {
    const rig = new Rig();
    rig.step({ type: 'up' });
    let wakes = 0;
    for (const untilMs = rig.nowMs + 10 * BEAT_MS; rig.nowMs < untilMs; wakes++)
      rig.pass(rig.out.wakeAt - rig.nowMs);
    assert.deepEqual([rig.all('hello').length, wakes], [11, 10]);
  });

  test('cannot be reached: nothing is said, and the worker sleeps', () => {
    const rig = Rig.known();
    rig.work(1, [0, 1]);
    rig.step({ type: 'down' });
    rig.finish(rig.start());
    rig.clear();
    let wakes = 0;
    for (const untilMs = rig.nowMs + 10 * BEAT_MS; rig.nowMs < untilMs; wakes++)
      rig.pass(rig.out.wakeAt - rig.nowMs);
    assert.deepEqual(rig.said, []);
    assert.ok(wakes <= 10, `it woke ${wakes} times`);
  });
});
