/** The master's shell around its core: what it forgets, and what it takes while it stops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../master/core/ledger.ts';
import type { EpicRecord } from '../../../master/core/records.ts';
import type { Briefs } from '../../../master/io/briefs.ts';
import { MasterRuntime } from '../../../master/io/runtime.ts';
import type { Spool } from '../../../master/io/spool.ts';
import { MemoryStore } from '../../../master/io/stores/memory.ts';
import { EPICS_FINISHED_KEPT_MAX } from '../../../shared/core/limits.ts';
import { MemoryNetwork } from '../../../shared/io/bus/memory.ts';
import { FakeClock } from '../../../shared/io/clock.ts';
import { silentLog } from '../../../shared/io/log.ts';

const submitted = (epic: string): EpicRecord => ({
  k: 'epic-submitted',
  epic,
  name: 'same',
  work: 'job',
  source: { type: 'range', from: 0, to: 0 },
  brief: 'b',
  wallMs: 1,
});

/** The records of an epic that has nothing to do. */
const ended = (epic: string): EpicRecord[] => [
  submitted(epic),
  { k: 'horizon', epic, to: 0, offset: 0, end: true },
  { k: 'epic-finished', epic, outcome: 'finished', wallMs: 2 },
];

test('an epic that runs on does not keep those alive that end after it', () => {
  const ledger = new Ledger();
  const forgotten: (string | undefined)[] = [];
  ledger.apply(submitted('runs-on'));
  for (let i = 0; i < EPICS_FINISHED_KEPT_MAX + 2; i++) {
    for (const record of ended(`e${i}`)) forgotten.push(ledger.apply(record));
  }
  assert.deepEqual(
    forgotten.filter((id) => id !== undefined),
    ['e0', 'e1'],
    'whoever keeps something by epic is told to forget it',
  );
  assert.equal(ledger.epics.size, EPICS_FINISHED_KEPT_MAX + 1);
});

test('a master that stops takes no epic any more: its store closes', async () => {
  const clock = new FakeClock();
  const store = new MemoryStore();
  const runtime = new MasterRuntime(
    {
      id: 'm',
      bus: new MemoryNetwork().master('m'),
      store,
      spool: {} as Spool,
      briefs: { put: async () => 'b' } as unknown as Briefs,
      clock,
      log: silentLog,
      newId: () => 'e',
      onFatal: (error) => assert.fail(String(error)),
    },
    await store.open(),
  );
  await runtime.open();
  const source = { type: 'range', from: 0, to: 1 } as const;
  const request = { work: 'job', source, brief: null };
  const early = runtime.submit(request);
  const refused = assert.rejects(early, { code: 'master_unreachable' }, 'its brief was still being written');
  await runtime.close();
  await refused;
  await assert.rejects(runtime.submit(request), { code: 'master_unreachable' });
  await assert.rejects(runtime.cancel('e', 'why'), { code: 'master_unreachable' });
  const { records } = await store.open();
  assert.deepEqual(records, []);
});
