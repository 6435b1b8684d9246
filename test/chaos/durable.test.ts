/**
 * What a master has promised is on the disk: an epic answered by 202 survives `kill -9` at once; a spool that is
 * gone or damaged stops its own epic, says so and skips nothing; a data directory has one master.
 */
import assert from 'node:assert/strict';
import { copyFile, readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type EpicStatus, ndjson, range } from '../../client/index.ts';
import { assertTotals, type Cluster, RECOVERY_WORKS, WORKS, withCluster } from '../processes/cluster.ts';
import { readNotes, twice, writeRows } from '../processes/notes.ts';
import { lastingPort } from '../processes/port.ts';
import type { Process } from '../processes/process.ts';

const SETTINGS = { leaseMs: 3_000, heartbeatMs: 500, lookAheadUnits: 64 };
const WORKER = { works: [RECOVERY_WORKS, WORKS], slots: 16, heartbeatMs: SETTINGS.heartbeatMs };
const UNIT_BYTES = 2_000;

// They wait for leases and for tries again most of the time.
describe('what a master has promised', { concurrency: 3 }, () => {
  test(
    'kill -9 right after the 202 of a submit: the epic is there after the restart, and is done',
    withCluster(async (c) => {
      const port = await lastingPort();
      let master = await start(c, port);
      const rows = 300;
      const source = await writeRows(c.path('rows.ndjson'), rows, UNIT_BYTES);
      const submits: (() => Promise<{ id: string }>)[] = [
        () => submitRows(c, source, 'upload.txt'),
        () => c.client.submit({ work: 'nothing', source: range(0, rows), name: 'numbers' }),
      ];
      const ids: string[] = [];
      for (const submit of submits) {
        ids.push((await submit()).id);
        await master.end('SIGKILL');
        master = await start(c, port);
      }
      for (const id of ids) {
        const { state, work, bottleneck } = await c.status(id);
        assert.deepEqual(
          { state, bottleneck },
          { state: 'running', bottleneck: `no worker offers \`${work}\` yet` },
        );
      }
      c.workerWith(WORKER);
      for (const id of ids) assertTotals(await c.finished(id), { read: rows, succeeded: rows });
      assert.equal((await c.client.epic('numbers')).id, ids[1]);
      assert.deepEqual(twice(readNotes(c.path('upload.txt'))), []);
    }),
  );

  test(
    'a spool removed or cut short under a restarted master: its epic waits and says why, others go on',
    withCluster(async (c) => {
      const port = await lastingPort();
      let master = await start(c, port);
      const rows = 1_000;
      const source = await writeRows(c.path('rows.ndjson'), rows, UNIT_BYTES);
      const spools = c.path('data/spool');
      const names: string[] = [];
      const ids: string[] = [];
      for (const file of ['gone.txt', 'short.txt', 'whole.txt']) {
        ids.push((await submitRows(c, source, file)).id);
        const files = (await readdir(spools)).filter((name) => !name.endsWith('.sums'));
        names.push(files.find((name) => !names.includes(name)) as string);
      }
      const [gone, short, whole] = ids as [string, string, string];
      await master.end('SIGKILL');
      master = await start(c, port);
      const [goneFile, shortFile] = names.map((name) => join(spools, name)) as [string, string];
      await rm(goneFile);
      await truncate(shortFile, (rows / 2) * UNIT_BYTES);
      c.workerWith(WORKER);

      assertTotals(await c.finished(whole), { read: rows, succeeded: rows });
      const stopped = await c.reach(short, 'stopped', isUnreadable);
      assert.match(stopped.bottleneck, /its source cannot be read: .*shorter than its \d+ bytes/);
      const { read, succeeded, outstanding } = stopped.totals;
      assert.ok(read < rows, 'what is not there was read');
      assert.deepEqual({ ...stopped.totals, read: 0, succeeded: 0, outstanding: 0 }, none());
      assert.equal(read, succeeded + outstanding);
      const nothing = await c.reach(gone, 'stopped', isUnreadable);
      assert.match(nothing.bottleneck, /its source cannot be read: .*it is not there/);
      assert.deepEqual(nothing.totals, none());

      // Nothing was skipped: with the bytes back in their place every unit is run, once.
      await copyFile(source, goneFile);
      await copyFile(source, shortFile);
      for (const id of [gone, short]) assertTotals(await c.finished(id), { read: rows, succeeded: rows });
      for (const file of ['gone.txt', 'short.txt', 'whole.txt']) {
        const notes = readNotes(c.path(file));
        assert.deepEqual(twice(notes), []);
        assert.equal(notes.length, rows);
      }
    }),
  );

  test(
    'a second master on a data directory in use ends with one line that names the first, which goes on',
    withCluster(async (c) => {
      const first = await c.master();
      const second = c.gimme('master', '--listen', '127.0.0.1:0', '--data', c.path('data'));
      const { code } = await second.gone('by itself');
      assert.equal(code, 1);
      assert.deepEqual(second.out, []);
      assert.equal(second.err.length, 1, second.err.join('\n'));
      const [line] = second.err;
      assert.match(
        line ?? '',
        new RegExp(`data directory .* is in use by process ${first.pid} on \\S+: stop it or`),
      );
      const { id } = await c.client.submit({ work: 'nothing', source: range(0, 10) });
      c.gimme('worker', '--master', c.url, '--works', WORKS);
      assertTotals(await c.finished(id), { read: 10, succeeded: 10 });
    }),
  );
});

async function start(c: Cluster, port: number): Promise<Process> {
  return c.ready(c.durableMaster(port, SETTINGS));
}

function submitRows(c: Cluster, source: string, file: string): Promise<{ id: string }> {
  return c.client.submit({ work: 'quick', source: ndjson(source), brief: { file: c.path(file), ms: 1 } });
}

function isUnreadable({ bottleneck, leased }: EpicStatus): boolean {
  return bottleneck.startsWith('its source cannot be read') && leased === 0;
}

function none(): EpicStatus['totals'] {
  const ended = { succeeded: 0, failed: 0, unknown: 0, skipped: 0, cancelled: 0, missing: 0 };
  return { read: 0, ...ended, outstanding: 0 };
}
