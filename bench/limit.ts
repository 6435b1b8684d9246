/**
 * `limit`: dispatch beside the bare pull loop over the same bus, with no journal, no leases and no metrics, and beside
 * itself over the other link. All take turns in one run, each on fresh processes.
 */
import { type BareRun, runBare } from './bare.ts';
import type { Benchmark, Verdict } from './benchmark.ts';
import type { EpicRun, Link } from './cluster.ts';
import { type DispatchRun, runDispatch } from './dispatch.ts';
import { type Spread, spreadOf } from './spread.ts';
import { fixed, percent, type Row, table, whole } from './table.ts';

const UNITS = 2_000_000;
const WORKERS = 2;
const LINKS: readonly Link[] = ['nats', 'ws'];
/**
 * The promise: with every promise on, so much of what the bare loop does over NATS. The bare loop has its units where it
 * begins, and nobody uploads them; so what counts is what comes after the upload.
 */
const SHARE_MIN = 0.4;
/** The promise: embedded does so much of what it does over NATS. */
const EMBEDDED_MIN = 0.9;

type Turn = { link: Link; bare: BareRun; ours: DispatchRun };

export const limit: Benchmark = async (place, options, say) => {
  const units = options.units ?? UNITS;
  const workers = options.workers ?? WORKERS;
  const turns: Turn[] = [];
  for (let i = 0; i < options.runs; i++) {
    for (const link of LINKS) {
      const bare = await runBare(place, { units, workers, link });
      const ours = await runDispatch(place, { ...options, link, workers }, units);
      turns.push({ link, bare, ours });
      const rates = `${whole(bareRate(bare))} bare, ${whole(rate(ours))} ours`;
      say(`${i + 1}/${options.runs} over ${link}: ${rates} units/s`);
    }
  }
  return verdict(turns);
};

function verdict(turns: readonly Turn[]): Verdict {
  const of = (link: Link): Turn[] => turns.filter((turn) => turn.link === link);
  const shares = Object.fromEntries(LINKS.map((link) => [link, shareOf(of(link))]));
  const overNats = of('nats').map(({ ours }) => rate(ours));
  const embedded = spreadOf(of('ws').map(({ ours }, i) => rate(ours) / (overNats[i] as number)));
  const broken = turns.flatMap(({ ours }) => ours.complaints.map((line) => `a process complained: ${line}`));
  const share = shares['nats']?.settling.median ?? 0;
  if (share < SHARE_MIN)
    broken.push(`${percent(share)} of the bare loop over NATS after the upload, not ${percent(SHARE_MIN)}`);
  if (embedded.median < EMBEDDED_MIN) {
    broken.push(`embedded did ${fixed(embedded.median)} times what it does over NATS, not ${EMBEDDED_MIN}`);
  }
  const rates = LINKS.flatMap((link) => [
    spreadRow(`${link}: bare pull loop`, spreadOf(of(link).map(({ bare }) => bareRate(bare))), whole),
    spreadRow(`${link}: gimmework`, spreadOf(of(link).map(({ ours }) => rate(ours))), whole),
    spreadRow('  after the upload', spreadOf(of(link).map(({ ours }) => settlingRate(ours))), whole),
  ]);
  const ratios = LINKS.flatMap((link) => [
    spreadRow(`${link}: of the bare loop`, shares[link]?.run as Spread, percent),
    spreadRow('  after the upload', shares[link]?.settling as Spread, percent),
  ]);
  const lines = [
    ...table(['units/s', 'median', 'min', 'max'], rates),
    '',
    ...table(['ratio', 'median', 'min', 'max'], [...ratios, spreadRow('ws to nats', embedded, percent)]),
    '',
    ...cpuTable(LINKS.map(of)),
    '',
    `store ${turns[0]?.ours.store}`,
  ];
  return { lines, results: { turns, shares, embedded }, broken };
}

/** Neighbours are compared: what else the machine does changes from one turn to the next. */
function shareOf(turns: readonly Turn[]): { run: Spread; settling: Spread } {
  return {
    run: spreadOf(turns.map(({ bare, ours }) => rate(ours) / bareRate(bare))),
    settling: spreadOf(turns.map(({ bare, ours }) => settlingRate(ours) / bareRate(bare))),
  };
}

/** What each process used for a unit, bare and ours side by side. */
function cpuTable(both: readonly (readonly Turn[])[]): string[] {
  const median = (runs: readonly { units: number; cpuMs: Record<string, number> }[], name: string): string =>
    name in (runs[0]?.cpuMs ?? {})
      ? fixed(spreadOf(runs.map(({ cpuMs, units }) => ((cpuMs[name] ?? 0) * 1_000) / units)).median)
      : '';
  const rows = both.flatMap((turns) => {
    const [bare, ours] = [turns.map((turn) => turn.bare), turns.map((turn) => turn.ours)];
    const names = Object.keys(ours[0]?.cpuMs ?? {});
    return names.map((name) => [`${turns[0]?.link}: ${name}`, median(bare, name), median(ours, name)]);
  });
  return table(['CPU µs/unit, medians', 'bare', 'gimmework'], rows);
}

function spreadRow(name: string, { median, min, max }: Spread, shown: (n: number) => string): Row {
  return [name, shown(median), shown(min), shown(max)];
}

function rate(run: EpicRun): number {
  return (run.units * 1_000) / run.totalMs;
}

function settlingRate(run: EpicRun): number {
  return (run.units * 1_000) / run.settlingMs;
}

function bareRate(run: BareRun): number {
  return (run.units * 1_000) / run.totalMs;
}
