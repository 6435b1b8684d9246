/**
 * `scale`: one newsletter during which workers join and leave, 1 → 8 → 2. The mail server answers late and each
 * worker has few slots, so that what limits is the waiting, not this machine: then the rate has to follow the
 * number of workers. All leave by SIGTERM.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { readBrief } from '../cli/brief.ts';
import { type Epic, stdin } from '../client/index.ts';
import { generateRecipients, samplePaths } from '../works/newsletter/main.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import { assertSucceeded, Cluster } from './cluster.ts';
import { type StubCounts, startStub, stopStub } from './stub.ts';
import { fixed, table, whole } from './table.ts';

const RECIPIENTS = 6_600;
const PEAK = 8;
const AFTERWARDS = 2;
const SLOTS = 4;
const LOOK_EVERY_MS = 20;
/** The promise, as ratios to one worker. */
const PEAK_MIN = 5;
const AFTERWARDS_RANGE = [1.4, 2.6] as const;

type Phase = {
  workers: number;
  /** Until this number of workers was there: joined and connected, or gone. */
  changeMs: number;
  /** From then on. */
  mails: number;
  ms: number;
};

export const scale: Benchmark = async (place, options, say) => {
  const units = options.units ?? RECIPIENTS;
  const peak = options.workers ?? PEAK;
  const slots = options.slots ?? SLOTS;
  const stub = await startStub(place, options.latencyMs);
  const cluster = await Cluster.start(place, {
    workers: 1,
    slots,
    link: options.link ?? 'nats',
    works: 'newsletter',
    workerArgs: ['--smtp', stub.url],
  });
  const brief = await readBrief(samplePaths().brief);
  const source = stdin('csv', generateRecipients(units));
  const sending = async (): Promise<Phase[]> => {
    const epic = await cluster.whileUp(cluster.client.submit({ work: 'newsletter', source, brief }));
    const phases: Phase[] = [];
    for (const { workers, until } of plan(units, peak)) {
      const phase = await runPhase(cluster, epic, workers, until);
      phases.push(phase);
      say(`workers ${workers}: ${fixed(rateOf(phase), 1)} mails/s`);
    }
    assertSucceeded(await cluster.whileUp(epic.wait()), units);
    return phases;
  };
  const phases = await Promise.race([sending(), stub.child.failed]);
  await cluster.scaleTo(0);
  await cluster.stop();
  const counts = await stopStub(stub, units);
  return verdict(phases, {
    ...cluster.parts,
    counts,
    left: cluster.left,
    slots,
    complaints: cluster.complaints(),
  });
};

/** As many mails for each worker of each phase: phases of one length where the rate follows the workers. */
function plan(units: number, peak: number): { workers: number; until: number }[] {
  const share = units / (1 + peak + AFTERWARDS);
  return [
    { workers: 1, until: Math.round(share) },
    { workers: peak, until: Math.round(share * (1 + peak)) },
    { workers: AFTERWARDS, until: units },
  ];
}

async function runPhase(cluster: Cluster, epic: Epic, workers: number, until: number): Promise<Phase> {
  const changeAt = performance.now();
  await cluster.scaleTo(workers);
  const from = await look(epic);
  let to = from;
  while (to.settled < until) {
    await cluster.whileUp(pause(LOOK_EVERY_MS));
    to = await look(epic);
  }
  return { workers, changeMs: from.at - changeAt, mails: to.settled - from.settled, ms: to.at - from.at };
}

async function look(epic: Epic): Promise<{ settled: number; at: number }> {
  const { totals } = await epic.status();
  return { settled: totals.read - totals.outstanding, at: performance.now() };
}

type Context = {
  store: string;
  link: string;
  counts: StubCounts;
  left: number;
  slots: number;
  complaints: string[];
};

function verdict(phases: readonly Phase[], context: Context): Verdict {
  const [one, peak, afterwards] = phases as readonly [Phase, Phase, Phase];
  const ratio = (phase: Phase): number => rateOf(phase) / rateOf(one);
  const broken = context.complaints.map((line) => `a process complained: ${line}`);
  const told = (phase: Phase): string => `workers ${phase.workers}: ${fixed(ratio(phase))}x the rate of one`;
  if (!(ratio(peak) >= PEAK_MIN)) broken.push(`${told(peak)}, not ${PEAK_MIN}x`);
  const [least, most] = AFTERWARDS_RANGE;
  if (!(ratio(afterwards) >= least && ratio(afterwards) <= most)) {
    broken.push(`${told(afterwards)}, not ${least}x to ${most}x`);
  }
  const rows = phases.map((phase) => [
    String(phase.workers),
    fixed(phase.changeMs / 1_000, 1),
    fixed(phase.ms / 1_000, 1),
    whole(phase.mails),
    fixed(rateOf(phase), 1),
    fixed(rateOf(phase) / phase.workers, 1),
    `${fixed(ratio(phase))}x`,
  ]);
  const { store, link, counts, left, slots } = context;
  const head = ['workers', 'change s', 'seconds', 'mails', 'mails/s', 'per worker', 'to one worker'];
  const lines = [
    ...table(head, rows),
    `${whole(counts.distinct)} mails accepted, ${counts.duplicates} duplicates`,
    `${left} workers left by SIGTERM with exit code 0`,
    `store ${store}, link ${link}, ${slots} slots each`,
  ];
  const ratios = { peak: ratio(peak), afterwards: ratio(afterwards) };
  return { lines, results: { phases, ratios, counts, left, store, link }, broken };
}

function rateOf({ mails, ms }: Phase): number {
  return (mails * 1_000) / Math.max(1, ms);
}
