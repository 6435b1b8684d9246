/**
 * Judges a run of chaos by what its witnesses say: the mail server's report, the records that became durable, the
 * looks over HTTP, and what was done to whom. It shares no code with the cores.
 *
 * H1: a unit has one outcome; only `unknown` changes, once, by the token that began it.
 * H2: the totals told are those of the records, at the end and after a last restart; nothing is outstanding.
 * H3: nobody is lost: a succeeded unit has its mail, any other says why it has none. A mail that was accepted
 *     belongs to a succeeded unit, or, at most once, to one that is unknown.
 * H4: at most once: no mail comes twice, and none without a Begun record.
 * H5: at least once: of the processes that sent a unit, all but one were killed or stopped afterwards, and a
 *     lease-expired record lists the unit for each: that session's, or that of a restart whom it did not come back to.
 * H6: only a worker that was killed or stopped loses its lease, or one that a nats-server standing still cut off.
 * H7: nothing is granted or settled beyond the horizon recorded before, and no record is of an older term.
 */
import type { EpicRecord, EpicRecordOf } from '../../master/core/records.ts';
import type { Totals } from '../../shared/protocol/api.ts';
import { numbers } from '../processes/journal.ts';
import type { Note } from '../processes/notes.ts';
import type { Done } from './member.ts';
import type { Story } from './play.ts';
import { Units } from './units.ts';

export type Verdict = { rows: [string, string][]; broken: string[] };

type Lapse = EpicRecordOf<'lease-expired'>;

/** Stands in a lease-expired record for whoever did not come back after a crash of the master. */
const NOBODY = '-';
/** Findings of one kind that are printed. */
const SHOWN_MAX = 5;

export function judge(story: Story): Verdict {
  const broken: string[] = [...story.unexpected, ...firstOf(story.looks.faults)];
  const units = new Units(story.kept, story.epic);
  broken.push(...firstOf(units.faults));
  broken.push(...checkPlan(story), ...checkTotals(story, units), ...firstOf(checkLost(story, units)));
  const records = story.kept.map(({ record }) => record).filter(({ epic }) => epic === story.epic);
  const lapses = records.filter((record) => record.k === 'lease-expired');
  broken.push(...firstOf(checkLapses(story, lapses)));
  const reasons = new Map<string, number>();
  const bare: string[] = [];
  for (const [unit, senders] of sentTwice(story)) {
    const reason = reasonOf(story, lapses, unit, senders);
    const words = reason ?? 'NO REASON';
    reasons.set(
      words,
      (reasons.get(words) ?? 0) + story.mails.all.filter((mail) => mail.unit === unit).length - 1,
    );
    if (story.effect === 'at-most-once') bare.push(`H4: unit ${unit} got ${told(story, unit)}`);
    else if (reason === undefined) bare.push(`H5: unit ${unit} got ${told(story, unit)}`);
  }
  broken.push(...firstOf(bare));
  return { rows: rowsOf(story, units, lapses, reasons), broken };
}

function checkPlan({ done, planned }: Story): string[] {
  return done.length === planned ? [] : [`${done.length} of ${planned} faults were made`];
}

/** H2 */
function checkTotals({ units, final, again }: Story, found: Units): string[] {
  const broken: string[] = [];
  const expected: Totals = {
    read: units,
    succeeded: found.count('succeeded'),
    failed: found.count('failed'),
    unknown: found.count('unknown'),
    skipped: found.count('skipped'),
    cancelled: found.count('cancelled'),
    missing: found.count('missing'),
    outstanding: 0,
  };
  const same = (a: Totals, b: Totals): boolean =>
    Object.entries(a).every(([name, count]) => b[name as keyof Totals] === count);
  const words = JSON.stringify(expected);
  if (final.state !== 'finished') broken.push(`H2: the epic is ${final.state}: ${final.bottleneck}`);
  if (!same(expected, again.totals))
    broken.push(`H2: the records say ${words}, the master after its restart ${JSON.stringify(again.totals)}`);
  if (found.resolved === 0 && !same(expected, final.totals))
    broken.push(`H2: the records say ${words}, the master ${JSON.stringify(final.totals)}`);
  if (again.state !== final.state)
    broken.push(`H2: it was ${final.state}, and is ${again.state} after a restart`);
  return broken;
}

/** H3, and the Begun half of H4. */
function checkLost({ units, effect, mails }: Story, found: Units): string[] {
  const broken: string[] = [];
  const accepted = new Set(mails.all.map((mail) => mail.unit));
  for (let unit = 0; unit < units; unit++) {
    const outcome = found.outcomes.get(unit);
    if (outcome === undefined) broken.push(`H3: unit ${unit} is lost: it has no outcome`);
    if (outcome === 'succeeded' && !accepted.has(unit))
      broken.push(`H3: unit ${unit} is lost: it succeeded unsent`);
    const fits = outcome === 'succeeded' || (outcome === 'unknown' && effect === 'at-most-once');
    if (outcome !== undefined && !fits && accepted.has(unit))
      broken.push(`H3: unit ${unit} is ${outcome}, and has a mail`);
  }
  for (const unit of accepted) {
    if (unit >= units) broken.push(`a mail of unit ${unit}, which does not exist`);
    if (effect === 'at-most-once' && !found.begun.has(unit))
      broken.push(`H4: unit ${unit} was sent before it began`);
  }
  return broken;
}

/** H6 */
function checkLapses(story: Story, lapses: Lapse[]): string[] {
  const { done } = story;
  const hurt = new Set(done.map((it) => it.session));
  const masterWas = done.some((it) => it.whom === 'master' && it.what === 'kill');
  return lapses
    .filter(({ session }) => (session === NOBODY ? !masterWas : !hurt.has(session)))
    .filter((lapse) => !isCutOff(story, lapse))
    .map(({ session, again }) => `H6: ${session} lost its lease unhurt, with ${numbers(again).length} units`);
}

/**
 * Whether a nats-server stood still so long before this lapse that nobody could renew a lease: it takes both sides
 * some seconds to see it, and to come back.
 */
function isCutOff({ done, leaseMs }: Story, { wallMs }: Lapse): boolean {
  return done.some(
    ({ what, whom, atMs, awayMs }) =>
      whom === 'nats' && what === 'stop' && wallMs >= atMs && wallMs <= atMs + awayMs + 2 * leaseMs,
  );
}

/** The units that got more than one mail, and who sent them: each process once, by its last sending. */
function sentTwice({ mails, sends }: Story): Map<number, Note[]> {
  const found = new Map(mails.twice.map((unit) => [unit, new Map<number, Note>()]));
  for (const note of sends) found.get(note.unit)?.set(note.pid, note);
  return new Map([...found].map(([unit, senders]) => [unit, [...senders.values()]]));
}

/** Why a unit got its mails: for all of its senders but one; undefined where a reason is missing. */
function reasonOf(story: Story, lapses: Lapse[], unit: number, senders: Note[]): string | undefined {
  const { done, sessions } = story;
  const reasons: string[] = [];
  for (const sender of senders) {
    const hurt = done.find((it) => it.pid === sender.pid && (it.what === 'stop' || it.atMs >= sender.atMs));
    const session = sessions.get(sender.pid);
    const lapse =
      hurt === undefined
        ? lapses.find((it) => lists(it, unit, session, sender.atMs) && isCutOff(story, it))
        : lapses.find((it) => lists(it, unit, session, hurt.atMs));
    if (!lapse) continue;
    const where = lapse.session === NOBODY ? 'unclaimed after a restart' : 'in its lease-expired list';
    reasons.push(`${hurt === undefined ? 'stop of nats-server' : `${hurt.what} of a worker`}, ${where}`);
  }
  const least = Math.max(1, senders.length - 1);
  return reasons.length >= least ? reasons.sort()[0] : undefined;
}

/** Whether this record lists the unit for a session that was lost at this time. */
function lists(lapse: Lapse, unit: number, session: string | undefined, atMs: number): boolean {
  if (lapse.session === session) return isIn(unit, lapse.again);
  return lapse.session === NOBODY && lapse.wallMs >= atMs && isIn(unit, lapse.unclaimed ?? []);
}

function isIn(unit: number, ranges: readonly number[]): boolean {
  for (let i = 0; i < ranges.length; i += 2)
    if (unit >= (ranges[i] as number) && unit < (ranges[i + 1] as number)) return true;
  return false;
}

/** The story of a unit, for a person: its mails and every record that names it. */
function told({ epic, mails, kept, done, sends }: Story, unit: number): string {
  const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 23);
  const sent = mails.all.filter((mail) => mail.unit === unit).map((mail) => clock(mail.at));
  const records = kept
    .filter(({ record }) => record.epic === epic && names(record, unit))
    .map(({ term, record }) => `    term ${term}: ${short(record)}`);
  const hurt = done.map((it) => `    ${clock(it.atMs)} ${it.what} ${it.whom} ${it.pid} ${it.session ?? ''}`);
  const by = sends
    .filter((note) => note.unit === unit)
    .map(({ atMs, pid }) => `    ${clock(atMs)} sent by process ${pid}`);
  return [`mails at ${sent.join(' and ')}`, ...by, ...records, ...hurt].join('\n');
}

function names(record: EpicRecord, unit: number): boolean {
  return Object.values(record).some((value: unknown) => {
    if (!Array.isArray(value)) return false;
    if (value.every((item) => typeof item === 'number')) return isIn(unit, value);
    return value.some((item: unknown) => (item as { unit?: unknown } | null)?.unit === unit);
  });
}

function short(record: EpicRecord): string {
  const text = JSON.stringify(record);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

function firstOf(faults: string[]): string[] {
  const more = faults.length - SHOWN_MAX;
  return more > 0 ? [...faults.slice(0, SHOWN_MAX), `… and ${more} more like these`] : faults;
}

function rowsOf(
  story: Story,
  found: Units,
  lapses: Lapse[],
  reasons: Map<string, number>,
): [string, string][] {
  const { done, planned, during, mails, looks, units, tookMs, final } = story;
  const seconds = tookMs / 1_000;
  const rows: [string, string][] = [
    ['faults made, of those planned', `${done.length} of ${planned}, ${during} while it ran`],
    ...countOf(done),
    ['recipients', String(units)],
    ['mails accepted', String(mails.accepted)],
    ['distinct', String(mails.distinct)],
    ['duplicates', String(mails.accepted - mails.distinct)],
    ...[...reasons].sort().map(([reason, count]): [string, string] => [`  ${reason}`, String(count)]),
    ['recipients without a mail', String(units - mails.distinct)],
    ['leases lost, and restarts with units unclaimed', String(lapses.length)],
    ['unknown, resolved by a late report', String(found.resolved)],
    ['masters that wrote records', String(found.boots)],
    ['looks, each exact', String(looks.count)],
    ['seconds', `${seconds.toFixed(1)} (${Math.round(units / seconds)} units/s)`],
  ];
  for (const [name, count] of Object.entries(final.totals)) rows.push([`totals: ${name}`, String(count)]);
  for (const [code, count] of Object.entries(final.faults)) rows.push([`  code ${code}`, String(count)]);
  return rows;
}

function countOf(done: readonly Done[]): [string, string][] {
  const counts = new Map<string, number>();
  for (const { what, whom } of done) {
    const name = `  ${what === 'kill' ? 'kill -9' : 'SIGSTOP'} of ${whom}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort().map(([name, count]) => [name, String(count)]);
}
