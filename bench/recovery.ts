/**
 * `recovery`: the master of a large epic is killed by `kill -9` when 90 % of it has settled, and another goes on with
 * what it left. The peak of the second is compared with that of the first, which ran the epic from its submission on.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { range, stdin } from '../client/index.ts';
import type { Benchmark } from './benchmark.ts';
import { assertSucceeded, Cluster } from './cluster.ts';
import { readLeft } from './left.ts';
import { fixed, megabytes, table, whole } from './table.ts';
import { ndjsonUnits } from './units.ts';

const UNITS = 10_000_000;
const KILLED_AT = 0.9;
const LOOK_EVERY_MS = 20;
/** The promise. */
const RATIO_MAX = 1.5;

export const recovery: Benchmark = async (place, options, say) => {
  const units = options.units ?? UNITS;
  const { workers, slots, link } = options;
  const works = place.built('bench/works/noop.js');
  const cluster = await Cluster.start(place, { workers, slots, link, works });
  const source = options.source === 'range' ? range(0, units) : stdin('ndjson', ndjsonUnits(units));
  const epic = await cluster.whileUp(cluster.client.submit({ work: 'noop', source }));
  for (;;) {
    const { totals } = await cluster.whileUp(epic.status());
    if (totals.succeeded >= units * KILLED_AT) break;
    await cluster.whileUp(pause(LOOK_EVERY_MS));
  }
  const freshBytes = cluster.master.peakBytes();
  const complaints = cluster.complaints();
  await cluster.killMaster();
  say(`killed at ${fixed(KILLED_AT * 100, 0)} % with a peak of ${megabytes(freshBytes)}`);
  const left = await readLeft(cluster.dataDir, place.newFolder());
  const readyMs = await cluster.startMaster();
  const readyBytes = cluster.master.peakBytes();
  const { totals } = await cluster.whileUp(epic.status());
  assertSucceeded(await cluster.whileUp(epic.wait()), units);
  const againBytes = cluster.master.peakBytes();
  await cluster.stop();

  const ratio = againBytes / freshBytes;
  const broken = complaints.map((line) => `a process complained: ${line}`);
  if (totals.outstanding === 0) broken.push('all had settled before the kill: give it more units');
  if (ratio > RATIO_MAX) {
    broken.push(`the peak after the recovery is ${fixed(ratio)}x that before, over ${RATIO_MAX}x`);
  }
  const lines = [
    ...table(
      ['master', 'peak'],
      [
        ['fresh, up to the kill', megabytes(freshBytes)],
        ['restarted, when ready', megabytes(readyBytes)],
        ['restarted, at the end', megabytes(againBytes)],
      ],
    ),
    `ratio ${fixed(ratio)}x`,
    `ready after ${whole(readyMs)} ms, on ${whole(left.records)} records, ${megabytes(left.fileBytes)} of files`,
    `killed with ${whole(units - totals.succeeded)} of ${whole(units)} units to settle; every unit succeeded`,
    `store ${cluster.parts.store}, link ${cluster.parts.link}`,
  ];
  const results = { units, freshBytes, readyBytes, againBytes, ratio, readyMs, left, atKill: totals };
  return { lines, results, broken };
};
