/**
 * `sessions`: what a unit costs the master when very many workers pull. The same units with 200 sessions in 8
 * processes and with 2 sessions in 2, in turns, each on fresh processes; and whether everything that a crowd could
 * fill stays within its limit: the master's queues, the workers' mailboxes, the rounds of WorkAvailable.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stdin } from '../client/index.ts';
import { GimmeError } from '../shared/core/errors.ts';
import { HELD_UNITS_MAX, WORK_AVAILABLE_MIN_GAP_MS } from '../shared/core/limits.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { Cluster, type Depth, type EpicRun, profilePath } from './cluster.ts';
import { overfull } from './memory.ts';
import type { BenchOptions } from './options.ts';
import type { Place } from './place.ts';
import { profileLines } from './profile.ts';
import { type Spread, spreadOf } from './spread.ts';
import { fixed, type Row, table, whole } from './table.ts';
import { ndjsonUnits } from './units.ts';

const UNITS = 2_000_000;
const PROCESSES = 8;
/** Beside the crowd: so many sessions, each a process. */
const FEW = 2;
/** The promise: a unit costs the master at most so many times what it costs with few sessions. */
const RATIO_MAX = 1.25;

const QUIET_LOOKS = 50;
const QUIET_EVERY_MS = 100;

export type Crowd = { sessions: number; processes: number };

type SessionsRun = EpicRun &
  Crowd & {
    queues: Record<string, Depth>;
    /** Rounds of WorkAvailable, and how many the gap between two allows in this time. */
    rounds: number;
    roundsMax: number;
    /** Messages by which units were granted. */
    grants: number;
    /** Most units that any session ever held. */
    heldMax: number;
    complaints: string[];
  };

export const sessions: Benchmark = async (place, options, say) => {
  const processes = options.workers ?? PROCESSES;
  if (options.sessions % processes !== 0) {
    const message = `${options.sessions} sessions do not spread evenly over ${processes} processes`;
    throw new GimmeError('usage', `${message}; correct --sessions or --workers`);
  }
  const few: Crowd = { sessions: FEW, processes: FEW };
  const many: Crowd = { sessions: options.sessions, processes };
  if (options.profile) return profiled(place, options, [few, many]);
  const runs: { few: SessionsRun[]; many: SessionsRun[] } = { few: [], many: [] };
  for (let i = 0; i < options.runs; i++) {
    for (const [list, crowd] of [[runs.few, few] as const, [runs.many, many] as const]) {
      const run = await runSessions(place, options, crowd);
      list.push(run);
      say(`${crowd.sessions} sessions: ${fixed(masterCost(run))} µs/unit of the master`);
    }
  }
  return verdict(runs.few, runs.many);
};

/** One epic that so many sessions pull, on fresh processes. */
export async function runSessions(
  place: Place,
  options: BenchOptions,
  { sessions, processes }: Crowd,
  profiles?: string,
): Promise<SessionsRun> {
  const units = options.units ?? UNITS;
  const cluster = await Cluster.start(place, {
    workers: processes,
    sessionsEach: sessions / processes,
    slots: options.slots,
    link: options.link ?? 'nats',
    works: 'noop',
    ...(profiles !== undefined && { profiles }),
  });
  const before = await cluster.metric('gimmework_work_available_total');
  const run = await cluster.run({ work: 'noop', source: stdin('ndjson', ndjsonUnits(units)) }, units);
  const rounds = (await cluster.metric('gimmework_work_available_total')) - before;
  const grants = await cluster.metric('gimmework_grant_wait_seconds_count');
  const queues = await cluster.whileUp(quiet(cluster));
  await cluster.stop();
  const held = await Promise.all(cluster.workers.map((worker) => worker.line()));
  const heldMax = held.flatMap((line) => (JSON.parse(line) as { heldMax: number[] }).heldMax);
  return {
    ...run,
    sessions,
    processes,
    queues,
    rounds,
    grants,
    roundsMax: Math.ceil(run.totalMs / WORK_AVAILABLE_MIN_GAP_MS) + 1,
    heldMax: Math.max(...heldMax),
    complaints: cluster.complaints(),
  };
}

/** The queues once they are empty, or after a while as they are: workers say where they stand to the last. */
async function quiet(cluster: Cluster): Promise<Record<string, Depth>> {
  let queues = await cluster.queues();
  for (let i = 0; i < QUIET_LOOKS && Object.values(queues).some(({ depth }) => depth > 0); i++) {
    await pause(QUIET_EVERY_MS);
    queues = await cluster.queues();
  }
  return queues;
}

async function profiled(place: Place, options: BenchOptions, crowds: readonly Crowd[]): Promise<Verdict> {
  const lines: string[] = [];
  const results: SessionsRun[] = [];
  for (const crowd of crowds) {
    const profiles = join(options.out, `sessions-${crowd.sessions}`);
    const run = await runSessions(place, options, crowd, profiles);
    results.push(run);
    for (const name of ['master', 'worker'] as const) {
      const title = `${crowd.sessions} sessions, ${name}`;
      const file = profilePath(profiles, name);
      lines.push(...profileLines(file, title, run.window, run.units, place.built('')), '');
    }
  }
  return { lines, results, broken: [] };
}

function verdict(few: readonly SessionsRun[], many: readonly SessionsRun[]): Verdict {
  const all = [...few, ...many];
  const both = [few, many];
  // Neighbours are compared: what else the machine does changes from one pair to the next.
  const ratios = (cost: (run: SessionsRun) => number): Spread =>
    spreadOf(many.map((run, i) => cost(run) / cost(few[i] as SessionsRun)));
  const overall = ratios(masterCost);
  const settling = ratios(settlingCost);
  const broken = all.flatMap((run) => [
    ...run.complaints.map((line) => `a process complained: ${line}`),
    ...overfull(run),
    ...overdone(run),
  ]);
  if (overall.median > RATIO_MAX) {
    broken.push(`a unit cost the master ${fixed(overall.median)}x of few sessions, over ${RATIO_MAX}x`);
  }
  const costs = [
    ...both.map((runs) => costRow(runs, 'the run', masterCost)),
    ...both.map((runs) => costRow(runs, 'after the upload', settlingCost)),
  ];
  const one = many[0] as SessionsRun;
  const lines = [
    ...table(['master CPU µs/unit', 'median', 'min', 'max'], costs),
    ratioLine('the run', overall),
    ratioLine('after the upload', settling),
    `store ${one.store}, link ${one.link}`,
    '',
    ...crowdTable(both),
    '',
    ...queueTable(few, many),
  ];
  const ratio = { run: overall, settling };
  return { lines, results: { few, many, ratio }, broken };
}

function costRow(runs: readonly SessionsRun[], what: string, cost: (run: SessionsRun) => number): Row {
  const { median, min, max } = spreadOf(runs.map(cost));
  return [`${runs[0]?.sessions} sessions, ${what}`, fixed(median), fixed(min), fixed(max)];
}

function ratioLine(what: string, { median, min, max }: Spread): string {
  return `ratio of ${what} ${fixed(median)}x (${fixed(min)} to ${fixed(max)})`;
}

function crowdTable(both: readonly (readonly SessionsRun[])[]): string[] {
  const rows = both.map((runs) => {
    const most = (value: (run: SessionsRun) => number): string => whole(Math.max(...runs.map(value)));
    const rate = spreadOf(runs.map((run) => (run.units * 1_000) / run.totalMs)).median;
    return [
      String(runs[0]?.sessions),
      String(runs[0]?.processes),
      whole(rate),
      whole(spreadOf(runs.map((run) => run.units / run.grants)).median),
      `${most((run) => run.rounds)} of ${most((run) => run.roundsMax)}`,
      `${most((run) => run.heldMax)} of ${whole(HELD_UNITS_MAX)}`,
    ];
  });
  return table(
    ['sessions', 'processes', 'units/s', 'units/grant', 'rounds of WorkAvailable', 'fullest mailbox'],
    rows,
  );
}

function queueTable(few: readonly SessionsRun[], many: readonly SessionsRun[]): string[] {
  const deepest = (runs: readonly SessionsRun[], name: string): string =>
    whole(Math.max(...runs.map((run) => run.queues[name]?.max ?? 0)));
  const rows = Object.entries(many[0]?.queues ?? {}).map(([name, { limit }]) => [
    name,
    deepest(few, name),
    deepest(many, name),
    whole(limit),
  ]);
  const [a, b] = [few, many].map((runs) => `${runs[0]?.sessions} sessions`);
  return table(['deepest', a as string, b as string, 'limit'], rows);
}

/** What a crowd did more of than it may. */
function overdone({ sessions, rounds, roundsMax, heldMax }: SessionsRun): string[] {
  const by = `with ${sessions} sessions`;
  return [
    ...(rounds > roundsMax ? [`${by} WorkAvailable went out ${rounds} times, over ${roundsMax}`] : []),
    ...(heldMax > HELD_UNITS_MAX ? [`${by} one held ${heldMax} units, over ${HELD_UNITS_MAX}`] : []),
  ];
}

function masterCost({ cpuMs, units }: SessionsRun): number {
  return ((cpuMs['master'] ?? 0) * 1_000) / units;
}

function settlingCost({ settlingCpuMs, units }: SessionsRun): number {
  return ((settlingCpuMs['master'] ?? 0) * 1_000) / units;
}
