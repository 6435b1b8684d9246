/**
 * How soon work goes on after `kill -9` of the master in the middle of an epic (`UNITS=n`, 40,000 by default):
 * what was never granted is granted long before a lease of the new process has passed (in well under 2 s, which it
 * prints), and workers go on with what they hold meanwhile.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ndjson } from '../../client/index.ts';
import { assertTotals, RECOVERY_WORKS, withCluster } from '../processes/cluster.ts';
import { readNotes, twice, writeRows } from '../processes/notes.ts';
import { lastingPort } from '../processes/port.ts';
import type { Process } from '../processes/process.ts';
import { keepRecords, readKept } from './kept.ts';

const UNITS = Number(process.env['UNITS'] ?? 40_000);
const UNIT_BYTES = 120;
/** So long that nothing can be granted for its end, also by a machine that is many times slower. */
const SETTINGS = { leaseMs: 10_000, heartbeatMs: 1_000, lookAheadUnits: 1_024 };

test(
  `a master killed at half of ${UNITS} units grants new ones long before a lease has passed`,
  withCluster(async (c, t) => {
    const port = await lastingPort();
    await (await c.ready(c.durableMaster(port, SETTINGS))).end('SIGTERM');
    keepRecords(c.path('data'));
    const first = await c.ready(c.durableMaster(port, SETTINGS));
    const worker = { works: [RECOVERY_WORKS], slots: 32, heartbeatMs: SETTINGS.heartbeatMs };
    const workers = [c.workerWith(worker), c.workerWith(worker), c.workerWith(worker)];
    for (const process of workers) await process.line(/worker ready/);
    const source = ndjson(await writeRows(c.path('rows.ndjson'), UNITS, UNIT_BYTES));
    const brief = { file: c.path('notes.txt'), ms: 5 };
    const { id } = await c.client.submit({ work: 'quick', source, brief });
    await c.reach(id, 'half done', ({ totals }) => totals.succeeded >= UNITS / 2);
    // More than it runs at once: what is left is run while nobody grants.
    await c.known(workers[0] as Process, ({ held }) => held > worker.slots);
    const killedMs = Date.now();
    await first.end('SIGKILL');
    const second = c.durableMaster(port, SETTINGS);
    await c.ready(second);
    const upMs = Date.now();
    const over = await c.finished(id);
    await second.end('SIGTERM');

    assertTotals(over, { read: UNITS, succeeded: UNITS });
    const notes = readNotes(brief.file);
    assert.deepEqual(twice(notes), []);
    assert.equal(notes.length, UNITS);
    const kept = readKept(c.path('data'));
    const term = kept.at(-1)?.term;
    const horizon = Math.max(
      ...kept.map((it) => (it.term !== term && it.record.k === 'horizon' ? it.record.to : 0)),
    );
    assert.ok(horizon < UNITS, 'all had been read before the kill');
    const anew = Math.min(...notes.filter(({ unit }) => unit >= horizon).map(({ atMs }) => atMs));
    const alone = notes.filter(({ atMs }) => atMs > killedMs && atMs < upMs).length;
    t.diagnostic(
      `up after ${upMs - killedMs} ms, granted anew ${anew - upMs} ms later, ${alone} run meanwhile`,
    );
    assert.ok(anew - upMs < SETTINGS.leaseMs / 2, `granted anew ${anew - upMs} ms after it was up`);
    assert.ok(alone > 0, 'the workers stood still while the master was away');
  }),
);
