/**
 * The faults that the first implementation of the work-pulling pattern had, and that must never come back.
 * Each is driven through the real shells and cores over a link; every link has a file that calls this.
 *
 * Each was seen to fail with its fault put back, as its comment says.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineWork, PermanentError, skip, UnknownOutcomeError } from '../../shared/core/work.ts';
import { Cluster, type ClusterWorker } from '../cluster/cluster.ts';
import type { MakeLink } from '../cluster/links.ts';
import { Gate, Tally } from '../cluster/signals.ts';

type Unit = { i: number };
const numbered = (count: number): Unit[] => Array.from({ length: count }, (_, i) => ({ i }));

/** A work that notes each unit it runs. */
function noting(name = 'job') {
  const runs = new Tally<number>(`runs of ${name}`);
  return { runs, work: defineWork<Unit>(name).step('note', ({ i }) => runs.add(i)) };
}

function assertOnceEach(runs: Tally<number>, count: number): void {
  assert.deepEqual(
    [...runs.all].sort((a, b) => a - b),
    numbered(count).map(({ i }) => i),
  );
}

export function faultsConformance(kind: string, link: MakeLink): void {
  describe(`faults that must not come back, over ${kind}`, { timeout: 240_000 }, () => {
    test('F1 an epic sent when no worker is there is not dropped', () => droppedEpic(link));
    test('F2 several epics progress together and all finish', () => oneEpicAtATime(link));
    test('F3 the source is not restarted on each pull', () => restartedSource(link));
    test('F4 finished is never shown while units are in flight', () => earlyFinish(link));
    test('F5 a dead worker’s unit is not lost', () => lostUnit(link));
    test('F6 a failure is never swallowed as success', () => swallowedFailure(link));
    test('F7 demand does not grow with WorkAvailable', () => growingDemand(link));
    test('F8 a lost WorkAvailable, or one lost frame in ten, stalls nobody', async () => {
      await lostHint(link);
      await lostFrames(link);
    });
  });
}

/** Fails when the master drops an epic whose work no session offers at submit. */
async function droppedEpic(link: MakeLink): Promise<void> {
  await Cluster.run(link, {}, async (cluster) => {
    const { runs, work } = noting();
    const epic = await cluster.submit('job', numbered(50));
    const waiting = cluster.status(epic);
    assert.deepEqual([waiting.state, waiting.workers, waiting.totals.read], ['running', 0, 0]);
    assert.match(waiting.bottleneck, /no worker/);
    await cluster.work('late', 2, [work]);
    const done = await cluster.finished(epic);
    assert.deepEqual([done.state, done.totals.succeeded], ['finished', 50]);
    assertOnceEach(runs, 50);
  });
}

/** Fails when `dispatch` grants of the first epic only, until it is finished. */
async function oneEpicAtATime(link: MakeLink): Promise<void> {
  await Cluster.run(link, {}, async (cluster) => {
    const gate = new Gate();
    const { runs, work } = noting();
    const held = defineWork<Unit>('held').step('wait', () => gate.opened);
    await cluster.work('w', 4, [held, work]);
    const first = await cluster.submit('held', numbered(2));
    const others = [await cluster.submit('job', numbered(60)), await cluster.submit('job', numbered(60))];
    for (const epic of others) assert.equal((await cluster.finished(epic)).totals.succeeded, 60);
    assert.equal(runs.all.length, 120);
    assert.deepEqual([cluster.status(first).state, cluster.status(first).totals.outstanding], ['running', 2]);
    gate.open();
    assert.equal((await cluster.finished(first)).totals.succeeded, 2);
  });
}

/** Fails when each read of the source begins at its first byte. */
async function restartedSource(link: MakeLink): Promise<void> {
  await Cluster.run(link, { settings: { lookAheadUnits: 100 } }, async (cluster) => {
    const { runs, work } = noting();
    let pulls = 0;
    cluster.fate = ({ message }) => {
      if (message.t === 'gimme') pulls += 1;
      return 1;
    };
    await cluster.work('w', 2, [work]);
    const units = numbered(2_000).map((unit) => ({ ...unit, text: 'x'.repeat(1_000) }));
    const epic = await cluster.submit('job', units);
    assert.equal((await cluster.finished(epic)).totals.succeeded, 2_000);
    assertOnceEach(runs, 2_000);
    const offsets = cluster.reads.map(({ offset }) => offset);
    assert.ok(
      offsets.length > 3 && pulls > 5,
      `${offsets.length} reads and ${pulls} pulls are too few to tell`,
    );
    assert.deepEqual(
      offsets,
      [...new Set(offsets)].sort((a, b) => a - b),
      'each stretch is read once, in order',
    );
  });
}

/** Fails when an epic finishes as soon as its source is drained. */
async function earlyFinish(link: MakeLink): Promise<void> {
  await Cluster.run(link, {}, async (cluster) => {
    const gate = new Gate();
    const started = new Tally<number>('units started');
    const work = defineWork<Unit>('job').step('run', ({ i }) => {
      started.add(i);
      return i === 3 ? gate.opened : undefined;
    });
    const other = noting('other');
    await cluster.work('w', 3, [work, other.work]);
    const epic = await cluster.submit('job', numbered(8));
    await started.until(8);
    await cluster.settled(epic, 7);
    // Another epic comes and goes: the master has had every occasion to finish the first one.
    await cluster.finished(await cluster.submit('other', numbered(20)));
    assert.deepEqual([cluster.status(epic).state, cluster.status(epic).totals.outstanding], ['running', 1]);
    gate.open();
    await cluster.finished(epic);
    const early = cluster.shown.filter(({ state, totals }) => state === 'finished' && totals.outstanding > 0);
    assert.deepEqual(early, []);
    assert.ok(cluster.shown.some(({ id, totals }) => id === epic && totals.outstanding === 1));
  });
}

/** Fails when leases never lapse (`expireLeases` does nothing). */
async function lostUnit(link: MakeLink): Promise<void> {
  await Cluster.run(link, {}, async (cluster) => {
    const gate = new Gate();
    const runs = new Tally<{ i: number; on: string }>('runs');
    const on = (name: string, wait: boolean) =>
      defineWork<Unit>('job').step('run', ({ i }) => {
        runs.add({ i, on: name });
        return wait ? gate.opened : undefined;
      });
    const dying = await cluster.work('dying', 2, [on('dying', true)]);
    const epic = await cluster.submit('job', numbered(5));
    await runs.until(2);
    cluster.cut(dying);
    await cluster.work('living', 2, [on('living', false)]);
    const done = await cluster.finished(epic);
    assert.deepEqual([done.state, done.totals.succeeded], ['finished', 5]);
    const living = runs.all.filter((run) => run.on === 'living').map(({ i }) => i);
    assert.deepEqual(living.sort(), [0, 1, 2, 3, 4]);
    const expired = cluster.records.filter((record) => record.k === 'lease-expired');
    assert.equal(expired[0]?.k === 'lease-expired' && expired[0].session, 'dying');
    // What comes back from the dead changes no settled outcome.
    cluster.heal(dying);
    gate.open();
    await emptied(cluster, dying);
    assert.equal(cluster.status(epic).totals.succeeded, 5);
  });
}

/** Waits until a worker has been told that all it holds is settled. */
async function emptied(cluster: Cluster, worker: ClusterWorker): Promise<void> {
  const told = new Tally<number>(`${worker.id} to hold nothing`);
  cluster.fate = () => {
    told.add(worker.runtime.held);
    return 1;
  };
  await told.until((helds) => helds.at(-1) === 0);
}

/** Fails when the executor ends a unit as `ok` whose step threw. */
async function swallowedFailure(link: MakeLink): Promise<void> {
  await Cluster.run(link, {}, async (cluster) => {
    const fail = (i: number): unknown => {
      if (i % 5 === 0) throw new PermanentError(`no ${i}`, { code: 'no_good' });
      if (i % 5 === 1) return Promise.reject(new Error(`broke at ${i}`));
      if (i % 5 === 2) throw new UnknownOutcomeError(`who knows ${i}`, { code: 'who_knows' });
      return i % 5 === 3 ? skip('not wanted') : undefined;
    };
    const once = { effect: 'at-least-once', retry: { attempts: 1 } } as const;
    const work = defineWork<Unit>('job').step('try', once, ({ i }) => fail(i));
    await cluster.work('w', 3, [work]);
    const done = await cluster.finished(await cluster.submit('job', numbered(50)));
    const { succeeded, failed, unknown, skipped } = done.totals;
    assert.deepEqual([succeeded, failed, unknown, skipped], [10, 20, 10, 10]);
    assert.deepEqual(done.faults, { no_good: 10, retries_exhausted: 10, who_knows: 10 });
    const faults = cluster.records.flatMap((record) =>
      record.k === 'settled' ? [...(record.failed ?? []), ...(record.unknown ?? [])] : [],
    );
    const of = (unit: number) => faults.find((fault) => fault.unit === unit);
    assert.deepEqual(
      [of(5)?.message, of(6)?.message, of(7)?.message, of(7)?.step],
      ['no 5', 'after 1 attempts: broke at 6', 'who knows 7', 'try'],
    );
  });
}

/** Fails when a session's level is added to the one before, not put in its place. */
async function growingDemand(link: MakeLink): Promise<void> {
  await Cluster.run(link, {}, async (cluster) => {
    const gate = new Gate();
    const runs = new Tally<number>('runs');
    const work = defineWork<Unit>('job').step('wait', ({ i }) => {
      runs.add(i);
      return gate.opened;
    });
    const worker = await cluster.work('w', 2, [work]);
    const hints = new Tally<string>('WorkAvailable');
    const stands = new Tally<number>('messages that say where the worker stands');
    cluster.fate = ({ message }) => {
      if ('level' in message) stands.add(message.level);
      if (message.t !== 'available') return 1;
      hints.add(message.t);
      return 100;
    };
    const epic = await cluster.submit('job', numbered(1_000));
    await runs.until(2);
    const before = stands.all.length;
    await hints.until(2);
    await stands.until(before + 6);
    // Two slots and one unit ahead: nothing has ended yet from which the worker could know its speed.
    assert.equal(worker.runtime.heldMax, 3);
    assert.equal(runs.all.length, 2);
    gate.open();
    assert.equal((await cluster.finished(epic)).totals.succeeded, 1_000);
    assertOnceEach(runs, 1_000);
  });
}

/** Fails when the master forgets demand that it cannot serve at once, and heartbeats carry none. */
async function lostHint(link: MakeLink): Promise<void> {
  await Cluster.run(link, {}, async (cluster) => {
    const { runs, work } = noting();
    let answered = 0;
    let lost = 0;
    cluster.fate = ({ message }) => {
      // The first one answers Hello: without it there is no master yet.
      if (message.t !== 'available' || answered++ === 0) return 1;
      lost += 1;
      return 0;
    };
    await cluster.work('w', 2, [work]);
    for (let round = 1; round <= 3; round++) {
      const done = await cluster.finished(await cluster.submit('job', numbered(40)));
      assert.equal(done.totals.succeeded, 40);
      assert.equal(runs.all.length, 40 * round);
    }
    assert.ok(lost > 0, 'no WorkAvailable was sent at all');
  });
}

/** Fails when grants lost on the way are not put back (`dropLost` does nothing). */
async function lostFrames(link: MakeLink): Promise<void> {
  // Time runs fast: what is lost is sent again after seconds.
  await Cluster.run(link, { speed: 20, settings: { leaseMs: 60_000 } }, async (cluster) => {
    const { runs, work } = noting();
    const lost = new Map<string, number>();
    let frames = 0;
    cluster.fate = ({ message }) => {
      frames += 1;
      if (frames % 10 !== 0) return 1;
      lost.set(message.t, (lost.get(message.t) ?? 0) + 1);
      return 0;
    };
    await cluster.work('one', 2, [work]);
    await cluster.work('two', 2, [work]);
    for (let round = 1; round <= 8; round++) {
      const done = await cluster.finished(await cluster.submit('job', numbered(200)));
      assert.deepEqual([done.state, done.totals.succeeded], ['finished', 200]);
    }
    assertEachAtLeastOnce(runs, 200);
    assert.ok(lost.size > 1, `only ${[...lost.keys()].join()} was lost`);
  });
}

function assertEachAtLeastOnce(runs: Tally<number>, count: number): void {
  assert.equal(new Set(runs.all).size, count);
}
