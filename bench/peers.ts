/**
 * `peers` (`npm run bench:peers`): our dispatch and our newsletter beside what people would pick instead. All take
 * turns in one run, each time on fresh processes and empty servers, and each peer by the fastest of its tunings.
 *
 * P1: a peer that cannot be run is named and left out, and no promise over it counts as kept.
 */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { GimmeError } from '../shared/core/errors.ts';
import type { Benchmark } from './benchmark.ts';
import { runDispatch } from './dispatch.ts';
import { MAIL_PEER, mailing, sendOurs, sendTheirs } from './mailing.ts';
import type { BenchOptions } from './options.ts';
import { installPeers, PEERS, type Peer, runPeer, type Tuning } from './peer.ts';
import { intoDocs, type Measured, NAMES, plotOf, report, type System } from './peersReport.ts';
import type { Place } from './place.ts';
import { brokenBy, type Claim, resultOf } from './ratios.ts';
import { whole } from './table.ts';

const CLAIMS: readonly Claim[] = [
  { ours: NAMES.nats, theirs: ['bullmq'], min: 15 },
  { ours: NAMES.nats, theirs: ['bee-queue', 'graphile-worker', 'pg-boss', 'rabbitmq quorum'], min: 6 },
  { ours: NAMES.nats, theirs: ['jetstream expert'], min: 4 },
  { ours: NAMES.newsletter, theirs: [MAIL_PEER.name], min: 2.5 },
];

const UNITS = 1_000_000;
/** A trial of a tuning has this share of the units of a run. */
const TRIAL_SHARE = 0.5;
const NEWSLETTER = 'newsletter';

type Say = (line: string) => void;
/** Somebody who takes turns: one of ours, or a peer with its tunings. */
type Contestant = Pick<System, 'name' | 'kind' | 'isOurs'> & {
  units: number;
  tunings: readonly Tuning[];
  run: (units: number, tuning: Tuning) => Promise<Measured>;
};

export const peers: Benchmark = async (place, options, say) => {
  const wanted = await contestants(place, options);
  const loadBefore = loadavg();
  installPeers();
  const systems: (System & Contestant)[] = [];
  for (const contestant of wanted) {
    const system = await entered(contestant, say);
    if (system) systems.push(system);
  }
  for (let round = 1; round <= options.runs; round++) {
    for (const system of systems) {
      const { name, units, run, tuning } = system;
      const measured = await run(units, tuning);
      system.runs.push(measured);
      say(`${name} ${round}/${options.runs}: ${whole(rateOf(measured))} units/s`);
    }
  }
  const rates = new Map(systems.map(({ name, runs }) => [name, runs.map(rateOf)]));
  const results = CLAIMS.map((claim) => resultOf(rates, claim));
  const load = { before: loadBefore, after: loadavg() };
  const lines = report(systems, rates, results, load);
  const svg = plotOf(systems, rates);
  writeFileSync(join(options.out, 'peers.svg'), svg);
  if (options.docs) intoDocs(lines, svg);
  return { lines, results: { load, systems, results }, broken: brokenBy(results) };
};

/** Which peers are asked for, all without `only`; throws `usage` for a name that there is not. */
export function chosenPeers(only: readonly string[] | undefined): { peers: Peer[]; newsletter: boolean } {
  const known = [...PEERS.map(({ name }) => name), NEWSLETTER];
  const unknown = only?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new GimmeError('usage', `--only: there is no peer ${unknown}, only ${known.join(', ')}`);
  }
  const isChosen = (name: string): boolean => only?.includes(name) ?? true;
  return { peers: PEERS.filter(({ name }) => isChosen(name)), newsletter: isChosen(NEWSLETTER) };
}

async function contestants(place: Place, options: BenchOptions): Promise<Contestant[]> {
  const { only, peerUnits, workers, slots } = options;
  const { peers: chosen, newsletter } = chosenPeers(only);
  const found: Contestant[] = [];
  for (const link of chosen.length > 0 ? (['nats', 'ws'] as const) : []) {
    const run = (units: number): Promise<Measured> => runDispatch(place, { workers, slots, link }, units);
    const units = options.units ?? UNITS;
    found.push({ name: NAMES[link], kind: 'dispatch', isOurs: true, units, tunings: [{}], run });
  }
  for (const peer of chosen) {
    const run = (units: number, tuning: Tuning): Promise<Measured> =>
      runPeer(place, peer, { units, consumers: workers ?? 2, tuning });
    const { name, tunings, units } = peer;
    found.push({ name, kind: 'dispatch', isOurs: false, units: peerUnits ?? units, tunings, run });
  }
  if (newsletter) found.push(...(await mailers(place, options)));
  return found;
}

async function mailers(place: Place, options: BenchOptions): Promise<Contestant[]> {
  const units = options.peerUnits ?? MAIL_PEER.units;
  const all = await mailing(place, units);
  const trial = await mailing(place, trialOf(units));
  const of = (mails: number) => (mails === units ? all : trial);
  const ours = (mails: number): Promise<Measured> => sendOurs(place, options, of(mails));
  const theirs = (mails: number, tuning: Tuning): Promise<Measured> =>
    sendTheirs(place, options, of(mails), tuning);
  const { name, tunings } = MAIL_PEER;
  return [
    { name: NAMES.newsletter, kind: 'newsletter', isOurs: true, units, tunings: [{}], run: ours },
    { name, kind: 'newsletter', isOurs: false, units, tunings, run: theirs },
  ];
}

/** Tries its tunings and keeps the fastest; nothing where it cannot be run (P1). */
async function entered(contestant: Contestant, say: Say): Promise<(System & Contestant) | undefined> {
  const { name, tunings, units, isOurs } = contestant;
  const trials: System['trials'] = [];
  try {
    for (const tuning of isOurs ? [] : tunings) {
      const unitsPerS = rateOf(await contestant.run(trialOf(units), tuning));
      trials.push({ tuning, unitsPerS });
      say(`${name} with ${JSON.stringify(tuning)}: ${whole(unitsPerS)} units/s`);
    }
  } catch (error) {
    say(`${name} is left out: ${(error as Error).message}`);
    return undefined;
  }
  trials.sort((a, b) => b.unitsPerS - a.unitsPerS);
  return { ...contestant, tuning: trials[0]?.tuning ?? {}, trials, runs: [] };
}

function trialOf(units: number): number {
  return Math.max(1, Math.round(units * TRIAL_SHARE));
}

function rateOf({ units, totalMs }: Measured): number {
  return (units * 1_000) / Math.max(1, totalMs);
}
