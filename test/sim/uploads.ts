/**
 * What scatters and folds exchange with a master of the simulation, as its shell takes and answers it
 * (`master/io/gathers.ts`): parts in order, each once, the last answered once all of it is durable and recorded.
 */
import { type ControlToken, controlGrantOf } from '../../master/core/control.ts';
import { foldPage } from '../../master/core/foldPage.ts';
import type { MasterInput } from '../../master/core/master.ts';
import type { Addresses } from '../../master/core/records.ts';
import type { MasterState } from '../../master/core/state.ts';
import { appendRange, IntervalSet } from '../../shared/core/intervalSet.ts';
import { prefixed, type UnitBytes } from '../../shared/protocol/codec.ts';
import {
  CONTROL_UNIT,
  type MasterMessage,
  type Part,
  type Ranges,
  type WantAnswers,
} from '../../shared/protocol/messages.ts';
import type { Disk } from './disk.ts';
import { hashOf, itemOf } from './gatherPlan.ts';
import { Source } from './sources.ts';
import { tokenOf } from './story.ts';

/** Rows of one page of answers. */
const PAGE_ROWS = 7;
/** Ranges of missing units on one page. */
const PAGE_RANGES = 2;

export type UploadsParts = {
  state: MasterState;
  disk: Disk;
  /** Sources that scatters gave, by their id: what outlives the process. */
  spools: Map<string, Source>;
  /** Calls back after the time of a write. */
  written: (then: () => void) => void;
  /** Calls back once all records so far are durable. */
  whenSynced: (then: () => void) => void;
  step: (input: MasterInput) => void;
  send: (session: string, message: MasterMessage, payload: Uint8Array[]) => void;
};

type Upload = { next: number; items: string[]; to: string[]; isEnding: boolean; isEnded: boolean };

export class Uploads {
  readonly #parts: UploadsParts;
  readonly #uploads = new Map<string, Upload>();

  constructor(parts: UploadsParts) {
    this.#parts = parts;
  }

  take(session: string, part: Part, units: UnitBytes): void {
    const token: ControlToken = { session, epic: part.epic, term: part.term, n: part.n };
    const { state } = this.#parts;
    const kind = (['scatter', 'fold'] as const).find((one) => controlGrantOf(state, token, one));
    if (!kind) return;
    const key = tokenOf(token);
    const upload = this.#uploads.get(key) ?? {
      next: 0,
      items: [],
      to: [],
      isEnding: false,
      isEnded: false,
    };
    this.#uploads.set(key, upload);
    if (upload.isEnding && !upload.isEnded) return;
    if (part.part > upload.next) return this.#stop(token);
    if (part.part === upload.next && !upload.isEnded) {
      this.#add(upload, part, units);
      if (part.last) {
        upload.isEnding = true;
        return kind === 'fold' ? this.#endFold(token, upload) : this.#endScatter(token, upload, part);
      }
    }
    this.#took(token, upload.next - 1);
  }

  /** Sends a page of answers to a fold. */
  answer(session: string, { epic, term, n, after }: WantAnswers): void {
    const { state, disk, whenSynced, send } = this.#parts;
    if (!controlGrantOf(state, { session, epic, term, n }, 'fold')) return;
    whenSynced(() => {
      const rows = disk.rows.units({ epic, states: ['answered'], after, limit: PAGE_ROWS });
      const lost = state.ledger.epics.get(epic)?.gather?.missing ?? new IntervalSet();
      const limits = { after, isLast: rows.length < PAGE_ROWS, rangesMax: PAGE_RANGES };
      const answered = rows.map(({ unit }) => unit);
      const { answers, missing, last } = foldPage(lost, answered, limits);
      const units: number[] = [];
      for (const { unit } of rows.slice(0, answers)) appendRange(units, unit, unit + 1);
      const payload = rows.slice(0, answers).map(({ data }) => prefixed(data?.bytes ?? new Uint8Array()));
      send(session, { t: 'answers', term, n, after, units, missing, last }, payload);
    });
  }

  #add(upload: Upload, part: Part, units: UnitBytes): void {
    upload.next += 1;
    for (let i = 0; i < units.count; i++) {
      upload.items.push(new TextDecoder().decode(units.at(i)));
      upload.to.push(part.to?.[i] ?? '');
    }
  }

  #endScatter(token: ControlToken, upload: Upload, { labels }: Part): void {
    const { spools, written, whenSynced, step } = this.#parts;
    written(() => {
      if (labels) this.#askAll(token, upload, labels);
      const { items } = upload;
      const id = `of-${tokenOf(token).replaceAll('/', '-')}`;
      const source = Source.ofLines(id, items);
      spools.set(id, source);
      const to = upload.to.some((name) => name !== '') || labels ? addressesOf(upload.to) : undefined;
      step({ type: 'scattered', token, source: source.spec, items: items.length, ...(to && { to }) });
      whenSynced(() => this.#end(token, upload));
    });
  }

  /** A broadcast: everybody who is there and has these labels is asked, once. */
  #askAll(token: ControlToken, upload: Upload, labels: Readonly<Record<string, string>>): void {
    const { state } = this.#parts;
    const names = new Set<string>();
    for (const session of state.sessions.values()) {
      if (session.expired || session.draining) continue;
      if (Object.entries(labels).every(([name, value]) => session.labels[name] === value))
        names.add(session.name);
    }
    upload.to = [...names].sort();
    upload.items = upload.to.map((_, i) => itemOf(tokenOf(token), i));
  }

  #endFold(token: ControlToken, upload: Upload): void {
    const { written, whenSynced, step } = this.#parts;
    written(() => {
      const value = upload.items.join('');
      step({ type: 'folded', token, bytes: value.length, hash: hashOf(value) });
      whenSynced(() => this.#end(token, upload));
    });
  }

  #end(token: ControlToken, upload: Upload): void {
    upload.isEnded = true;
    this.#took(token, upload.next - 1);
  }

  #took({ session, term, n }: ControlToken, part: number): void {
    this.#parts.send(session, { t: 'took', term, n, part }, []);
  }

  #stop({ session, epic }: ControlToken): void {
    const { state, send } = this.#parts;
    send(session, { t: 'abort', term: state.term, epic, units: [CONTROL_UNIT, CONTROL_UNIT + 1] }, []);
  }
}

function addressesOf(to: readonly string[]): Addresses {
  const byName = new Map<string, number[]>();
  for (const [unit, name] of to.entries()) {
    const units = byName.get(name) ?? [];
    appendRange(units, unit, unit + 1);
    byName.set(name, units);
  }
  return [...byName] as readonly (readonly [string, Ranges])[];
}
