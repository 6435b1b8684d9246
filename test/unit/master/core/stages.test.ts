/** Outstanding units by the step that they go on at: exact through checkpoints, waits, lost workers, restarts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../../master/core/ledger.ts';
import type { EpicRecord } from '../../../../master/core/records.ts';
import { Stages } from '../../../../master/core/stages.ts';
import { StepTotals, statusOf } from '../../../../master/io/status.ts';
import type { Effect, Ranges, UnitLater } from '../../../../shared/protocol/messages.ts';
import { LEASE_MS, Rig, work } from './rig.ts';

const STEPS: Effect[] = ['none', 'none', 'at-least-once'];

/** Six units of three steps on one worker, of which these are kept after their first step. */
function saved(units: number[]): { rig: Rig; n: number } {
  const rig = new Rig();
  const n = rig.granted(6, STEPS);
  const items = units.map((unit) => ({ unit, step: 1, brings: 2 }) as const);
  rig.say('w', { t: 'begin', at: rig.at('w'), epic: 'e', term: 7, n, units: [], saved: items });
  return { rig, n };
}

/** The numbers of the live ledger, which a replay and a checkpoint must give as well. */
function states(rig: Rig): number[] {
  const epic = rig.epic('e');
  const told = Object.values(epic.states() ?? {});
  const from = (records: EpicRecord[]): number[] => {
    const ledger = new Ledger();
    for (const record of records) ledger.apply(record);
    return Object.values(ledger.epics.get('e')?.states() ?? {});
  };
  assert.deepEqual(from(rig.records), told, 'a replay');
  const checkpoint = JSON.stringify(rig.core.state.ledger.checkpoint());
  assert.deepEqual(from(JSON.parse(checkpoint) as EpicRecord[]), told, 'a checkpoint');
  assert.equal(
    told.reduce((sum, count) => sum + count, 0),
    epic.outstanding,
  );
  return told;
}

const later = (unit: number, step: number, delayMs = 60_000): UnitLater => ({
  ...{ unit, attempt: 2, step, delayMs, code: 'deferred', brings: 2 },
});

test('a unit moves on when its state is kept, and leaves when it is settled', () => {
  const { rig, n } = saved([1, 2, 5]);
  assert.deepEqual(states(rig), [3, 3, 0]);
  rig.report('w', 'e', n, { ok: [1, 2], skipped: [0, 1] });
  assert.deepEqual(states(rig), [2, 2, 0]);
  const fault = { code: 'gone', message: 'gone', step: 's1', attempt: 1, brings: 0 } as const;
  rig.report('w', 'e', n, { failed: [{ unit: 2, ...fault }], ok: [3, 6] });
  assert.deepEqual(states(rig), [0, 0, 0]);
});

test('one that waits in the store is counted where it will go on, as is one that came back', () => {
  const { rig, n } = saved([1, 2]);
  rig.gimme('w', n, 0, [{ epic: 'e', term: 7, n, later: [later(0, 0, 0), later(1, 2, 0), later(4, 1)] }]);
  assert.deepEqual(states(rig), [3, 2, 1]);
  rig.due();
  assert.deepEqual(rig.wrote('unparked')[0]?.units, [0, 2]);
  assert.deepEqual(states(rig), [3, 2, 1]);
});

test('a lost worker changes nothing, and neither does who takes over before it has said something', () => {
  const { rig } = saved([1, 2]);
  rig.pass(LEASE_MS + 1_000);
  assert.deepEqual(states(rig), [4, 2, 0]);
  rig.hello('x', [work('job', STEPS)], 6);
  rig.due();
  assert.deepEqual(states(rig), [4, 2, 0]);
});

test('a waiting one that its former holder settles is counted no more', () => {
  const { rig, n } = saved([1]);
  rig.pass(LEASE_MS + 1_000);
  rig.hello('x', [work('job', STEPS)], 6);
  rig.due();
  const holds = rig.sent('work', 'x')[0]?.n ?? 0;
  rig.gimme('x', holds, 0, [{ epic: 'e', term: 7, n: holds, later: [later(1, 2)] }]);
  assert.deepEqual(states(rig), [5, 0, 1]);
  rig.hello('w', [work('job', STEPS)], 0, { held: [rig.held('w', n, [0, 6])], lastGrant: n });
  rig.report('w', 'e', n, { ok: [1, 2] });
  assert.deepEqual(states(rig), [5, 0, 0]);
});

test('a cancel leaves none, waiting ones included', () => {
  const { rig, n } = saved([1, 2]);
  rig.gimme('w', n, 0, [{ epic: 'e', term: 7, n, later: [later(1, 2)] }]);
  rig.step({ type: 'cancel', epic: 'e', reason: 'enough' });
  rig.gimme('w', n, 0, [{ epic: 'e', term: 7, n, back: [0, 1, 2, 6] }]);
  assert.equal(rig.epic('e').state, 'cancelled');
  assert.deepEqual(states(rig), [0, 0, 0]);
});

test('readers are told by the names of the steps, and nothing while these are not known or the epic is over', () => {
  const rig = new Rig();
  const told = (): Record<string, number> | undefined =>
    statusOf(rig.epic('e'), rig.core.state, new StepTotals(() => true), 0, undefined).states;
  rig.submit('e', 'job', 2);
  assert.equal(told(), undefined);
  rig.hello('w', [work('job', STEPS)], 2);
  rig.read();
  assert.deepEqual(told(), { s0: 2, s1: 0, s2: 0 });
  rig.report('w', 'e', rig.sent('work', 'w')[0]?.n ?? 0, { ok: [0, 2] });
  assert.deepEqual([rig.epic('e').state, told()], ['finished', undefined]);
});

test('what is kept of thousands in a row is one interval', () => {
  const stages = new Stages();
  for (let unit = 0; unit < 5_000; unit++) stages.move(unit, 1);
  const one: [number, Ranges][] = [[1, [0, 5_000]]];
  assert.deepEqual(stages.entries(), one);
  for (let unit = 0; unit < 5_000; unit++) stages.move(unit, 2);
  assert.deepEqual(stages.entries(), [[2, [0, 5_000]]]);
  stages.leave([0, 4_999]);
  assert.deepEqual(stages.counts(3, 7), [6, 0, 1]);
});
