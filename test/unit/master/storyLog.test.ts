/** What a master logs: one line for each turn in the life of an epic and of a worker, none for the hot path. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../master/core/ledger.ts';
import type { EpicRecord } from '../../../master/core/records.ts';
import { Session } from '../../../master/core/session.ts';
import { StoryLog } from '../../../master/io/storyLog.ts';
import { memoryLog } from '../http/fakeMaster.ts';

test('an epic from its submit to its arithmetic', () => {
  const log = memoryLog();
  const story = new StoryLog(log, new Map());
  const ledger = new Ledger();
  const source = { type: 'range', from: 0, to: 3 } as const;
  const records: EpicRecord[] = [
    { k: 'epic-submitted', epic: 'e', name: 'weekly', work: 'w', source, brief: 'b', wallMs: 1_000 },
    { k: 'horizon', epic: 'e', to: 3, offset: 3, end: true },
    { k: 'settled', epic: 'e', succeeded: [0, 1], cancelled: [1, 3] },
    { k: 'lease-expired', epic: 'e', session: 's', again: [0, 2, 5, 6], unknown: [], wallMs: 2_000 },
    { k: 'paused', epic: 'e', reason: 'a file is gone', wallMs: 2_000 },
    { k: 'resumed', epic: 'e', wallMs: 2_000 },
    { k: 'closing', epic: 'e', reason: 'wrong\nsubject', wallMs: 2_000 },
    { k: 'epic-finished', epic: 'e', outcome: 'cancelled', wallMs: 3_500 },
  ];
  for (const record of records) {
    ledger.apply(record);
    story.synced(record, ledger.epics.get('e'));
  }
  const totals =
    'read 3 = succeeded 1 + failed 0 + unknown 0 + skipped 0 + cancelled 2 + missing 0 + outstanding 0';
  assert.deepEqual(log.lines, [
    'info epic submitted {"epic":"e","name":"weekly","work":"w","source":"range:0-3"}',
    'info units of a lost worker {"epic":"e","name":"weekly","worker":"s","again":3,"unknown":0}',
    'warn epic is paused {"epic":"e","name":"weekly","reason":"a file is gone"}',
    'info epic goes on {"epic":"e","name":"weekly"}',
    'info epic is being cancelled {"epic":"e","name":"weekly","reason":"wrong\\nsubject"}',
    `info epic cancelled {"epic":"e","name":"weekly","seconds":2.5,"totals":"${totals}"}`,
  ]);
});

test('a worker that joins, is lost, is back, drains and leaves', () => {
  const log = memoryLog();
  const sessions = new Map<string, Session>();
  const story = new StoryLog(log, sessions);
  const told = (): string[] => {
    story.look();
    return log.lines.splice(0).map((line) => line.replace(/ \{.*/, ''));
  };
  assert.deepEqual(told(), []);
  const session = new Session('s', 1);
  session.name = 'mail-1';
  session.slots = 4;
  sessions.set('s', session);
  story.look();
  assert.deepEqual(log.lines.splice(0), [
    'info worker joined {"worker":"s","name":"mail-1","works":"","slots":4}',
  ]);
  assert.deepEqual(told(), []);
  session.expired = true;
  assert.deepEqual(told(), ['info worker lost: its lease expired']);
  session.expired = false;
  assert.deepEqual(told(), ['info worker is back']);
  session.draining = true;
  assert.deepEqual(told(), ['info worker drains']);
  sessions.delete('s');
  assert.deepEqual(told(), ['info worker left']);
  assert.deepEqual(told(), []);
});
