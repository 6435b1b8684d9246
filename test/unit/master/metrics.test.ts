/** What the counters of a master say, also of one that was started again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../master/core/ledger.ts';
import type { EpicRecord } from '../../../master/core/records.ts';
import { NOBODY } from '../../../master/core/recovery.ts';
import { DEFAULT_SETTINGS, MasterState } from '../../../master/core/state.ts';
import { MasterMetrics } from '../../../master/io/metrics.ts';

/** Metrics over a ledger that holds these records from before. */
function started(before: readonly EpicRecord[]) {
  const ledger = new Ledger();
  for (const record of before) ledger.apply(record);
  const state = new MasterState('m', 1, DEFAULT_SETTINGS, (text) => text);
  const rest = { version: '0', link: 'ws', notFrames: () => 0, depths: () => ({}) };
  const metrics = new MasterMetrics({ ...rest, state, epics: () => ledger.epics.values() });
  const see = (record: EpicRecord): void => {
    ledger.apply(record);
    metrics.synced(record, ledger.epics.get(record.epic), 0);
  };
  const units = async (): Promise<Record<string, number>> => {
    const lines = (await metrics.text()).split('\n');
    const values = lines.flatMap((line) => {
      const [, read, outcome, value] =
        /^gimmework_units_(?:(read)|finished)_total\{work="w"(?:,outcome="(\w+)")?\} (\d+)$/.exec(line) ?? [];
      return value === undefined || value === '0' ? [] : [[read ?? outcome ?? '', Number(value)] as const];
    });
    return Object.fromEntries(values);
  };
  return { see, units };
}

const source = { type: 'range', from: 0, to: 20 } as const;
const submitted: EpicRecord = {
  ...{ k: 'epic-submitted', epic: 'e', name: 'e', work: 'w', source, brief: 'b', wallMs: 0 },
};
const horizon: EpicRecord = { k: 'horizon', epic: 'e', to: 10, offset: 10, end: false };
const fault = { unit: 6, code: 'x', message: 'm', step: 's', attempt: 1 };

// Broke: the first scrape after a restart showed all that running epics had ever settled, as if it had happened then.
test('a master that was started again counts what it found unfinished, and what it settles', async () => {
  const { see, units } = started([
    submitted,
    horizon,
    { k: 'settled', epic: 'e', succeeded: [0, 6], failed: [fault] },
  ]);
  assert.deepEqual(await units(), { read: 3 });
  see({ k: 'settled', epic: 'e', succeeded: [7, 9] });
  see({ k: 'lease-expired', epic: 'e', session: NOBODY, again: [], unknown: [9, 10], wallMs: 0 });
  assert.deepEqual(await units(), { read: 3, succeeded: 2, unknown: 1 });
  see({ k: 'horizon', epic: 'e', to: 20, offset: 20, end: true });
  see({ k: 'settled', epic: 'e', succeeded: [10, 20] });
  see({ k: 'epic-finished', epic: 'e', outcome: 'finished', wallMs: 0 });
  assert.deepEqual(await units(), { read: 13, succeeded: 12, unknown: 1 });
});

test('of an epic that tries some units of another again only those are read', async () => {
  const { see, units } = started([]);
  see({ ...submitted, retryOf: { epic: 'other', effects: 'other', only: [2, 4] } });
  see({ ...horizon, absent: [0, 2, 4, 10], end: true });
  see({ k: 'settled', epic: 'e', succeeded: [2, 3] });
  assert.deepEqual(await units(), { read: 2, succeeded: 1 });
});
