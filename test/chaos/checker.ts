/**
 * Judges a run of chaos by what its witnesses say: the mail server's report, the records that became durable, the
 * looks over HTTP, and what was done to whom. It shares no code with the cores.
 *
 * H1: a unit has one outcome; only `unknown` changes, once, by the token that began it.
 * H2: the totals told are those of the records, at the end and after a last restart; nothing is outstanding.
 * H3: nobody is lost: a succeeded unit has its mail, any other says why it has none.
 * H4: at most once: no mail comes twice, and none without a Begun record.
 * H5: at least once: of the processes that sent a unit, all but one were killed or stopped afterwards, and a
 *     lease-expired record lists the unit for each: that session's, or that of a restart whom it did not come back to.
 * H6: only a worker that was killed or stopped loses its lease.
 * H7: nothing is granted or settled beyond the horizon recorded before, and no record is of an older term.
 */
import type { EpicRecord, EpicRecordOf, Outcome, Token } from '../../master/core/records.ts';
import type { Totals } from '../../shared/protocol/api.ts';
import { numbers } from '../processes/journal.ts';
import type { Note } from '../processes/notes.ts';
import type { Done } from './member.ts';
import type { Story } from './play.ts';

export type Verdict = { rows: [string, string][]; broken: string[] };

type Lapse = EpicRecordOf<'lease-expired'>;

/** Stands in a lease-expired record for whoever did not come back after a crash of the master. */
const NOBODY = '-';
/** Findings of one kind that are printed. */
const SHOWN_MAX = 5;

export function judge(story: Story): Verdict {
  const broken: string[] = [...story.unexpected, ...firstOf(story.looks.faults)];
  const units = new Units(story);
  broken.push(...firstOf(units.faults));
  broken.push(...checkPlan(story), ...checkTotals(story, units), ...firstOf(checkLost(story, units)));
  const lapses = story.kept.map(({ record }) => record).filter((record) => record.k === 'lease-expired');
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

/** What the records say of each unit (H1, H7). */
class Units {
  readonly outcomes = new Map<number, Outcome>();
  readonly begun = new Set<number>();
  readonly faults: string[] = [];
  resolved = 0;
  #horizon = 0;
  #term = 0;
  #boots = 0;
  /** Tokens of begun units, and of those that became unknown. */
  readonly #by = new Map<number, string>();
  readonly #unknownBy = new Map<number, string>();

  constructor({ epic, kept }: Story) {
    for (const { term, record } of kept) {
      if (term < this.#term) this.faults.push(`H7: a record of term ${term} after one of ${this.#term}`);
      if (term !== this.#term) this.#boots += 1;
      this.#term = term;
      if (record.epic === epic) this.#take(record);
    }
  }

  /** Masters that wrote something. */
  get boots(): number {
    return this.#boots;
  }

  count(outcome: Outcome): number {
    let sum = 0;
    for (const is of this.outcomes.values()) if (is === outcome) sum += 1;
    return sum;
  }

  #take(record: EpicRecord): void {
    if (record.k === 'horizon') {
      if (record.to < this.#horizon) this.faults.push(`H7: the horizon went back to ${record.to}`);
      this.#horizon = Math.max(this.#horizon, record.to);
    } else if (record.k === 'begun') this.#begin(record);
    else if (record.k === 'lease-expired') for (const unit of numbers(record.unknown)) this.#doubt(unit);
    else if (record.k === 'resolved') this.#resolve(record);
    else if (record.k === 'settled') this.#settled(record);
    if ('by' in record && record.by && record.by.term > this.#term)
      this.faults.push(`H7: a token of term ${record.by.term} in term ${this.#term}`);
  }

  #begin(record: EpicRecordOf<'begun'>): void {
    for (const unit of numbers(record.units)) {
      if (this.outcomes.has(unit))
        this.faults.push(`H1: unit ${unit} begins, and is ${this.outcomes.get(unit)}`);
      this.#within(unit);
      this.begun.add(unit);
      this.#by.set(unit, tokenOf(record.by));
    }
  }

  #settled(record: EpicRecordOf<'settled'>): void {
    for (const outcome of ['succeeded', 'skipped', 'cancelled'] as const)
      for (const unit of numbers(record[outcome] ?? [])) this.#settle(unit, outcome);
    for (const { unit, code } of record.failed ?? []) this.#settle(unit, 'failed', code);
    for (const { unit, code } of record.unknown ?? []) {
      this.#settle(unit, 'unknown', code);
      const by = this.#by.get(unit) ?? (record.by && tokenOf(record.by));
      if (by !== undefined) this.#unknownBy.set(unit, by);
    }
  }

  #doubt(unit: number): void {
    this.#settle(unit, 'unknown', 'lease_expired');
    const by = this.#by.get(unit);
    if (by === undefined) this.faults.push(`unit ${unit} is in doubt, but had not begun`);
    else this.#unknownBy.set(unit, by);
  }

  #settle(unit: number, outcome: Outcome, code = 'none'): void {
    const before = this.outcomes.get(unit);
    if (before !== undefined) this.faults.push(`H1: unit ${unit} is ${before}, then ${outcome}`);
    if (code === '') this.faults.push(`H3: unit ${unit} is ${outcome} without a reason`);
    this.#within(unit);
    this.outcomes.set(unit, outcome);
  }

  #resolve(record: EpicRecordOf<'resolved'>): void {
    const change = (unit: number, outcome: Outcome): void => {
      const before = this.outcomes.get(unit);
      if (before !== 'unknown') this.faults.push(`H1: unit ${unit} is resolved, and was ${before}`);
      if (this.#unknownBy.get(unit) !== tokenOf(record.by))
        this.faults.push(`H1: unit ${unit} is resolved by ${tokenOf(record.by)}, which did not begin it`);
      this.outcomes.set(unit, outcome);
      this.resolved += 1;
    };
    for (const unit of numbers(record.succeeded ?? [])) change(unit, 'succeeded');
    for (const { unit } of record.failed ?? []) change(unit, 'failed');
  }

  #within(unit: number): void {
    if (unit >= this.#horizon) this.faults.push(`H7: unit ${unit} ran beyond the horizon ${this.#horizon}`);
  }
}

function tokenOf({ session, term, n }: Token): string {
  return `${session} ${term}.${n}`;
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
    if (outcome === 'failed' && accepted.has(unit)) broken.push(`H3: unit ${unit} failed, and has a mail`);
  }
  for (const unit of accepted) {
    if (unit >= units) broken.push(`a mail of unit ${unit}, which does not exist`);
    if (effect === 'at-most-once' && !found.begun.has(unit))
      broken.push(`H4: unit ${unit} was sent before it began`);
  }
  return broken;
}

/** H6 */
function checkLapses({ done }: Story, lapses: Lapse[]): string[] {
  const hurt = new Set(done.map((it) => it.session));
  const masterWas = done.some((it) => it.whom === 'master' && it.what === 'kill');
  return lapses
    .filter(({ session }) => (session === NOBODY ? !masterWas : !hurt.has(session)))
    .map(({ session, again }) => `H6: ${session} lost its lease unhurt, with ${numbers(again).length} units`);
}

/** The units that got more than one mail, and who sent them, in order. */
function sentTwice({ mails, sends }: Story): Map<number, Note[]> {
  const found = new Map<number, Note[]>(mails.twice.map((unit) => [unit, []]));
  for (const note of sends) found.get(note.unit)?.push(note);
  return found;
}

/** Why a unit got its mails: for all of its senders but one; undefined where a reason is missing. */
function reasonOf({ done }: Story, lapses: Lapse[], unit: number, senders: Note[]): string | undefined {
  const reasons: string[] = [];
  for (const sender of senders) {
    const hurt = done.find((it) => it.pid === sender.pid && (it.what === 'stop' || it.atMs >= sender.atMs));
    const lapse = hurt && lapses.find((it) => lists(it, unit, hurt));
    if (!lapse) continue;
    const where = lapse.session === NOBODY ? 'unclaimed after a restart' : 'in its lease-expired list';
    reasons.push(`${hurt.what} of a worker, ${where}`);
  }
  const least = Math.max(1, senders.length - 1);
  return reasons.length >= least ? reasons.sort()[0] : undefined;
}

/** Whether this record lists the unit for what was done to its worker. */
function lists({ session, again, unclaimed, wallMs }: Lapse, unit: number, hurt: Done): boolean {
  if (session === hurt.session) return isIn(unit, again);
  return session === NOBODY && wallMs >= hurt.atMs && isIn(unit, unclaimed ?? []);
}

function isIn(unit: number, ranges: readonly number[]): boolean {
  for (let i = 0; i < ranges.length; i += 2)
    if (unit >= (ranges[i] as number) && unit < (ranges[i + 1] as number)) return true;
  return false;
}

/** The story of a unit, for a person: its mails and every record that names it. */
function told({ mails, kept, done, sends }: Story, unit: number): string {
  const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 23);
  const sent = mails.all.filter((mail) => mail.unit === unit).map((mail) => clock(mail.at));
  const records = kept
    .filter(({ record }) => names(record, unit))
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
  const { done, planned, mails, looks, units, tookMs, final } = story;
  const of = (what: Done['what'], whom: Done['whom']): string =>
    String(done.filter((it) => it.what === what && it.whom === whom).length);
  const seconds = tookMs / 1_000;
  const rows: [string, string][] = [
    ['faults made, of those planned', `${done.length} of ${planned}`],
    ['kill -9 of the master', of('kill', 'master')],
    ['kill -9 of a worker', of('kill', 'worker')],
    ['SIGSTOP of the master', of('stop', 'master')],
    ['SIGSTOP of a worker', of('stop', 'worker')],
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
