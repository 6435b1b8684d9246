/** What a gather may be defined with, what its steps are given, and what a master learns of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineGather } from '../../../../shared/core/gather.ts';
import { defineWork } from '../../../../shared/core/work.ts';
import { manifestOf } from '../../../../worker/main.ts';

type Request = { vehicles: string[] };
type Report = { vehicle: string; km: number };
type Fleet = { km: number; missing: readonly number[] };

const fleet = defineGather<Request, Report, Fleet>('fleet-report')
  .scatter((request) => request.vehicles.map((vehicle) => ({ data: { vehicle }, to: vehicle })))
  .step('look', ({ vehicle }, ctx) => ({ vehicle, of: ctx.brief.vehicles.length }))
  .step('compile', { timeout: '5s' }, async ({ vehicle, of }) => ({ vehicle, km: of }))
  .gather({ deadline: '2m', quorum: 1, enough: 3, reissueAfter: '30s' }, (reports, { missing }) => ({
    km: reports.reduce((sum, { km }) => sum + km, 0),
    missing,
  }));

const steps = () =>
  defineGather<Request>('g')
    .scatter((request) => request.vehicles)
    .step('look', (vehicle) => vehicle);

test('a gather is a work with steps, and what is around them', () => {
  assert.equal(fleet.name, 'fleet-report');
  assert.deepEqual(
    fleet.steps.map(({ name, timeoutMs }) => [name, timeoutMs]),
    [
      ['look', 60_000],
      ['compile', 5_000],
    ],
  );
  const { scatter, deadlineMs, enough, quorum, reissueAfterMs } = fleet.gather;
  assert.deepEqual(
    [scatter.kind, deadlineMs, enough, quorum, reissueAfterMs],
    ['items', 120_000, 3, 1, 30_000],
  );
});

test('its manifest tells the master when it ends, and its hash changes with that', () => {
  const manifest = manifestOf(fleet);
  assert.deepEqual(manifest.gather, {
    scatter: 'items',
    deadlineMs: 120_000,
    enough: 3,
    quorum: 1,
    reissueAfterMs: 30_000,
  });
  const hash = (deadline: string): string => manifestOf(steps().gather({ deadline }, () => 1)).hash;
  assert.equal(hash('10s'), hash('10000'));
  assert.notEqual(hash('10s'), hash('11s'));
  const work = defineWork('g').step('look', (unit) => unit);
  assert.notEqual(hash('10s'), manifestOf(work).hash);
  assert.equal('gather' in manifestOf(work), false);
});

test('a broadcast is told by its labels, and each step is given the request', () => {
  const quotes = defineGather<{ area: string }, number, number>('quotes')
    .broadcast(({ area }) => ({ area }))
    .step('quote', (request) => request.area.length)
    .gather({ deadline: 5_000 }, (quotes) => Math.max(...quotes));
  assert.deepEqual(manifestOf(quotes).gather, { scatter: 'labels', deadlineMs: 5_000 });
});

test('options that cannot be are refused, and the field is named', () => {
  const cases: [object, RegExp][] = [
    [{}, /gather of g needs a deadline/],
    [{ deadline: 'soon' }, /gather of g: deadline must be a duration .*, not "soon"/],
    [{ deadline: 0 }, /deadline must be a duration above zero, not 0/],
    [{ deadline: '1s', enough: 0 }, /enough must be a whole number of at least 1, not 0/],
    [{ deadline: '1s', quorum: 1.5 }, /quorum must be a whole number/],
    [{ deadline: '1s', enough: 2, quorum: 3 }, /quorum \(3\) must be at most enough \(2\)/],
    [{ deadline: '1s', reissueAfter: '0s' }, /reissueAfter must be a duration above zero/],
    [
      { deadline: '1s', reissue: '1s' },
      /has no option reissue; there are deadline, enough, quorum, reissueAfter/,
    ],
    [[], /its options must be an object/],
  ];
  for (const [options, message] of cases) {
    assert.throws(() => steps().gather(options as { deadline: string }, () => 1), {
      name: 'TypeError',
      message,
    });
  }
});

test('a definition that lacks something is refused', () => {
  const bare = defineGather<Request>('g');
  assert.throws(() => defineGather('no name'), /gather name "no name" must match/);
  assert.throws(() => bare.scatter(1 as never), /scatter of g needs a function/);
  assert.throws(() => bare.broadcast(undefined as never), /broadcast of g needs a function/);
  assert.throws(() => bare.scatter(() => []).gather({ deadline: '1s' }, () => 1), /gather of g has no step/);
  assert.throws(() => steps().gather({ deadline: '1s' }, undefined as never), /needs a function that folds/);
  assert.throws(() => fleet.step('late', () => 1), /step late of fleet-report must come before its gather/);
  const effect = steps().step('charge', { effect: 'at-least-once' }, () => 1);
  assert.throws(
    () => effect.gather({ deadline: '1m', reissueAfter: '1s' }, () => 1),
    /reissueAfter may run step charge twice at once; its effect must be none/,
  );
  assert.equal(effect.gather({ deadline: '1m' }, () => 1).steps.length, 2);
});
