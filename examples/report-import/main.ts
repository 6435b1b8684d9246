/**
 * `npm run example:report-import`: imports thousands of reports, says what happened as numbers, then does it again
 * while its processes are killed. Exit 0 only if every claim holds.
 */
import { parseArgs } from 'node:util';
import { count, print, say, span, story } from '../../cli/output.ts';
import { onStop } from '../../cli/signals.ts';
import type { ImportOptions } from './import.ts';
import { importKilled, type Killed, type Victim } from './kills.ts';
import { type Measured, measurePulled, measureSerial, type Pulled, type Sample } from './speed.ts';

/** One after the other all of them would take minutes: so many are measured, or a sixteenth of all. */
const SERIAL_REPORTS = 40;
const RATIO_MIN = 5;
const VICTIMS: Victim[] = ['worker', 'master', 'worker', 'master', 'both'];
/** Slower, so that there is something to interrupt, and with a lease that a killed worker's units wait for. */
const KILLED = { perSecond: 4, leaseMs: 2_000 };
const SAMPLES_SHOWN = 10;

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '25' },
    days: { type: 'string', default: '120' },
    seed: { type: 'string', default: '1' },
  },
});
const options: ImportOptions = {
  clients: Number(values.clients),
  days: Number(values.days),
  seed: Number(values.seed),
  ...{ workers: 2, slots: 32, perSecond: 6, latencyMs: 150 },
};

onStop(() => process.exit(130));
const faults = [...(await first()), ...(await second())];
for (const fault of faults) say(`✗ ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);

/** Serial against pulled. Returns the claims that do not hold. */
async function first(): Promise<string[]> {
  const { clients, days, seed, workers, slots, perSecond } = options;
  print(`reports  ${count(clients * days)} of ${clients} clients, seed ${seed}`);
  print(
    `api      ${perSecond} a second for each client, then 429 + Retry-After; also 5xx, resets, slow bodies`,
  );
  const serial = await measureSerial(options, Math.min(SERIAL_REPORTS, Math.ceil((clients * days) / 16)));
  print(`serial   ${speedOf(serial)}`);
  const pulled = await measurePulled(options);
  const ratio = pulled.perSecond / serial.perSecond;
  print(
    `pulled   ${speedOf(pulled)} by ${workers} x ${slots} slots: ${ratio.toFixed(1)}x the serial version`,
  );
  showStates(pulled.samples);
  showRequests(pulled);
  for (const line of story(pulled.end)) print(line);
  return failing({
    [`it is ${RATIO_MIN} times as fast as one after the other`]: ratio >= RATIO_MIN,
    'each report is downloaded once': pulled.api.count('downloaded') === pulled.reports,
    'no request comes before its Retry-After': pulled.waits.tooSoon === 0,
    'others are downloaded while rate-limited ones wait': pulled.waits.meanwhile > 0,
    'all reports are completed': pulled.end.totals.succeeded === pulled.reports,
    'every object is what it should be': pulled.wrong.length === 0,
  });
}

/** Killed again and again. Returns the claims that do not hold. */
async function second(): Promise<string[]> {
  const reports = options.clients * options.days;
  print(`\nagain, with kill -9 of ${VICTIMS.join(', ')}`);
  const killed = await importKilled({ ...options, ...KILLED }, VICTIMS);
  showKills(killed);
  for (const line of story(killed.end)) print(line);
  return failing({
    'every checkpoint is settled': killed.saved === reports,
    'no settled download is repeated': killed.afterSettled.length === 0,
    'all reports are completed in spite of the kills': killed.end.totals.succeeded === reports,
    'every object is what it should be in spite of the kills': killed.wrong.length === 0,
  });
}

function speedOf({ reports, ms, perSecond }: Measured): string {
  return `${count(reports)} reports in ${span(ms)}: ${perSecond.toFixed(1)}/s`;
}

function showStates(samples: readonly Sample[]): void {
  const row = (cells: string[]): void => print(`  ${cells.map((cell) => cell.padStart(12)).join('  ')}`);
  row(['after', 'downloadable', 'uploadable', 'completed']);
  const every = Math.max(1, Math.ceil(samples.length / SAMPLES_SHOWN));
  for (const { ms, downloadable, uploadable, completed } of samples.filter((_, i) => i % every === 0)) {
    row([span(ms), ...[downloadable, uploadable, completed].map(count)]);
  }
}

/** By the logs of the API and the object store: the step counters are for display, and may end half a second behind. */
function showRequests({ api, waits, refused, reports }: Pulled): void {
  const ended = (['downloaded', 'limited', 'error', 'reset', 'stall', 'cut'] as const)
    .map((how) => `${how} ${count(api.count(how))}`)
    .join(', ');
  print(`  requests ${count(api.log.length)} for ${count(reports)} reports: ${ended}`);
  print(
    `  tried again: download ${count(api.log.length - api.count('downloaded'))}, upload ${count(refused)}`,
  );
  print(
    `  told to come back later: ${count(waits.most)} at once at most, ${waits.tooSoon} came too soon; ` +
      `${count(waits.meanwhile)} others were downloaded meanwhile`,
  );
}

function showKills({ kills, saved, downloads, repeated, afterSettled }: Killed): void {
  const told = kills.map(({ victim, completed }) => `${victim} at ${count(completed)}`);
  print(`  killed ${told.join(', ')} completed`);
  print(
    `  checkpoints settled ${count(saved)}, downloads ${count(downloads)}: ${count(repeated)} repeated whose ` +
      `checkpoint was not settled, ${afterSettled.length} whose checkpoint was`,
  );
}

function failing(claims: Record<string, boolean>): string[] {
  return Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [claim]));
}
