/**
 * A brief that is missing or damaged on the master's disk held the units of its epic on workers for ever: they waited
 * for it without a word to anybody.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { defineWork } from '../../shared/core/work.ts';
import { Cluster } from './cluster.ts';
import { memoryLink } from './links.ts';
import { Tally } from './signals.ts';

const UNITS = 40;
const LIMIT = { timeout: 200_000 };
/** A brief is asked for again after half a second. */
const FAST = { speed: 10, settings: { leaseMs: 60_000 } };

type Unit = { i: number };

/** Harms the one brief, has a worker ask for it, and puts it right again. */
async function harmed(harm: (path: string) => Promise<void>, reason: RegExp): Promise<void> {
  await Cluster.run(memoryLink, FAST, async (cluster) => {
    const runs = new Tally<number>('runs');
    const work = defineWork<Unit>('job').step('note', ({ i }) => runs.add(i));
    const epic = await cluster.submit(
      'job',
      Array.from({ length: UNITS }, (_, i) => ({ i })),
    );
    const own = join(cluster.dir, 'briefs');
    const [name = ''] = await readdir(own);
    const path = join(own, name);
    const bytes = await readFile(path);
    await harm(path);

    const worker = await cluster.work('w', 4, [work]);
    const paused = await cluster.until(epic, 'paused', (status) => status.paused !== undefined);
    assert.match(paused.paused ?? '', reason);
    assert.ok(paused.paused?.includes(path), 'the reason names the file');
    await cluster.until(epic, 'given back', ({ leased }) => leased === 0);
    assert.equal(worker.runtime.held, 0);

    await cluster.master.resume(epic);
    await cluster.until(epic, 'paused again', (status) => status.paused !== undefined);
    assert.equal(runs.all.length, 0);

    await rm(path, { force: true });
    await writeFile(`${path}.copy`, bytes);
    await rename(`${path}.copy`, path);
    await cluster.master.resume(epic);
    const done = await cluster.finished(epic);
    assert.deepEqual([done.totals.succeeded, done.totals.failed], [UNITS, 0]);
    assert.equal(new Set(runs.all).size, UNITS);
    assert.equal(runs.all.length, UNITS);
  });
}

test('an epic whose brief is missing on disk is paused, says so, and goes on once it is back', LIMIT, () =>
  harmed((path) => rm(path), /is not there: put it back or submit the same, then resume the epic/),
);

test('an epic whose brief is damaged on disk is paused, says so, and goes on once it is whole', LIMIT, () =>
  harmed(async (path) => {
    const bytes = await readFile(path);
    await writeFile(path, bytes.fill(0x20, 0, 4));
  }, /is damaged: put it back whole, or remove it and submit the same, then resume the epic/),
);

test('a brief that cannot be read for a moment pauses nothing and is asked for again', LIMIT, () =>
  Cluster.run(memoryLink, FAST, async (cluster) => {
    const work = defineWork<Unit>('job').step('note', () => undefined);
    const epic = await cluster.submit('job', [{ i: 0 }]);
    const { briefs } = cluster;
    const get = briefs.get.bind(briefs);
    let asked = 0;
    briefs.get = async (hash) => {
      asked += 1;
      if (asked === 1) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
      return get(hash);
    };
    await cluster.work('w', 1, [work]);
    const done = await cluster.finished(epic);
    assert.equal(done.totals.succeeded, 1);
    assert.equal(asked, 2);
    assert.ok(cluster.records.every(({ k }) => k !== 'paused'));
  }),
);
