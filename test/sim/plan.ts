/**
 * The plan of one simulation, drawn from its seed before anything happens: who is there, what is submitted,
 * and what goes wrong and when. What the dice decide on the way (delays, outcomes) is not in it.
 *
 * Profiles. `storm`: everything may go wrong. `master crashes`: only the master crashes, on a calm network, and
 * then not even an at-least-once effect may happen twice (G3). `calm`: nothing goes wrong.
 */
import type { RetryOf } from '../../master/core/records.ts';
import type { CoreSettings } from '../../master/core/state.ts';
import type { Dice } from './dice.ts';
import { PLANNED_FAULTS, type PlannedKind } from './faults.ts';
import { drawGather, type PlannedGather } from './gatherPlan.ts';
import { CALM, type Weather } from './link.ts';
import { drawSource, type Source } from './sources.ts';
import type { Luck } from './workerNode.ts';
import { gatherOf, SIM_WORKS, type SimWork } from './works.ts';

export type Profile = 'storm' | 'master crashes' | 'calm';

export type PlannedEpic = {
  id: string;
  work: SimWork;
  /** Undefined of a gather: nobody knows it before its scatter. */
  source: Source | undefined;
  gather: PlannedGather | undefined;
  atMs: number;
  /** From its submit to its end at the latest; a gather has its own. */
  deadlineMs: number | undefined;
  /** When it is cancelled. */
  cancelAtMs: number | undefined;
  /** When it is paused, and for how long. */
  pause: { atMs: number; ms: number } | undefined;
  /** Whether what failed is tried again once it is over. */
  isTriedAgain: boolean;
  /** Whose units it tries again, and which. */
  retryOf: RetryOf | undefined;
};

export type PlannedFault = {
  kind: PlannedKind;
  atMs: number;
  /** Number of the place of the worker that it hits. */
  place: number;
  /** How long it lasts. */
  ms: number;
  /** Whether what is under way is lost with it; which way is cut. */
  coin: boolean;
  /** What a process still does before it dies in a step. */
  moves: number;
};

export type PlannedPlace = {
  version: number;
  slots: number;
  /** Responder name: two places may have the same. */
  name: string;
  area: string;
  /** Whether it offers the source. */
  reads: boolean;
};

export type Plan = {
  profile: Profile;
  /** From then on nothing goes wrong any more. */
  faultsMs: number;
  /** Whether a server between the two keeps the workers' links up when the master dies. */
  hasServer: boolean;
  weather: Weather;
  luck: Luck;
  settings: Partial<CoreSettings> & {
    leaseMs: number;
    heartbeatMs: number;
    lookAheadUnits: number;
    retentionMs: number;
  };
  /** Longest append. */
  appendMs: number;
  readFails: number;
  /** Units of one read at most. */
  readUnits: number;
  places: PlannedPlace[];
  epics: PlannedEpic[];
  faults: PlannedFault[];
};

export function drawPlan(dice: Dice, profile: Profile): Plan {
  const faultsMs = profile === 'calm' ? 0 : dice.between(5_000, 25_000);
  const leaseMs = dice.between(2_000, 4_000);
  const plan: Plan = {
    profile,
    faultsMs,
    hasServer: dice.chance(0.5),
    weather: profile === 'storm' ? storm(dice) : CALM,
    luck: luck(dice),
    settings: {
      leaseMs,
      heartbeatMs: leaseMs / 6,
      lookAheadUnits: dice.pick([1, 8, 64]),
      parkedMax: dice.pick([2, 100]),
      retentionMs: dice.pick([1_000, 10_000, 3_600_000]),
    },
    appendMs: dice.pick([0, 5, 50]),
    readFails: profile === 'storm' ? 0.05 : 0,
    readUnits: dice.whole(1, 40),
    places: [],
    epics: [],
    faults: [],
  };
  for (let number = 0; number < dice.whole(2, 4); number++) {
    plan.places.push({
      version: number > 0 && dice.chance(0.15) ? 2 : 1,
      slots: dice.whole(1, 5),
      name: `r${number > 0 && dice.chance(0.2) ? number - 1 : number}`,
      area: dice.pick(['north', 'south']),
      reads: number === 0 || dice.chance(0.5),
    });
  }
  for (let i = dice.whole(1, 4); i > 0; i--) plan.epics.push(drawEpic(dice, `e${i}`, plan));
  const count = profile === 'calm' ? 0 : dice.whole(0, profile === 'storm' ? 14 : 5);
  for (let i = count; i > 0; i--) plan.faults.push(drawFault(dice, plan));
  return plan;
}

function drawEpic(dice: Dice, id: string, { profile, places }: Plan): PlannedEpic {
  const atMs = dice.between(0, 6_000);
  const count = dice.chance(0.05) ? 0 : dice.chance(0.1) ? dice.whole(200, 500) : dice.whole(1, 120);
  const isCalm = profile === 'calm';
  const isCancelled = !isCalm && dice.chance(0.25);
  // One that may ask twice has late answers also where nothing goes wrong.
  const works = SIM_WORKS.filter((name) => !isCalm || gatherOf(name)?.reissueAfterMs === undefined);
  const work = dice.pick(works);
  const names = places.map(({ name }) => name);
  const gather = gatherOf(work) && drawGather(dice, work, { names, isCalm });
  return {
    id,
    work,
    source: gather ? undefined : drawSource(dice, `s-${id}`, count),
    gather,
    atMs,
    pause: dice.chance(0.2)
      ? { atMs: atMs + dice.between(0, 6_000), ms: dice.between(100, 9_000) }
      : undefined,
    isTriedAgain: !gather && dice.chance(0.3),
    retryOf: undefined,
    deadlineMs: !gather && !isCalm && dice.chance(0.2) ? dice.between(500, 20_000) : undefined,
    cancelAtMs: isCancelled ? atMs + dice.between(0, 8_000) : undefined,
  };
}

function drawFault(dice: Dice, { profile, faultsMs, settings, places }: Plan): PlannedFault {
  const crashes = PLANNED_FAULTS.filter((kind) => kind.startsWith('master crash'));
  return {
    kind: dice.pick(profile === 'storm' ? PLANNED_FAULTS : crashes),
    atMs: dice.between(0, faultsMs),
    place: dice.whole(0, places.length - 1),
    ms: dice.between(10, 2.5 * settings.leaseMs),
    coin: dice.chance(0.5),
    moves: dice.whole(0, 40),
  };
}

function storm(dice: Dice): Weather {
  return {
    drop: dice.pick([0, 0.01, 0.1]),
    double: dice.pick([0, 0.05, 0.3]),
    late: dice.pick([0, 0.01, 0.1]),
    lateMs: dice.pick([200, 2_000, 8_000]),
    delayMs: dice.pick([1, 20, 300]),
  };
}

function luck(dice: Dice): Luck {
  return {
    fail: dice.pick([0, 0.1]),
    retry: dice.pick([0, 0.1, 0.5]),
    long: dice.pick([0, 0.3]),
    unknown: dice.pick([0, 0.1]),
    skip: dice.pick([0, 0.1]),
    runMs: dice.pick([1, 30, 400, 3_000]),
  };
}
