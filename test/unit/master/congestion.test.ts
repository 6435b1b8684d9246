/** When a master is told to grant nothing since too much is on its way to workers, and when it may again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicRecord } from '../../../master/core/records.ts';
import type { Outgoing } from '../../../master/core/state.ts';
import { Congestion } from '../../../master/io/congestion.ts';
import { Journal } from '../../../master/io/journal.ts';
import { JOURNAL_RECORDS_MAX, LINK_FULL_BYTES } from '../../../shared/core/limits.ts';
import { FakeClock } from '../../../shared/io/clock.ts';

function rig(kind: 'ws' | 'nats') {
  const clock = new FakeClock();
  const told: boolean[] = [];
  const bytes = { buffered: 0, waiting: 0 };
  const depth = { records: 0, messages: 0 };
  const bus = { kind, buffered: () => bytes.buffered };
  const journal = {
    get waitingBytes() {
      return bytes.waiting;
    },
    depth,
  };
  const congestion = new Congestion({ bus, clock }, journal, (isFull) => told.push(isFull));
  const look = (buffered: number, waiting = 0): boolean[] => {
    Object.assign(bytes, { buffered, waiting });
    congestion.look();
    clock.advance(100);
    return told.splice(0);
  };
  return { congestion, clock, look, depth };
}

test('a full link is told once, and once more when half of it has gone out', () => {
  const { clock, look } = rig('nats');
  assert.deepEqual(look(LINK_FULL_BYTES - 1), []);
  assert.deepEqual(look(LINK_FULL_BYTES), [true]);
  assert.deepEqual(look(2 * LINK_FULL_BYTES), [], 'it is known');
  assert.deepEqual(look(LINK_FULL_BYTES / 2 + 1), []);
  assert.deepEqual(look(LINK_FULL_BYTES / 2), [false]);
  assert.equal(clock.timers(), 0, 'it looks by itself only while the link is full');
  assert.deepEqual(look(LINK_FULL_BYTES), [true]);
});

test('what waits for the store counts, too: the link gets it at once when the disk has answered', () => {
  const { look } = rig('nats');
  assert.deepEqual(look(LINK_FULL_BYTES / 2, LINK_FULL_BYTES / 2), [true]);
  assert.deepEqual(look(LINK_FULL_BYTES / 2, 1), []);
  assert.deepEqual(look(LINK_FULL_BYTES / 2, 0), [false]);
});

test('of a hub only that counts: one worker that does not read must not stop the others', () => {
  const { look } = rig('ws');
  assert.deepEqual(look(100 * LINK_FULL_BYTES), []);
  assert.deepEqual(look(0, LINK_FULL_BYTES), [true]);
  assert.deepEqual(look(100 * LINK_FULL_BYTES, 0), [false]);
});

// Broke: the limit was only shown; while one append took long, each read and grant could add to what waits for it.
test('records, and messages that wait for them, stop grants at half of their limit', () => {
  const { look, depth } = rig('ws');
  depth.records = JOURNAL_RECORDS_MAX / 2 - 1;
  assert.deepEqual(look(0), []);
  depth.records += 1;
  assert.deepEqual(look(0), [true]);
  depth.records = 0;
  depth.messages = JOURNAL_RECORDS_MAX / 2;
  assert.deepEqual(look(0), []);
  depth.messages = JOURNAL_RECORDS_MAX / 4;
  assert.deepEqual(look(0), [false]);
});

test('it looks no more once it is closed', () => {
  const { congestion, clock, look } = rig('nats');
  look(LINK_FULL_BYTES);
  congestion.close();
  assert.equal(clock.timers(), 0);
});

test('a journal knows the bytes of units that wait for it, also for an append under way', async () => {
  const appends: (() => void)[] = [];
  const sent: string[] = [];
  const append = (): Promise<void> => new Promise((resolve) => appends.push(resolve));
  const journal = new Journal({
    store: { append },
    monoMs: () => 0,
    onSynced: () => {},
    send: (message) => sent.push(message.to === 'worker' ? message.session : 'all'),
    onStalled: () => {},
    setTimer: () => () => {},
    onFatal: (error) => assert.fail(String(error)),
  });
  const record: EpicRecord = { k: 'epic-finished', epic: 'e', outcome: 'finished', wallMs: 1 };
  const message = (session: string, bytes: number, after: number): Outgoing => ({
    to: 'worker',
    session,
    message: { t: 'settled', term: 1, grants: [] },
    payload: [new Uint8Array(bytes), new Uint8Array(1)],
    after,
  });
  journal.take([record], [message('now', 7, 0), message('first', 99, 1)], 1);
  journal.take([record], [message('still-first', 199, 1), message('second', 399, 2)], 2);
  assert.equal(journal.waitingBytes, 100 + 200 + 400);
  appends.shift()?.();
  await new Promise(setImmediate);
  assert.deepEqual([journal.waitingBytes, sent], [400, ['now', 'first', 'still-first']]);
  appends.shift()?.();
  await new Promise(setImmediate);
  assert.deepEqual([journal.waitingBytes, sent.at(-1)], [0, 'second']);
});
