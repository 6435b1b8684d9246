import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, systemClock } from '../../../../shared/io/clock.ts';

test('the fake clock runs what falls due on the way, in order, each at its own time', () => {
  const clock = new FakeClock(1_000);
  const ran: string[] = [];
  const note = (name: string) => (): void => {
    ran.push(`${name} at ${clock.monoMs()}`);
  };
  clock.setTimer(20, note('b'));
  clock.setTimer(10, note('a'));
  clock.setTimer(20, note('c'));
  clock.setTimer(31, note('not yet'));
  clock.setTimer(10, () => clock.setTimer(15, note('set on the way')));
  const cancel = clock.setTimer(5, note('cancelled'));
  cancel();
  cancel();
  clock.advance(30);
  assert.deepEqual(ran, ['a at 1010', 'b at 1020', 'c at 1020', 'set on the way at 1025']);
  assert.deepEqual([clock.wallMs(), clock.monoMs(), clock.timers()], [1_030, 1_030, 1]);
  clock.advance(1);
  assert.equal(ran.at(-1), 'not yet at 1031');
});

test('a timer of the fake clock may cancel another that is due at the same time', () => {
  const clock = new FakeClock();
  let ran = 0;
  clock.setTimer(1, () => cancel());
  const cancel = clock.setTimer(1, () => {
    ran += 1;
  });
  clock.advance(1);
  assert.equal(ran, 0);
});

test('the system clock tells both times and runs a timer once, unless cancelled', async () => {
  assert.ok(Math.abs(systemClock.wallMs() - Date.now()) < 1_000);
  const before = systemClock.monoMs();
  let cancelled = 0;
  const cancel = systemClock.setTimer(1, () => {
    cancelled += 1;
  });
  cancel();
  await new Promise<void>((resolve) => {
    systemClock.setTimer(5, resolve);
  });
  assert.ok(systemClock.monoMs() > before);
  assert.equal(cancelled, 0);
});

test('a delay too long for a timer does not fire at once', async () => {
  let fired = false;
  const cancel = systemClock.setTimer(2 ** 40, () => {
    fired = true;
  });
  // Node runs an overlong timer after 1 ms; so one of 5 ms set after it comes later.
  await new Promise<void>((resolve) => {
    systemClock.setTimer(5, resolve);
  });
  cancel();
  assert.equal(fired, false);
});
