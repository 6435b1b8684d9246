/**
 * Tells what the records say happened to one unit, each event in one sentence. Owns the words; how the unit stands
 * now is `unitStory.ts`.
 *
 * S1: a record is about a unit when it names the epic and its ranges or lists hold the unit.
 */
import { unreachable } from '../../shared/core/errors.ts';
import type { UnitStory } from '../../shared/protocol/api.ts';
import type { Ranges } from '../../shared/protocol/messages.ts';
import type { Epic } from '../core/epic.ts';
import type { EpicRecord, EpicRecordOf, Token } from '../core/records.ts';
import { NOBODY } from '../core/recovery.ts';
import type { Happened } from './history.ts';

type Outcome = 'succeeded' | 'failed' | 'unknown' | 'skipped' | 'cancelled' | 'missing';
/** What a worker is called: by its session, and by its name where it is still known. */
export type Naming = (session: string) => string;

/** Takes the records of one epic in their order and keeps what is about one unit. */
export class StoryTeller {
  readonly events: UnitStory['events'] = [];
  outcome: Outcome | undefined;
  readonly #epic: Epic;
  readonly #unit: number;
  readonly #nameOf: Naming;
  /** Units read so far; nothing where the history begins in the middle. */
  #read: number | undefined;
  #parked = false;
  #begun = false;

  constructor(epic: Epic, unit: number, nameOf: Naming) {
    this.#epic = epic;
    this.#unit = unit;
    this.#nameOf = nameOf;
  }

  take({ wallMs, record }: Happened): void {
    if (!this.#begun && record.k !== 'epic-submitted')
      this.#tell(wallMs, 'what was before is no longer kept');
    this.#begun = true;
    const what = this.#whatOf(record);
    if (what !== undefined) this.#tell(wallMs, what);
  }

  #tell(wallMs: number, what: string): void {
    this.events.push({ at: new Date(wallMs).toISOString(), what });
  }

  /** What a record says of the unit, if anything (S1). */
  #whatOf(record: EpicRecord): string | undefined {
    const unit = this.#unit;
    switch (record.k) {
      case 'epic-submitted':
        this.#read = 0;
        return undefined;
      case 'horizon':
        return this.#readOf(record);
      case 'settled':
        return this.#settledOf(record);
      case 'resolved':
        return this.#resolvedOf(record);
      case 'begun':
        return holds(record.units, unit)
          ? `${this.#who(record.by)} was told that its effect may begin`
          : undefined;
      case 'cleared':
        return holds(record.units, unit) ? 'the effect that had begun certainly did not happen' : undefined;
      case 'parked':
        return this.#parkedOf(record);
      case 'unparked':
        if (!holds(record.units, unit)) return undefined;
        this.#parked = false;
        return 'its time came: it was taken out of the store to be run again';
      case 'saved': {
        const saved = record.units.find((one) => one.unit === unit);
        return saved && `what it had so far was made durable: it goes on ${this.#at(saved.step)}`;
      }
      case 'parked-cancelled':
        if (!this.#parked) return undefined;
        this.outcome = this.#epic.closingAs;
        return `it is ${this.#epic.closingAs}: it waited for a retry`;
      case 'late':
        return holds(record.units, unit)
          ? 'its answer came too late: it is counted, and not folded'
          : undefined;
      case 'lease-expired':
        return this.#lostOf(record);
      case 'paused':
        return this.#whileOpen(`the epic was paused: ${record.reason}`);
      case 'resumed':
        return this.#whileOpen('the epic went on');
      case 'closing':
        return this.#whileOpen(`${record.as === 'missing' ? 'intake' : 'the epic'} ended: ${record.reason}`);
      case 'source-failed':
        return this.#whileOpen(`the source of the epic failed for good: ${record.fault.message}`);
      case 'scattered':
      case 'folding':
      case 'folded':
      case 'delivered':
      case 'settings-frozen':
      case 'epic-checkpoint':
      case 'epic-finished':
      case 'purged':
        return undefined;
      default:
        return unreachable(record);
    }
  }

  #readOf({ to, absent = [] }: EpicRecordOf<'horizon'>): string | undefined {
    const from = this.#read;
    this.#read = to;
    if (from === undefined || this.#unit < from || this.#unit >= to || holds(absent, this.#unit))
      return undefined;
    return `it was read from the source, as record ${this.#unit + 1}`;
  }

  #settledOf(record: EpicRecordOf<'settled'>): string | undefined {
    const unit = this.#unit;
    const by = record.by ? ` on ${this.#who(record.by)}` : '';
    if (holds(record.succeeded, unit)) return this.#end('succeeded', `it succeeded${by}`);
    if (holds(record.skipped, unit))
      return this.#end('skipped', `it was skipped${by}: it needs nothing more`);
    if (holds(record.cancelled, unit)) return this.#end('cancelled', 'it was cancelled');
    if (holds(record.missing, unit)) return this.#end('missing', 'it had not answered when intake ended');
    const failed = record.failed?.find((fault) => fault.unit === unit);
    if (failed) return this.#end('failed', `it failed${by}${faultWords(failed)}`);
    const unknown = record.unknown?.find((fault) => fault.unit === unit);
    return unknown && this.#end('unknown', `it became unknown${by}${faultWords(unknown)}`);
  }

  #resolvedOf(record: EpicRecordOf<'resolved'>): string | undefined {
    const sure = `${this.#who(record.by)}, which had begun it, came back and made it certain`;
    if (holds(record.succeeded, this.#unit)) return this.#end('succeeded', `${sure}: it succeeded`);
    const failed = record.failed?.find((fault) => fault.unit === this.#unit);
    return failed && this.#end('failed', `${sure}: it failed${faultWords(failed)}`);
  }

  #parkedOf({ units }: EpicRecordOf<'parked'>): string | undefined {
    const parked = units.find((one) => one.unit === this.#unit);
    if (!parked) return undefined;
    this.#parked = true;
    if (parked.code === '') return 'it came back without an outcome and waits in the store to be run again';
    const due = new Date(parked.dueWallMs).toISOString();
    const next = `attempt ${parked.attempt} ${this.#at(parked.step)}`;
    return `it did not go well (${parked.code}): it waits in the store until ${due} for ${next}`;
  }

  #lostOf({ session, again, unknown, unclaimed }: EpicRecordOf<'lease-expired'>): string | undefined {
    const lost =
      session === NOBODY
        ? 'the master was started again and whoever held it did not come back'
        : `${this.#nameOf(session)} was lost: its lease expired`;
    if (holds(unknown, this.#unit)) {
      return this.#end('unknown', `${lost}, after its effect had begun: nobody knows whether it happened`);
    }
    const isAgain = holds(again, this.#unit) || holds(unclaimed, this.#unit);
    return isAgain ? `${lost}; it is granted again` : undefined;
  }

  #end(outcome: Outcome, what: string): string {
    this.outcome = outcome;
    this.#parked = false;
    return what;
  }

  /** What happened to the epic is the unit's story between its reading and its end. */
  #whileOpen(what: string): string | undefined {
    const isRead = this.#read === undefined || this.#unit < this.#read;
    return isRead && this.outcome === undefined ? what : undefined;
  }

  #who({ session }: Token): string {
    return this.#nameOf(session);
  }

  #at(step: number): string {
    const { name } = this.#epic.manifest?.steps[step] ?? {};
    return name === undefined ? `at step ${step + 1}` : `at step ${name}`;
  }
}

function faultWords({ step, attempt, code, message }: Fault): string {
  const where = step === '' ? '' : ` at step ${step}, attempt ${attempt}`;
  return `${where}: ${code}, ${message}`;
}

type Fault = { step: string; attempt: number; code: string; message: string };

function holds(ranges: Ranges = [], unit: number): boolean {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    if (unit < (ranges[i] as number)) return false;
    if (unit < (ranges[i + 1] as number)) return true;
  }
  return false;
}
