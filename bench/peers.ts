/**
 * `peers` (`npm run bench:peers`): our dispatch and our newsletter beside what people would pick instead. All take
 * turns in one run, each time on fresh processes and empty servers, and each peer by the fastest of its tunings.
 *
 * P1: a peer that cannot be run is named and left out, and no promise over it counts as kept;
 *     promises over what --only leaves out are not looked at.
 */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { GimmeError } from '../shared/core/errors.ts';
import type { Benchmark } from './benchmark.ts';
import { runDispatch } from './dispatch.ts';
import { waitings } from './firstWork.ts';
import { MAIL_PEER, MAIL_TUNINGS, mailing, sendOurs, sendTheirs } from './mailing.ts';
import type { BenchOptions } from './options.ts';
import { installPeers, runPeer } from './peer.ts';
import { PEERS, type Peer, type Tuning } from './peerList.ts';
import { intoDocs, type Measured, OURS, plotOf, report, type System, type Waiter } from './peersReport.ts';
import type { Place } from './place.ts';
import { brokenBy, type Claim, resultOf } from './ratios.ts';
import { fixed, whole } from './table.ts';

const CLAIMS: readonly Claim[] = [
  { kind: 'rate', ours: OURS.nats, theirs: ['bullmq'], times: 15 },
  {
    kind: 'rate',
    ours: OURS.nats,
    theirs: ['bee-queue', 'graphile-worker', 'pg-boss', 'rabbitmq quorum'],
    times: 6,
  },
  { kind: 'rate', ours: OURS.nats, theirs: ['jetstream expert'], times: 4 },
  { kind: 'rate', ours: OURS.newsletter, theirs: [MAIL_PEER.name], times: 2.5 },
  { kind: 'wait', ours: OURS.nats, theirs: ['graphile-worker'], times: 1 },
  { kind: 'wait', ours: OURS.nats, theirs: ['bullmq'], times: 2 },
];

const UNITS = 1_000_000;
/** A trial of a tuning has this share of the units of a run. */
const TRIAL_SHARE = 0.25;
const NEWSLETTER = 'newsletter';
const WAITS = 'waits';
/** Units of one run, one after the other. */
const WAIT_UNITS = 100;

type Say = (line: string) => void;
type Chosen = { peers: Peer[]; newsletter: boolean; waits: boolean };
/** Somebody who takes turns: one of ours, or a peer with its tunings. */
type Contestant = Pick<System, 'name' | 'kind' | 'isOurs'> & {
  units: number;
  tunings: readonly Tuning[];
  run: (units: number, tuning: Tuning) => Promise<Measured>;
};

export const peers: Benchmark = async (place, options, say) => {
  const chosen = chosenPeers(options.only);
  const wanted = await contestants(place, options, chosen);
  const before = loadavg();
  installPeers();
  const systems: (System & Contestant)[] = [];
  for (const contestant of wanted) {
    const system = await entered(contestant, say);
    if (system) systems.push(system);
  }
  for (let round = 1; round <= options.runs; round++) {
    for (const system of [...systems]) {
      const { name, units, run, tuning, isOurs } = system;
      const measured = await orLeftOut(name, isOurs, say, () => run(units, tuning));
      if (measured === undefined) systems.splice(systems.indexOf(system), 1);
      else {
        system.runs.push(measured);
        say(`${name} ${round}/${options.runs}: ${whole(rateOf(measured))} units/s`);
      }
    }
  }
  const waiters = chosen.waits ? await waited(place, options, say) : [];
  const rates = new Map(systems.map(({ name, runs }) => [name, runs.map(rateOf)]));
  const waits = new Map(waiters.map(({ name, runs }) => [name, runs.map(({ median }) => median)]));
  const results = claimsOver(chosen).map((claim) => resultOf(claim.kind === 'rate' ? rates : waits, claim));
  const load = { before, after: loadavg() };
  const outcome = { systems, rates, waiters, waits, results, load };
  const lines = report(outcome);
  const svg = plotOf(outcome);
  writeFileSync(join(options.out, 'peers.svg'), svg);
  if (options.docs) intoDocs(lines, svg);
  return { lines, results: { load, systems, waiters, results }, broken: brokenBy(results) };
};

/** The promises over what was asked for. */
export function claimsOver({ peers: chosen, newsletter, waits }: Chosen): Claim[] {
  const names = new Set(chosen.map(({ name }) => name));
  if (newsletter) names.add(MAIL_PEER.name);
  return CLAIMS.filter(({ kind, theirs }) => (kind === 'wait' ? waits : theirs.every((it) => names.has(it))));
}

async function waited(place: Place, options: BenchOptions, say: Say): Promise<Waiter[]> {
  const waiters = waitings(place).map((waiting) => ({ ...waiting, runs: [] as Waiter['runs'] }));
  for (let round = 1; round <= options.runs; round++) {
    for (const waiter of [...waiters]) {
      const { name, isOurs, run } = waiter;
      const spread = await orLeftOut(name, isOurs, say, () =>
        run(Math.min(WAIT_UNITS, options.peerUnits ?? WAIT_UNITS)),
      );
      if (spread === undefined) waiters.splice(waiters.indexOf(waiter), 1);
      else {
        waiter.runs.push(spread);
        say(`${name} ${round}/${options.runs}: ${fixed(spread.median)} ms from submit to work`);
      }
    }
  }
  return waiters;
}

/** P1: what a run gives; nothing where a peer cannot be run. A fault of ours is thrown. */
async function orLeftOut<T>(
  name: string,
  isOurs: boolean,
  say: Say,
  run: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (isOurs) throw error;
    say(`${name} is left out: ${(error as Error).message}`);
    return undefined;
  }
}

/** Which peers are asked for, all without `only`; throws `usage` for a name that there is not. */
export function chosenPeers(only: readonly string[] | undefined): Chosen {
  const known = [...PEERS.map(({ name }) => name), NEWSLETTER, WAITS];
  const unknown = only?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new GimmeError('usage', `--only: there is no peer ${unknown}, only ${known.join(', ')}`);
  }
  const isChosen = (name: string): boolean => only?.includes(name) ?? true;
  return {
    peers: PEERS.filter(({ name }) => isChosen(name)),
    newsletter: isChosen(NEWSLETTER),
    waits: isChosen(WAITS),
  };
}

async function contestants(
  place: Place,
  options: BenchOptions,
  { peers: chosen, newsletter }: Chosen,
): Promise<Contestant[]> {
  const { peerUnits, workers, slots } = options;
  const found: Contestant[] = [];
  for (const link of chosen.length > 0 ? (['nats', 'ws'] as const) : []) {
    const run = (units: number): Promise<Measured> => runDispatch(place, { workers, slots, link }, units);
    const units = options.units ?? UNITS;
    found.push({ name: OURS[link], kind: 'dispatch', isOurs: true, units, tunings: [{}], run });
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
  const units = Math.min(MAIL_PEER.units, options.peerUnits ?? MAIL_PEER.units);
  const all = await mailing(place, units);
  const trial = await mailing(place, trialOf(units));
  const of = (mails: number) => (mails === units ? all : trial);
  const { slots } = options;
  const ours = (mails: number, tuning: Tuning): Promise<Measured> =>
    sendOurs(place, options, of(mails), tuning);
  const theirs = (mails: number, tuning: Tuning): Promise<Measured> =>
    sendTheirs(place, options, of(mails), tuning);
  const { name, tunings } = MAIL_PEER;
  const mine = slots === undefined ? MAIL_TUNINGS : [{ slots }];
  return [
    { name: OURS.newsletter, kind: 'newsletter', isOurs: true, units, tunings: mine, run: ours },
    { name, kind: 'newsletter', isOurs: false, units, tunings, run: theirs },
  ];
}

/** Tries its tunings and keeps the fastest; nothing where it cannot be run (P1). */
async function entered(contestant: Contestant, say: Say): Promise<(System & Contestant) | undefined> {
  const { name, tunings, units, isOurs } = contestant;
  const trials: System['trials'] = [];
  for (const tuning of tunings.length > 1 ? tunings : []) {
    const trial = await orLeftOut(name, isOurs, say, () => contestant.run(trialOf(units), tuning));
    if (trial === undefined) return undefined;
    const unitsPerS = rateOf(trial);
    trials.push({ tuning, unitsPerS });
    say(`${name} with ${JSON.stringify(tuning)}: ${whole(unitsPerS)} units/s`);
  }
  trials.sort((a, b) => b.unitsPerS - a.unitsPerS);
  return { ...contestant, tuning: trials[0]?.tuning ?? tunings[0] ?? {}, trials, runs: [] };
}

function trialOf(units: number): number {
  return Math.max(1, Math.round(units * TRIAL_SHARE));
}

function rateOf({ units, totalMs }: Measured): number {
  return (units * 1_000) / Math.max(1, totalMs);
}
