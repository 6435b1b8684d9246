/**
 * A disk that fills while an epic runs: records wait, nothing more is granted, reads go on, `/readyz` says why, and
 * all resumes by itself once there is room. A disk that fails ends the master, and the next one recovers. The
 * fault is put into SQLite's own calls; where a small file system can be mounted, a really full one is shown too.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { type GimmeError, ndjson, range } from '../../client/index.ts';
import { assertTotals, type Cluster, RECOVERY_WORKS, withCluster } from '../processes/cluster.ts';
import { canMount, fillUp, mount, unmount } from '../processes/mount.ts';
import { readNotes, twice, writeRows } from '../processes/notes.ts';
import { lastingPort } from '../processes/port.ts';
import { until } from '../processes/until.ts';

const ROWS = 3_000;
const UNIT_BYTES = 200;
/** Workers come back within a lease, also where a start takes seconds: nothing may run twice. */
const SETTINGS = { leaseMs: 5_000, heartbeatMs: 500 };
const STILL_MS = 600;
const BRIEF = { file: 'notes.txt', ms: 10 };

type Disk = {
  fill(): Promise<void>;
  makeRoom(): Promise<void>;
  /** What a submit meets while it is full. */
  submit(c: Cluster): Promise<() => Promise<void>>;
};

describe('a disk', { concurrency: 3 }, () => {
  test(
    'that is full, as SQLite says: records wait, grants stop, reads go on, it resumes by itself',
    withCluster(async (c) => {
      const fate = c.path('fate');
      await fills(c, fate, {
        fill: () => writeFile(fate, 'full'),
        makeRoom: () => rm(fate),
        async submit() {
          const waits = c.client.submit({ work: 'nothing', source: range(0, 5) });
          return async () => assert.equal((await waits.then((epic) => c.status(epic.id))).state, 'running');
        },
      });
    }),
  );

  if (canMount()) {
    test(
      'that is really full: the same, and an upload is refused in one line',
      withCluster(async (c) => {
        mkdirSync(c.path('data'));
        mount(c.path('data'), 16);
        try {
          await fills(c, undefined, {
            fill: () => fillUp(c.path('data/ballast')),
            makeRoom: () => rm(c.path('data/ballast')),
            async submit() {
              const source = ndjson(await writeRows(c.path('more.ndjson'), 10, UNIT_BYTES));
              await assert.rejects(c.client.submit({ work: 'quick', source }), (error: GimmeError) => {
                assert.equal(error.code, 'store_failed');
                assert.match(error.message, /ENOSPC, the disk is full; make room/);
                return true;
              });
              return async () => {};
            },
          });
        } finally {
          unmount(c.path('data'));
        }
      }),
    );
  }

  test(
    'that fails: the master ends with exit 1 and says why, and the next one recovers everything',
    withCluster(async (c) => {
      const fate = c.path('fate');
      const port = await lastingPort();
      const master = await c.ready(c.durableMaster(port, SETTINGS, { fate }));
      const { id } = await begin(c);
      await writeFile(fate, 'broken');
      assert.equal((await master.gone('by itself')).code, 1);
      assert.match(master.err.join('\n'), /the master ends .*cannot use the journal in .*disk I\/O error/);
      await rm(fate);
      await c.ready(c.durableMaster(port, SETTINGS, { fate }));
      assert.equal((await c.status(id)).state, 'running', 'the epic was over before the disk failed');
      assertTotals(await c.finished(id), { read: ROWS, succeeded: ROWS });
      assertOnce(c);
    }),
  );
});

async function fills(c: Cluster, fate: string | undefined, disk: Disk): Promise<void> {
  const master = await c.ready(
    c.durableMaster(await lastingPort(), SETTINGS, fate === undefined ? {} : { fate }),
  );
  const { id } = await begin(c);
  await disk.fill();
  assert.equal((await c.status(id)).state, 'running', 'the epic was over before the disk was full');
  const { reason } = await until(
    'the master says that it is not ready',
    async () => ({ reason: '', ...(await c.client.readiness()) }),
    ({ ready }) => !ready,
  );
  assert.match(reason, /the disk of .* is full: make room/);
  assert.equal((await fetch(`${c.url}/readyz`)).status, 503);
  const afterwards = await disk.submit(c);

  const stopped = await still(c);
  const before = await c.status(id);
  assert.equal(before.state, 'running');
  assert.ok(stopped < ROWS, 'all was granted before the disk was full');
  assert.ok(before.totals.succeeded <= stopped, 'more is told as done than was run');
  for (const path of ['/healthz', '/metrics', '/v1/workers', '/v1/epics']) {
    assert.equal((await fetch(`${c.url}${path}`)).status, 200, path);
  }
  assert.equal(
    readNotes(c.path(BRIEF.file)).length,
    stopped,
    'a unit was granted while records could not be written',
  );

  await disk.makeRoom();
  assertTotals(await c.finished(id), { read: ROWS, succeeded: ROWS });
  assert.deepEqual(await c.client.readiness(), { ready: true });
  await afterwards();
  assertOnce(c);
  assert.equal((await master.end('SIGTERM')).code, 0);
}

/** Starts a worker and an epic that is well under way. */
async function begin(c: Cluster): Promise<{ id: string }> {
  const worker = { works: [RECOVERY_WORKS], slots: 8, heartbeatMs: SETTINGS.heartbeatMs };
  await c.workerWith(worker).line(/worker ready/);
  const source = ndjson(await writeRows(c.path('rows.ndjson'), ROWS, UNIT_BYTES));
  const { id } = await c.client.submit({ work: 'quick', source, brief: BRIEF });
  await c.reach(id, 'under way', ({ totals }) => totals.succeeded > ROWS / 20);
  return { id };
}

/** Waits until workers have run what they hold; returns how much was run by then. */
async function still(c: Cluster): Promise<number> {
  for (let ran = -1; ; ) {
    const now = readNotes(c.path(BRIEF.file)).length;
    if (now === ran) return now;
    ran = now;
    await pass(STILL_MS); // That nothing happens in this time is what is shown.
  }
}

function assertOnce(c: Cluster): void {
  const notes = readNotes(c.path(BRIEF.file));
  assert.deepEqual(twice(notes), []);
  assert.equal(notes.length, ROWS);
}
