import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StepTallies } from '../../../../worker/core/stepTallies.ts';

// Broke: a heartbeat told of every epic ever held, and outgrew its message.
test('a heartbeat tells of a bounded number of epics, and each gets its turn', () => {
  const tallies = new StepTallies();
  const held = new Set(Array.from({ length: 1_000 }, (_, i) => `e${i}`));
  for (const epic of held) tallies.of(epic)['send'] = { done: 1, failed: 0, retried: 0 };
  const seen = new Set<string>();
  for (let beat = 0; beat < 16; beat++) {
    const told = Object.keys(tallies.tell(held));
    assert.ok(told.length <= 64, `${told.length} epics in one heartbeat`);
    for (const epic of told) seen.add(epic);
  }
  assert.equal(seen.size, 1_000);
});

test('what is no longer held is told once more and then forgotten, when there is a crowd', () => {
  const tallies = new StepTallies();
  for (let i = 0; i < 200; i++) tallies.of(`e${i}`)['send'] = { done: i, failed: 0, retried: 0 };
  const told = new Map<string, number>();
  for (let beat = 0; beat < 10; beat++) {
    for (const epic of Object.keys(tallies.tell(new Set()))) told.set(epic, (told.get(epic) ?? 0) + 1);
  }
  assert.equal(told.size, 200);
  assert.equal(told.get('e0'), 1);
});
