/**
 * Who holds the units of one epic, followed from the messages and records alone.
 *
 * H1: a unit is granted only while nobody holds it, it is unsettled, and no doubtful effect of it is open.
 * H2: after a crash of the master a unit that was read is granted only once its holder had a lease to come back,
 *     or when it was parked and so nobody can have held it. Who hands it back meanwhile need not be its last holder.
 * H3: a lapsed lease takes only what that session held (G4).
 * H4: a stale token's retries change nothing, and only who was granted a unit can say how it ended (G5).
 * H5: a unit goes on at the step, the attempt and not before the time that were recorded.
 * H6: no more is read ahead than the look-ahead allows (G6).
 * H7: nothing of a paused epic is granted.
 */
import type { EpicRecord, EpicRecordOf } from '../../master/core/records.ts';
import type { GrantReport, Heartbeat, HeldGrant, Ranges, Work } from '../../shared/protocol/messages.ts';
import type { Account } from './account.ts';
import { Broken, each, tokenOf } from './story.ts';

/** Read before the crash, and who holds it is not known. */
const UNCLEAR = '?';

export type Rules = {
  lookAheadUnits: number;
  /** Of a named source: it is never exceeded, not by one read either. */
  isExact: boolean;
  /** An effect of its work is at most once. */
  mayDoubt: boolean;
  /** Whether holders of before a crash still have time to come back. */
  isWaiting: () => boolean;
  /** After how long a unit without an answer may be given to another, too. */
  reissueAfterMs: number | undefined;
  /** How long this master has listened. */
  listenedMs: () => number;
};

export class Holders {
  readonly #account: Account;
  readonly #rules: Rules;
  readonly #holder = new Map<number, string>();
  /** All that each token was ever granted. */
  readonly #granted: Map<string, Set<number>>;
  /** Listening time at which this master granted each token. */
  readonly #grantedMs = new Map<string, number>();
  /** Read by this master, and neither granted nor settled yet. */
  readonly #untouched = new Set<number>();
  #readTo: number;
  #recoveredTo = 0;

  constructor(account: Account, rules: Rules, before?: Holders) {
    this.#account = account;
    this.#rules = rules;
    this.#granted = before ? before.#granted : new Map();
    this.#readTo = account.read;
  }

  /** After a crash: what is unsettled may be in anybody's hands. */
  recover(): void {
    const { read, outcomes, parked } = this.#account;
    this.#recoveredTo = read;
    for (let unit = 0; unit < read; unit++) {
      if (!outcomes.has(unit) && !parked.has(unit)) this.#holder.set(unit, UNCLEAR);
    }
  }

  /** A worker's claim of what it holds. */
  claimed(session: string, { term, n, units }: HeldGrant): void {
    const token = tokenOf({ session, term, n });
    const holders = [...this.#holder.values()];
    if (holders.includes(token)) return;
    if (this.#account.isClosing && !holders.includes(UNCLEAR)) return;
    each(units, (unit) => {
      const begun = this.#account.begun.get(unit);
      const { outcomes, parked } = this.#account;
      const isOpen = !outcomes.has(unit) && !parked.has(unit);
      const isFree = (this.#holder.get(unit) ?? UNCLEAR) === UNCLEAR && isOpen;
      if (!isFree || unit >= this.#account.read || (begun ?? token) !== token) return;
      this.#holder.set(unit, token);
      this.#untouched.delete(unit);
    });
  }

  /** What it says that it holds: grants that it knows of and does not hold were lost. */
  beat(session: string, term: number, { lastGrant, held, older = [] }: Heartbeat): void {
    const kept = new Set(held.map((n) => tokenOf({ session, term, n })));
    for (let i = 0; i + 1 < older.length; i += 2) {
      kept.add(tokenOf({ session, term: older[i] as number, n: older[i + 1] as number }));
    }
    for (const [unit, token] of [...this.#holder]) {
      const [who, ofTerm, n] = token.split('/');
      if (who !== session || kept.has(token)) continue;
      if (Number(ofTerm) < term || Number(n) <= lastGrant) this.#free(unit);
    }
  }

  /** What was handed back unstarted is free again. */
  reported(session: string, { term, n, back }: GrantReport): void {
    const token = tokenOf({ session, term, n });
    each(back, (unit) => {
      if (this.#holder.get(unit) === token) this.#free(unit);
    });
  }

  /** A record, after the account took it. `from` is the session whose message caused it, if one did. */
  recorded(record: EpicRecord, from: string | undefined): void {
    if (record.k === 'horizon') return this.#read(record);
    if (record.k === 'lease-expired') return this.#expired(record);
    if (record.k === 'parked') {
      for (const { unit, data } of record.units) {
        if (!data) continue;
        const holder = this.#holder.get(unit);
        if (holder?.split('/')[0] !== from) this.#broken('H4', unit, `is delayed by ${from}, not its holder`);
        this.#holder.delete(unit);
      }
    }
    if (record.k !== 'settled') return;
    const token = record.by && tokenOf(record.by);
    const granted = token === undefined ? undefined : this.#granted.get(token);
    for (const units of unitsOf(record)) {
      each(units, (unit) => {
        if (token !== undefined && !granted?.has(unit)) this.#broken('H4', unit, `is settled by ${token}`);
        this.#holder.delete(unit);
        this.#untouched.delete(unit);
      });
    }
  }

  /** A grant is sent. */
  grant(session: string, work: Work, wallMs: number): void {
    const token = tokenOf({ session, term: work.term, n: work.n });
    const units = new Set<number>();
    this.#granted.set(token, units);
    this.#grantedMs.set(token, this.#rules.listenedMs());
    const again = new Map((work.again ?? []).map((item) => [item.unit, item]));
    each(work.units, (unit) => {
      this.#mayBeGranted(unit, token, wallMs);
      const { attempt = 1, step = 0 } = again.get(unit) ?? {};
      const resume = this.#account.resume.get(unit);
      if (attempt !== (resume?.attempt ?? 1) || step !== (resume?.step ?? 0)) {
        this.#broken('H5', unit, `is granted as attempt ${attempt} of step ${step}`);
      }
      this.#holder.set(unit, token);
      this.#untouched.delete(unit);
      units.add(unit);
    });
  }

  holds(session: string, term: number, n: number, unit: number): boolean {
    return this.#holder.get(unit) === tokenOf({ session, term, n });
  }

  #mayBeGranted(unit: number, token: string, wallMs: number): void {
    const { outcomes, read, isClosing, isPaused, begun, resume } = this.#account;
    const holder = this.#holder.get(unit);
    const dueWallMs = resume.get(unit)?.dueWallMs ?? 0;
    const to = `is granted to ${token}`;
    if (holder === UNCLEAR) {
      this.#broken('H2', unit, `${to} before whoever held it could come back`);
    }
    if (holder !== undefined && holder !== UNCLEAR && !this.#isOverdue(holder))
      this.#broken('H1', unit, `${to} while ${holder} holds it`);
    if (unit >= read) this.#broken('H1', unit, `${to} and was never read`);
    if (this.#account.absent.has(unit)) this.#broken('H1', unit, `${to} and is none of its own`);
    if (outcomes.has(unit)) this.#broken('H1', unit, `${to} and is ${outcomes.get(unit)}`);
    if (isClosing) this.#broken('H1', unit, `${to} while its epic is being cancelled`);
    if (isPaused) this.#broken('H7', unit, `${to} while its epic is paused`);
    if (this.#rules.mayDoubt && begun.has(unit))
      this.#broken('H1', unit, `${to} after ${begun.get(unit)} began it`);
    if (dueWallMs > wallMs) this.#broken('H5', unit, `${to} ${dueWallMs - wallMs} ms too early`);
  }

  /** Whether who holds it has not answered for so long that another may be asked, too. */
  #isOverdue(holder: string): boolean {
    const { reissueAfterMs, listenedMs } = this.#rules;
    const grantedMs = this.#grantedMs.get(holder);
    if (reissueAfterMs === undefined || grantedMs === undefined) return false;
    return listenedMs() - grantedMs >= reissueAfterMs;
  }

  #read({ to, absent }: EpicRecordOf<'horizon'>): void {
    if (!this.#account.isClosing && this.#untouched.size >= this.#rules.lookAheadUnits) {
      this.#broken('H6', undefined, `reads on with ${this.#untouched.size} units ready`);
    }
    for (; this.#readTo < to; this.#readTo++) this.#untouched.add(this.#readTo);
    each(absent, (unit) => this.#untouched.delete(unit));
    if (this.#rules.isExact && this.#untouched.size > this.#rules.lookAheadUnits)
      this.#broken('H6', undefined, `has ${this.#untouched.size} units ready that nobody asked for`);
  }

  #expired({ session, again, unknown, unclaimed }: EpicRecordOf<'lease-expired'>): void {
    for (const units of [again, unknown, unclaimed]) {
      each(units, (unit) => {
        const holder = this.#holder.get(unit) ?? 'nobody';
        const isTheirs = session === '-' ? holder === UNCLEAR : holder.split('/')[0] === session;
        if (!isTheirs) this.#broken('H3', unit, `is taken from ${session} while ${holder} holds it`);
        this.#free(unit);
      });
    }
    each(again, (unit) => {
      const begun = this.#account.begun.get(unit);
      if (begun?.split('/')[0] === session) this.#broken('H3', unit, `is to run again and ${begun} began it`);
    });
  }

  /** Nobody holds it any more, as far as this master can know (H2). */
  #free(unit: number): void {
    const isUnclear =
      unit < this.#recoveredTo && this.#rules.isWaiting() && !this.#account.outcomes.has(unit);
    if (isUnclear) this.#holder.set(unit, UNCLEAR);
    else this.#holder.delete(unit);
  }

  #broken(rule: string, unit: number | undefined, what: string): never {
    throw new Broken(rule, this.#account.epic, unit, what);
  }
}

/** All units of a settled record. */
export function unitsOf(record: EpicRecordOf<'settled'>): Ranges[] {
  const { succeeded, skipped, cancelled, missing, failed = [], unknown = [] } = record;
  const listed = [...failed, ...unknown].flatMap(({ unit }) => [unit, unit + 1]);
  return [succeeded, skipped, cancelled, missing, listed].filter((units) => units !== undefined);
}
