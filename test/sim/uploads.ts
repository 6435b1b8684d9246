/**
 * What scatters, folds and reads exchange with a master of the simulation, as its shell takes and answers it
 * (`master/io/gathers.ts`, `sourceReads.ts`): parts in order, each once, the last answered once all of it is durable
 * and recorded. Whether a read may give anything at all is left to the core.
 */
import { type ControlToken, controlGrantOf } from '../../master/core/control.ts';
import type { Epic } from '../../master/core/epic.ts';
import { foldPage } from '../../master/core/foldPage.ts';
import type { MasterInput } from '../../master/core/master.ts';
import type { Addresses } from '../../master/core/records.ts';
import type { Batch } from '../../master/core/source.ts';
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

/** A batch takes the time of so many writes at most: much can happen meanwhile. */
const BATCH_WRITES = 10;
/** Rows of one page of answers. */
const PAGE_ROWS = 7;
/** Ranges of missing units on one page. */
const PAGE_RANGES = 2;

export type UploadsParts = {
  state: MasterState;
  disk: Disk;
  /** Of epics by their id, and those that scatters gave by their own: what outlives the process. */
  spools: Map<string, Source>;
  /** Calls back after the time of a write, or of so many. */
  written: (then: () => void, count?: number) => void;
  /** Calls back once all records so far are durable. */
  whenSynced: (then: () => void) => void;
  step: (input: MasterInput) => void;
  send: (session: string, message: MasterMessage, payload: Uint8Array[]) => void;
};

type Upload = { next: number; items: string[]; to: string[]; isEnding: boolean; isEnded: boolean };

export class Uploads {
  readonly #parts: UploadsParts;
  readonly #uploads = new Map<string, Upload>();
  /** How far the parts of each read have come. */
  readonly #reads = new Map<string, { next: number; isWriting: boolean }>();
  readonly #writes = new Map<string, ((done: () => void) => void)[]>();

  constructor(parts: UploadsParts) {
    this.#parts = parts;
  }

  take(session: string, part: Part, units: UnitBytes): void {
    const token: ControlToken = { session, epic: part.epic, term: part.term, n: part.n };
    const { state } = this.#parts;
    const source = this.#namedOf(part.epic);
    if (source) return this.#takeUnits(token, part, units, source);
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

  #namedOf(epic: string): Source | undefined {
    const source = this.#parts.spools.get(epic);
    return source?.spec.type === 'named' ? source : undefined;
  }

  #takeUnits(token: ControlToken, part: Part, units: UnitBytes, source: Source): void {
    const key = tokenOf(token);
    const read = this.#reads.get(key) ?? { next: 0, isWriting: false };
    this.#reads.set(key, read);
    if (read.isWriting) return;
    if (part.part < read.next) return this.#took(token, part.part);
    if (part.part > read.next) return this.#stop(token);
    read.isWriting = true;
    this.#queue(token.epic, (done) => {
      const { state, whenSynced, step } = this.#parts;
      const epic = state.ledger.epics.get(token.epic);
      read.isWriting = false;
      if (!epic) return done();
      const batch = keep(source, epic, part, units);
      const { cursor, last } = part;
      step({ type: 'sourced', token, batch, last, ...(cursor !== undefined && { cursor }) });
      read.isWriting = true;
      whenSynced(() => {
        read.isWriting = false;
        read.next = part.part + 1;
        this.#took(token, part.part);
        done();
      });
    });
  }

  /** Of one epic one batch is written at a time. */
  #queue(epic: string, write: (done: () => void) => void): void {
    const waiting = this.#writes.get(epic);
    if (waiting) return void waiting.push(write);
    const more: ((done: () => void) => void)[] = [];
    this.#writes.set(epic, more);
    const next = (one: (done: () => void) => void): void =>
      this.#parts.written(
        () =>
          one(() => {
            const another = more.shift();
            if (another) next(another);
            else this.#writes.delete(epic);
          }),
        BATCH_WRITES,
      );
    next(write);
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

/** Writes the units of a part where those of its epic end. */
function keep(
  source: Source,
  { offset, read }: Epic,
  { bad = [], end = false }: Part,
  units: UnitBytes,
): Batch {
  const { count } = units;
  const starts = new Uint32Array(count + 1);
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const piece = prefixed(units.at(i));
    pieces.push(piece);
    starts[i + 1] = (starts[i] as number) + piece.length;
  }
  const framed = new Uint8Array(Buffer.concat(pieces));
  const items = bad.map(({ item }) => item);
  const next = count === 0 ? offset : source.append(offset, { count, framed, starts, bad: items });
  const told = bad.map(({ item, code, message }) => ({ unit: read + item, code, message }));
  return { first: read, count, framed, starts, bad: told, offset, next, end };
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
