/** The loop watch: when a late timer, or what is known to have kept the loop, is worth a warning. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, FakeClock } from '../../../../shared/io/clock.ts';
import { LoopWatch } from '../../../../shared/io/loopWatch.ts';

/** A clock whose timers fire `lateMs` after they are due. */
function rig() {
  const clock = new FakeClock(1_000);
  const state = { lateMs: 0, longest: { ms: 0 } };
  const told: number[] = [];
  const late: Clock = {
    wallMs: () => clock.wallMs(),
    monoMs: () => clock.monoMs(),
    setTimer: (ms, fn) => clock.setTimer(ms + state.lateMs, fn),
  };
  const watch = new LoopWatch({
    clock: late,
    limitMs: 100,
    longest: () => state.longest,
    tell: (ms) => told.push(ms),
  });
  let fired = 0;
  const beat = (lateMs: number, longestMs = 0): void => {
    Object.assign(state, { lateMs, longest: { ms: longestMs } });
    watch.setTimer(50, () => {
      fired += 1;
    });
    clock.advance(50 + lateMs);
  };
  return { beat, told, watch, clock, fired: () => fired };
}

test('a timer that is late by more than the limit is told, and fires all the same', () => {
  const { beat, told, fired } = rig();
  beat(0);
  beat(100);
  assert.deepEqual(told, []);
  beat(101);
  assert.deepEqual(told, [101]);
  assert.equal(fired(), 3);
});

test('what kept the loop longer than the limit is told, though the timer is late by less', () => {
  const { beat, told } = rig();
  beat(90, 150);
  assert.deepEqual(told, [150]);
});

test('it is told once a minute at most', () => {
  const { beat, told } = rig();
  beat(200);
  beat(300);
  beat(58_000);
  assert.deepEqual(told, [200]);
  beat(2_000);
  assert.deepEqual(told, [200, 2_000]);
});

test('a timer that was cancelled says nothing', () => {
  const { told, watch, clock } = rig();
  watch.setTimer(50, () => assert.fail('it was cancelled'))();
  clock.advance(10_000);
  assert.deepEqual(told, []);
});
