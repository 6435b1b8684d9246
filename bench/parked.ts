/**
 * `parked`: every 21st unit asks for a second attempt in two hours, while all others finish. They wait in the store,
 * so the master's memory, its cursor and its restart must be as if they were not there. Beside it the same units
 * on another master, none of which waits.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type EpicStatus, stdin } from '../client/index.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { assertSucceeded, Cluster } from './cluster.ts';
import { type Left, readLeft } from './left.ts';
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';
import { spreadOf } from './spread.ts';
import { fixed, megabytes, table, whole } from './table.ts';
import { ndjsonUnits } from './units.ts';
import type { ParkingBrief } from './works/parking.ts';

const UNITS = 2_100_000;
const EVERY = 21;
const LOOK_EVERY_MS = 20;
/** A delay up to this is waited for, so that the parked units are seen to end, too. */
const WAITED_FOR_MS = 120_000;
/** The promises. */
const RATIO_MAX = 1.25;
const READY_MS_MAX = 3_000;
/** Stretches of half a megabyte; a cursor that waited for the first parked unit would keep all of them. */
const EXTENTS_MAX = 16;

type Plain = { masterBytes: number; ms: number; complaints: string[] };
type Parked = Plain & {
  parked: number;
  left: Left;
  /** From the start of the new master's process until it took epics and workers. */
  readyMs: number;
  /** From the restart, or from when the last was due if that came later, to the end; where that was waited for. */
  dueMs?: number;
};
type Asked = { units: number; brief: ParkingBrief };

export const parked: Benchmark = async (place, options, say) => {
  const units = options.units ?? UNITS;
  const plain: Plain[] = [];
  const waiting: Parked[] = [];
  for (let i = 0; i < options.runs; i++) {
    const none = await runPlain(place, options, { units, brief: { every: 0, delayMs: 0 } });
    say(`none parked: master ${megabytes(none.masterBytes)}, ${fixed(none.ms / 1_000, 1)} s`);
    const some = await runParked(place, options, {
      units,
      brief: { every: EVERY, delayMs: options.delayMs },
    });
    say(
      `${whole(some.parked)} parked: master ${megabytes(some.masterBytes)}, ${fixed(some.ms / 1_000, 1)} s`,
    );
    plain.push(none);
    waiting.push(some);
  }
  return verdict(units, plain, waiting);
};

async function runPlain(place: Place, options: BenchOptions, { units, brief }: Asked): Promise<Plain> {
  const cluster = await start(place, options);
  const source = stdin('ndjson', ndjsonUnits(units));
  const { totalMs } = await cluster.run({ work: 'parking', source, brief }, units);
  const masterBytes = cluster.master.peakBytes();
  await cluster.stop();
  return { masterBytes, ms: totalMs, complaints: cluster.complaints() };
}

async function runParked(place: Place, options: BenchOptions, { units, brief }: Asked): Promise<Parked> {
  const cluster = await start(place, options);
  const count = Math.ceil(units / EVERY);
  const fromMs = performance.now();
  const source = stdin('ndjson', ndjsonUnits(units));
  const epic = await cluster.whileUp(cluster.client.submit({ work: 'parking', source, brief }));
  const reach = async (holds: (status: EpicStatus) => boolean): Promise<EpicStatus> => {
    for (;;) {
      const status = await cluster.whileUp(epic.status());
      if (status.state !== 'running' || holds(status)) return status;
      await pause(LOOK_EVERY_MS);
    }
  };
  const onlyParked = ({ totals, delayed }: EpicStatus): boolean =>
    totals.read === units && totals.succeeded >= units - count && delayed === totals.outstanding;
  assertParked(await reach(onlyParked), count);
  const parkedAtMs = performance.now();
  const masterBytes = cluster.master.peakBytes();
  const complaints = cluster.complaints();
  await cluster.killMaster();
  const left = await readLeft(cluster.dataDir, place.newFolder());
  const readyMs = await cluster.startMaster();
  const run: Parked = { masterBytes, ms: parkedAtMs - fromMs, complaints, parked: count, left, readyMs };
  const againMs = performance.now();
  const again = await epic.status();
  if (brief.delayMs > WAITED_FOR_MS) assertParked(again, count);
  else {
    assertSucceeded(await reach(() => false), units);
    run.dueMs = performance.now() - Math.max(againMs, parkedAtMs + brief.delayMs);
  }
  await cluster.stop();
  return run;
}

function start(place: Place, { workers, slots, link }: BenchOptions): Promise<Cluster> {
  return Cluster.start(place, {
    workers,
    slots,
    link,
    works: place.built(join('bench', 'works', 'parking.js')),
  });
}

/** Throws unless as many units wait and nothing else is to be done. */
function assertParked(status: EpicStatus, count: number): void {
  const { totals, delayed, state } = status;
  if (state === 'running' && delayed === count && totals.outstanding === count) return;
  throw new Error(`not just ${count} units wait: ${JSON.stringify(status)}`);
}

function verdict(units: number, plain: readonly Plain[], waiting: readonly Parked[]): Verdict {
  const spread = (runs: readonly Plain[]) => spreadOf(runs.map(({ masterBytes }) => masterBytes));
  const ratio = spread(waiting).median / spread(plain).median;
  const ready = spreadOf(waiting.map(({ readyMs }) => readyMs));
  const broken = [...plain, ...waiting].flatMap(({ complaints }) =>
    complaints.map((line) => `a process complained: ${line}`),
  );
  if (ratio > RATIO_MAX)
    broken.push(`the master's peak is ${fixed(ratio)}x with parked units, over ${RATIO_MAX}x`);
  if (ready.median > READY_MS_MAX)
    broken.push(`a restart took ${whole(ready.median)} ms until it was ready, over ${READY_MS_MAX}`);
  for (const { left } of waiting) {
    if (left.extents > EXTENTS_MAX)
      broken.push(`${left.extents} extents are kept, over ${EXTENTS_MAX}: the cursor waits for parked units`);
  }
  const rows = [['0', plain] as const, [whole((waiting[0] as Parked).parked), waiting] as const].map(
    ([name, runs]) => {
      const { median, min, max } = spread(runs);
      const seconds = spreadOf(runs.map(({ ms }) => ms)).median / 1_000;
      return [name, megabytes(median), megabytes(min), megabytes(max), fixed(seconds, 1)];
    },
  );
  const lines = [
    `${whole(units)} units`,
    ...table(['parked', 'master peak', 'min', 'max', 'seconds'], rows),
    `ratio ${fixed(ratio)}x`,
    '',
    ...table(
      [
        'left by kill -9',
        'extents',
        'records',
        'checkpoint',
        'files',
        'ready ms',
        'all granted after due, s',
      ],
      waiting.map(({ left, readyMs, dueMs }, i) => [
        `run ${i + 1}`,
        whole(left.extents),
        whole(left.records),
        megabytes(left.checkpointBytes),
        megabytes(left.fileBytes),
        whole(readyMs),
        dueMs === undefined ? 'not waited for' : fixed(dueMs / 1_000, 1),
      ]),
    ),
  ];
  return { lines, results: { units, plain, waiting, ratio }, broken };
}
