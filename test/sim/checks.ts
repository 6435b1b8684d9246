/**
 * What must hold after every step of the model, counted apart from the cores: from the records written,
 * the messages sent, and the effects that happened.
 *
 * C1: each unit that was read is in exactly one place, and has one outcome at most, which changes only
 *     from unknown, once.
 * C2: a session is never sent more than it asked for, and never holds more than it has room for.
 * C3: an at-most-once effect happens once at most, and only after `begun` of this token is durable.
 *     A unit is sent to a worker only once the horizon that covers it is durable.
 *     A worker may forget a success only once its outcome is durable.
 * C4: a replay of the records, from any checkpoint, gives the ledger of the live core.
 */

import { Ledger } from '../../master/core/ledger.ts';
import type { LiveEpic } from '../../master/core/live.ts';
import type { MasterInput } from '../../master/core/master.ts';
import type { EpicRecord, Outcome, Token } from '../../master/core/records.ts';
import type { MasterState, StepOutput } from '../../master/core/state.ts';
import { assert } from '../../shared/core/errors.ts';
import { countOf, eachOf, IntervalSet } from '../../shared/core/intervalSet.ts';
import type { Demand, MasterMessage, WorkerMessage } from '../../shared/protocol/messages.ts';
import type { Run } from '../../worker/core/held.ts';
import type { MailServer } from './mailServer.ts';

/** Outcomes of one epic by unit, from its records. */
class Outcomes {
  readonly byUnit = new Map<number, Outcome>();
  readonly counts = { succeeded: 0, failed: 0, unknown: 0, skipped: 0, cancelled: 0, missing: 0 };

  settle(unit: number, outcome: Outcome, resolves: boolean): void {
    const before = this.byUnit.get(unit);
    const may = resolves ? before === 'unknown' : before === undefined;
    assert(may, `unit ${unit} becomes ${outcome} and was ${before ?? 'unsettled'}`);
    if (before !== undefined) this.counts[before] -= 1;
    this.counts[outcome] += 1;
    this.byUnit.set(unit, outcome);
  }
}

export class Checks {
  readonly outcomes = new Map<string, Outcomes>();
  #state: MasterState;
  #durable: readonly EpicRecord[];
  #records: EpicRecord[] = [];
  #checkpoint: { at: number; json: string } = { at: 0, json: '[]' };
  readonly #asked = new Map<string, Demand>();
  readonly #granted = new Map<string, { n: number; count: number }[]>();
  readonly #room = new Map<string, number>();
  /** Durable begins, by epic and unit, and how far each epic has durably been read. */
  readonly #begun = new Map<string, Token>();
  readonly #read = new Map<string, number>();
  readonly #settled = new Map<string, IntervalSet>();
  /** Successes that each token told, by session, term and number. */
  readonly #told = new Map<string, { epic: string; units: IntervalSet }>();
  #looked = 0;

  constructor(state: MasterState, durable: readonly EpicRecord[]) {
    this.#state = state;
    this.#durable = durable;
  }

  /** After a master took the place of one that crashed: only what is durable counts from here on. */
  restart(state: MasterState, durable: readonly EpicRecord[]): void {
    this.#state = state;
    this.#durable = durable;
    this.#records = [...durable];
    this.#checkpoint = { at: 0, json: '[]' };
    this.outcomes.clear();
    for (const record of durable) this.#settle(record);
    this.#asked.clear();
    this.#granted.clear();
    this.replay();
  }

  /** When a message leaves the master. */
  leaves(session: string, message: MasterMessage): void {
    if (message.t === 'settled') return this.#mayForget(session, message);
    if (message.t !== 'work' || message.units.length === 0) return;
    this.#lookAtDurable();
    const [last = 0, read = 0] = [message.units.at(-1), this.#read.get(message.epic)];
    assert(last <= read, `unit ${last - 1} of ${message.epic} is sent; the durable horizon is ${read}`);
  }

  /** After each step of the master. */
  master(input: MasterInput, output: StepOutput): void {
    for (const record of output.records) {
      this.#records.push(record);
      this.#settle(record);
    }
    for (const live of this.#state.live.values()) this.#places(live);
    for (const epic of this.#state.ledger.epics.values()) {
      const { read, outstanding, ...counts } = epic.totals();
      const mine = this.outcomes.get(epic.id) ?? new Outcomes();
      assert(JSON.stringify(counts) === JSON.stringify(mine.counts), `epic ${epic.id} counts otherwise`);
      assert(outstanding === read - mine.byUnit.size, `epic ${epic.id}: the arithmetic is wrong`);
    }
    if (input.type === 'message') this.#heard(input.from, input.message);
    for (const out of output.messages) if (out.to === 'worker') this.#sent(out.session, out.message);
  }

  /** After each message that a worker sent; `held` is what it holds then. */
  said(session: string, message: WorkerMessage, held: number): void {
    if (message.t === 'gimme') {
      for (const { epic, term, n, ok = [] } of message.reports) {
        const told = this.#told.get(`${session} ${term} ${n}`) ?? { epic, units: new IntervalSet() };
        told.units.addAll(ok);
        this.#told.set(`${session} ${term} ${n}`, told);
      }
    }
    if (!('level' in message)) return;
    this.#room.set(session, Math.max(this.#room.get(session) ?? 0, message.level + held));
  }

  /** After each message that a worker took. */
  worker(session: string, held: number): void {
    const room = this.#room.get(session) ?? 0;
    assert(held <= room, `worker ${session} holds ${held} and has room for ${room}`); // C2
  }

  effect(session: string, run: Run, effect: string, server: MailServer): void {
    const { epic, term, n } = run.held;
    const count = server.happened(epic, run.unit);
    if (effect !== 'at-most-once') return;
    const story = `unit ${run.unit} of ${epic} on ${session}`;
    assert(count === 1, `the effect of ${story} happened ${count} times`);
    this.#lookAtDurable();
    const by = this.#begun.get(`${epic}.${run.unit}`);
    const allowed = by?.session === session && by.term === term && by.n === n;
    assert(allowed, `${story} has its effect without a durable begin`);
  }

  /** C4 */
  replay(): void {
    const ledger = new Ledger();
    for (const record of JSON.parse(this.#checkpoint.json) as EpicRecord[]) ledger.apply(record);
    for (const record of this.#records.slice(this.#checkpoint.at)) ledger.apply(record);
    const json = JSON.stringify(this.#state.ledger.checkpoint());
    assert(JSON.stringify(ledger.checkpoint()) === json, 'a replay gives another ledger');
    this.#checkpoint = { at: this.#records.length, json };
  }

  /** What each outcome says of the effect, once all is over. */
  effects(epic: string, server: MailServer): void {
    for (const [unit, outcome] of this.outcomes.get(epic)?.byUnit ?? []) {
      const count = server.count(epic, unit);
      const fits = outcome === 'unknown' || count === (outcome === 'succeeded' ? 1 : 0);
      assert(fits, `unit ${unit} of ${epic} is ${outcome} and its effect happened ${count} times`);
    }
  }

  #mayForget(session: string, { term, grants }: Extract<MasterMessage, { t: 'settled' }>): void {
    this.#lookAtDurable();
    for (const { n, units } of grants) {
      const told = this.#told.get(`${session} ${term} ${n}`);
      const lost = (this.#settled.get(told?.epic ?? '') ?? new IntervalSet()).missingFrom(
        told?.units.intersect(units) ?? [],
      );
      assert(lost.length === 0, `${session} may forget ${lost.join()} of ${told?.epic}, not yet durable`);
    }
  }

  #settle(record: EpicRecord): void {
    if (record.k === 'epic-submitted') this.outcomes.set(record.epic, new Outcomes());
    const mine = this.outcomes.get(record.epic) as Outcomes;
    if (record.k === 'lease-expired') eachOf(record.unknown, (unit) => mine.settle(unit, 'unknown', false));
    if (record.k !== 'settled' && record.k !== 'resolved') return;
    const resolves = record.k === 'resolved';
    const each = (units: readonly number[] | undefined, outcome: Outcome): void =>
      eachOf(units ?? [], (unit) => mine.settle(unit, outcome, resolves));
    each(record.succeeded, 'succeeded');
    for (const { unit } of record.failed ?? []) mine.settle(unit, 'failed', resolves);
    if (record.k === 'resolved') return;
    each(record.skipped, 'skipped');
    each(record.cancelled, 'cancelled');
    for (const { unit } of record.unknown ?? []) mine.settle(unit, 'unknown', false);
  }

  /** C1 */
  #places(live: LiveEpic): void {
    const { epic } = live;
    const all = IntervalSet.of(epic.settled.ranges());
    const put = (units: readonly number[], where: string): void => {
      assert(
        all.addAll(units) === countOf(units),
        `${epic.id} has units in ${where} and elsewhere: ${units.join()}`,
      );
    };
    put(live.ready.ranges(), 'ready');
    for (const grant of live.grants) {
      put(grant.units.ranges(), `grant ${grant.n} of ${grant.session}`);
      const ofSession = this.#state.sessions.get(grant.session)?.grants.values() ?? [];
      assert([...ofSession].includes(grant), 'a grant is on no session');
    }
    put(live.heldBack.ranges(), 'what is held back');
    const hidden = live.readyCount - live.ready.count + live.delayedCount;
    assert(
      all.count + hidden === epic.read,
      `${epic.id}: ${all.count} + ${hidden} of ${epic.read} have a place`,
    );
    let leased = 0;
    for (const grant of live.grants) leased += grant.units.count;
    assert(leased === live.leased, `${epic.id} counts ${live.leased} leased, there are ${leased}`);
  }

  #heard(from: string, message: WorkerMessage): void {
    const session = this.#state.sessions.get(from);
    if (!('level' in message) || !session || session.expired) return;
    if (message.at > (this.#asked.get(from)?.at ?? -1)) this.#asked.set(from, message);
  }

  /** C2 */
  #sent(session: string, message: MasterMessage): void {
    if (message.t !== 'work') return;
    const granted = this.#granted.get(session) ?? [];
    this.#granted.set(session, granted);
    granted.push({ n: message.n, count: countOf(message.units) });
    const asked = this.#asked.get(session);
    assert(asked, `${session} is granted units and never asked`);
    while ((granted[0]?.n ?? Number.POSITIVE_INFINITY) <= asked.lastGrant) granted.shift();
    const sum = granted.reduce((total, { count }) => total + count, 0);
    assert(
      sum <= asked.level || message.units.length === 0,
      `${session} is granted ${sum} of ${asked.level}`,
    );
  }

  #lookAtDurable(): void {
    for (; this.#looked < this.#durable.length; this.#looked++) {
      const record = this.#durable[this.#looked] as EpicRecord;
      if (record.k === 'horizon') this.#read.set(record.epic, record.to);
      this.#lookAtOutcomes(record);
      if (record.k === 'begun')
        eachOf(record.units, (unit) => void this.#begun.set(`${record.epic}.${unit}`, record.by));
      if (record.k === 'cleared')
        eachOf(record.units, (unit) => void this.#begun.delete(`${record.epic}.${unit}`));
      if (record.k === 'delayed')
        for (const { unit } of record.units) this.#begun.delete(`${record.epic}.${unit}`);
    }
  }

  #lookAtOutcomes(record: EpicRecord): void {
    const settled = this.#settled.get(record.epic) ?? new IntervalSet();
    this.#settled.set(record.epic, settled);
    if (record.k === 'lease-expired') settled.addAll(record.unknown);
    if (record.k !== 'settled') return;
    for (const units of [record.succeeded, record.skipped, record.cancelled]) settled.addAll(units ?? []);
    for (const { unit } of [...(record.failed ?? []), ...(record.unknown ?? [])]) settled.add(unit, unit + 1);
  }
}
