/**
 * `npm run example:fleet-report`: reports of a fleet of which some vehicles are slow or dead, each sent by mail; beside it
 * the synchronous version. Exit 0 only if every claim holds.
 */
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { count, print, say, span } from '../../cli/output.ts';
import { reissued } from './gather.ts';
import type { FleetReport } from './report.ts';
import { type Delivered, type Fleet, faulty, forgetful, inTurn, withFleet } from './run.ts';
import { mannersOf } from './vehicles.ts';

const PROMPT_MS = 150;
const GATEWAY_MS = 1_000;
const LATE_SHARE_MAX = 0.05;
const SIZES = [1, 3, 10, 20, 100];

const { values } = parseArgs({
  options: {
    vehicles: { type: 'string', default: '200' },
    'deadline-seconds': { type: 'string', default: '10' },
  },
});
const vehicles = Number(values.vehicles);
const deadlineMs = Number(values['deadline-seconds']) * 1_000;
const deadline = `${deadlineMs}ms`;
const times = { promptMs: PROMPT_MS, slowMs: 2 * deadlineMs };

const faults = [
  ...(await synchronous()),
  ...(await withFleet(mannersOf(vehicles, faulty), times, overlapping)),
  ...(await withFleet(
    mannersOf(1, () => 'prompt'),
    times,
    single,
  )),
  ...(await withFleet(mannersOf(vehicles, forgetful), times, secondTries)),
];
for (const fault of faults) say(`✗ ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);

async function synchronous(): Promise<string[]> {
  const given = { promptMs: PROMPT_MS, gatewayMs: GATEWAY_MS };
  const told: string[] = [];
  const claims: Record<string, boolean> = {};
  for (const size of SIZES) {
    const { ok, ms } = await inTurn(size, { ...given, dead: 0 });
    told.push(`${size}: ${ok ? span(ms) : 'given up'}`);
    claims[`${size} vehicles in turn ${size < 10 ? 'are' : 'are not'} heard in time`] = ok === size < 10;
  }
  const dead = await inTurn(3, { ...given, dead: 1 });
  told.push(`3, one of them dead: ${dead.ok ? span(dead.ms) : 'given up'}`);
  claims['one dead vehicle blocks the others'] = !dead.ok;
  print(
    `in turn   behind a gateway of ${span(GATEWAY_MS)}, vehicles of ${PROMPT_MS} ms each: ${told.join(' · ')}`,
  );
  return failing('in turn', claims);
}

async function overlapping(fleet: Fleet): Promise<string[]> {
  print(
    `fleet     ${count(vehicles)} vehicles, 10% dead and 10% slower than the deadline of ${span(deadlineMs)}`,
  );
  const first = fleet.deliver('2026-10', deadline);
  const second = fleet.deliver('2026-11', deadline);
  const reports = await Promise.all([first, second]);
  for (const report of reports) show(report);
  const again = await fleet.deliver('2026-10', deadline);
  const { distinct, duplicates } = fleet.mails();
  print(`mail      ${distinct} sent, ${duplicates} twice, though one was asked for again`);
  const missing = fleet.vehicles.names.filter((_, i) => faulty(i) !== 'prompt');
  return failing('fleet', {
    'exactly the right vehicles are named missing': reports.every((it) =>
      isDeepStrictEqual(it.value.missing, missing),
    ),
    'both are on time': reports.every((it) => lateShare(it) >= 0 && lateShare(it) <= LATE_SHARE_MAX),
    'each has its own answers only': reports.every(({ value }) => isOwn(fleet, value)),
    'they have numbers of their own': reports[0].value.report !== reports[1].value.report,
    'asked for again it is the same': again.value.report === reports[0].value.report,
    'each has one mail': distinct === 2 && duplicates === 0,
    'the mails are sent': reports.every(({ mail }) => mail.totals.succeeded === 1),
  });
}

async function single(fleet: Fleet): Promise<string[]> {
  const report = await fleet.deliver('2026-10', deadline);
  print(`one       1 vehicle: out after ${span(report.ms)}, ${report.complete ? 'complete' : 'incomplete'}`);
  return failing('one', { 'it does not wait': report.complete && report.ms < deadlineMs / 2 });
}

async function secondTries(fleet: Fleet): Promise<string[]> {
  print(
    `fleet     ${count(vehicles)} vehicles, 10% dead and 10% that lose the first request; reissued after 2 s`,
  );
  const report = await fleet.deliver('2026-10', deadline, reissued);
  show(report);
  const missing = fleet.vehicles.names.filter((_, i) => !['prompt', 'forgetful'].includes(forgetful(i)));
  return failing('reissued', {
    'only the dead are missing': isDeepStrictEqual(report.value.missing, missing),
    'each answer counts once': report.value.vehicles.length === vehicles - missing.length,
  });
}

function show({ value, ms, end }: Delivered): void {
  const { report, period, vehicles: heard, missing, totals } = value;
  const { trips, metres, fillUps, millilitres, cents } = totals;
  print(
    `report    ${period} (${report}) out after ${span(ms)}: ${heard.length} vehicles, ${missing.length} missing ` +
      `(${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''})`,
  );
  print(
    `          ${count(trips)} trips of ${count(Math.round(metres / 1_000))} km, ${count(fillUps)} fill-ups ` +
      `of ${count(Math.round(millilitres / 1_000))} l for ${count(Math.round(cents / 100))} EUR; ${end.links.result}`,
  );
}

function lateShare({ ms }: Delivered): number {
  return ms / deadlineMs - 1;
}

/** Whether all answers are of this report, and every vehicle was asked for its period under its number. */
function isOwn(fleet: Fleet, { report, period, vehicles: heard }: FleetReport): boolean {
  const asked = fleet.asked(report);
  return (
    heard.every((it) => it.report === report && it.period === period) &&
    new Set(asked.map((it) => it.vehicle)).size === fleet.vehicles.names.length &&
    asked.every((it) => it.period === period)
  );
}

function failing(where: string, claims: Record<string, boolean>): string[] {
  return Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [`${where}: ${claim}`]));
}
