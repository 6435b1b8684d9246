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
  /** What is counted of gathers, by outcome. */
  const gathers = async (): Promise<Record<string, number>> => {
    const lines = (await metrics.text()).matchAll(
      /^gimmework_gather_(responses_total|duration_seconds_(?:sum|count))\{gather="w",outcome="(\w+)"\} ([\d.]+)$/gm,
    );
    const short = (name: string): string => name.replace(/_total|duration_seconds_/, '');
    const counted = [...lines].map(([, name = '', outcome, value]) => [
      `${short(name)} ${outcome}`,
      Number(value),
    ]);
    return Object.fromEntries(counted.filter(([, value]) => value !== 0)) as Record<string, number>;
  };
  return { see, units, gathers };
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

const asked = { ...submitted, gather: { deadlineMs: 10_000 } } satisfies EpicRecord;

test('of a gather: how long it took, and what came of those asked, late answers too', async () => {
  const { see, gathers } = started([]);
  see({ ...asked, wallMs: 1_000 });
  see({ k: 'scattered', epic: 'e', source, items: 10 });
  see({ ...horizon, end: true });
  see({ k: 'settled', epic: 'e', succeeded: [0, 4], skipped: [4, 5], failed: [fault] });
  assert.deepEqual(await gathers(), { 'responses answered': 5, 'responses failed': 1 });
  see({ k: 'closing', epic: 'e', reason: 'late', as: 'missing', wallMs: 0 });
  see({ k: 'settled', epic: 'e', missing: [7, 10, 5, 6] });
  see({ k: 'folding', epic: 'e' });
  see({ k: 'late', epic: 'e', units: [7, 9] });
  see({ k: 'folded', epic: 'e', bytes: 2, hash: 'h' });
  see({ k: 'epic-finished', epic: 'e', outcome: 'finished', wallMs: 3_500 });
  see({ k: 'late', epic: 'e', units: [9, 10] });
  const responses = {
    'responses answered': 5,
    'responses failed': 1,
    'responses missing': 4,
    'responses late': 3,
  };
  assert.deepEqual(await gathers(), { ...responses, 'sum partial': 2.5, 'count partial': 1 });
});

test('a gather is complete, failed, or cancelled and then not measured; other works are none', async () => {
  const { see, gathers } = started([]);
  const scattered: EpicRecord = { k: 'scattered', epic: 'e', source, items: 0 };
  const drained: EpicRecord = { ...horizon, to: 0, offset: 0, end: true };
  const run = (epic: string, outcome: 'finished' | 'failed' | 'cancelled', before: EpicRecord[]): void => {
    const finished: EpicRecord = { k: 'epic-finished', epic, outcome, wallMs: 4_000 };
    for (const record of [...before, finished]) see({ ...record, epic });
  };
  run('a', 'finished', [asked, scattered]);
  run('b', 'failed', [asked, scattered]);
  run('c', 'cancelled', [asked, scattered]);
  run('d', 'finished', [submitted, drained]);
  assert.deepEqual(await gathers(), {
    'sum complete': 4,
    'count complete': 1,
    'sum failed': 4,
    'count failed': 1,
  });
});
