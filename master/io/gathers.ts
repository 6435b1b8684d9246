/**
 * The shell's part in gathers: collects what scatters and folds send in parts, makes it durable and tells the core;
 * hands answers to folds page by page. What counts is the core's to decide: a part that is not of the control
 * grant an epic waits for is passed over.
 *
 * G1: parts come in order, each once; one that comes again is answered and changes nothing.
 * G2: the last part is answered once what was sent is durable and recorded.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { GimmeError } from '../../shared/core/errors.ts';
import { idFrom } from '../../shared/core/ids.ts';
import { appendRange } from '../../shared/core/intervalSet.ts';
import {
  BRIEF_BYTES_MAX,
  GATHER_ADDRESSED_MAX,
  GATHER_PAGE_ROWS,
  GATHER_SCATTER_BYTES_MAX,
  GRANT_BYTES_MAX,
  UNIT_BYTES_MAX,
} from '../../shared/core/limits.ts';
import type { Log } from '../../shared/io/log.ts';
import type { BriefEnvelope } from '../../shared/protocol/api.ts';
import { prefixed, type UnitBytes } from '../../shared/protocol/codec.ts';
import {
  CONTROL_UNIT,
  type MasterMessage,
  type Part,
  type Ranges,
  type WantAnswers,
} from '../../shared/protocol/messages.ts';
import { type ControlToken, controlGrantOf } from '../core/control.ts';
import type { Epic } from '../core/epic.ts';
import type { MasterInput } from '../core/master.ts';
import type { Addresses } from '../core/records.ts';
import type { MasterState } from '../core/state.ts';
import type { GatherResult } from './api.ts';
import type { Briefs } from './briefs.ts';
import type { Spool } from './spool.ts';
import type { Store } from './store.ts';

export type GatherParts = {
  state: MasterState;
  spool: Pick<Spool, 'write' | 'remove'>;
  briefs: Pick<Briefs, 'put' | 'get'>;
  store: Pick<Store, 'units'>;
  log: Log;
  /** Resolves once all records so far are durable. */
  settled: () => Promise<void>;
  step: (input: MasterInput) => void;
  send: (session: string, message: MasterMessage, payload: Uint8Array[]) => void;
};

/** What came of one control grant so far. */
type Upload = { next: number; items: Uint8Array[]; to: string[]; bytes: number; isEnding: boolean };

export class Gathers {
  readonly #parts: GatherParts;
  /** By session, term and number of the grant. */
  readonly #uploads = new Map<string, Upload>();

  constructor(parts: GatherParts) {
    this.#parts = parts;
  }

  /** Bytes collected and not yet durable. */
  get bytes(): number {
    let sum = 0;
    for (const upload of this.#uploads.values()) sum += upload.bytes;
    return sum;
  }

  /** Takes a part of what a scatter or a fold gives. */
  take(session: string, part: Part, units: UnitBytes): void {
    const token: ControlToken = { session, epic: part.epic, term: part.term, n: part.n };
    const key = `${session}/${part.term}/${part.n}`;
    const kind = controlGrantOf(this.#parts.state, token, 'fold') ? 'fold' : 'scatter';
    this.#forgetOthers();
    if (!controlGrantOf(this.#parts.state, token, kind)) return;
    const upload = this.#uploads.get(key) ?? { next: 0, items: [], to: [], bytes: 0, isEnding: false };
    this.#uploads.set(key, upload);
    if (upload.isEnding) return;
    if (part.part > upload.next) return this.#stop(token); // What came before it was lost with a failure.
    if (part.part === upload.next) {
      this.#add(upload, part, units); // G1
      if (part.last) {
        upload.isEnding = true;
        const end = kind === 'fold' ? this.#endFold(token, upload) : this.#endScatter(token, upload, part);
        void end.then(
          () => this.#took(token, part.part), // G2
          (error: unknown) => this.#broke(key, token, error),
        );
        return;
      }
    }
    this.#took(token, upload.next - 1);
  }

  /** Sends a page of answers to a fold. */
  async answer(session: string, { epic, term, n, after }: WantAnswers): Promise<void> {
    const { state, store, settled, send, log } = this.#parts;
    if (!controlGrantOf(state, { session, epic, term, n }, 'fold')) return;
    try {
      await settled();
      const query = { epic, states: ['answered'] as const, after, limit: GATHER_PAGE_ROWS };
      const rows = await store.units(query);
      const units: number[] = [];
      const payload: Uint8Array[] = [];
      let bytes = 0;
      let count = 0;
      for (const { unit, data } of rows) {
        const answer = prefixed(data?.bytes ?? new Uint8Array());
        bytes += answer.length;
        if (count > 0 && bytes > GRANT_BYTES_MAX) break;
        appendRange(units, unit, unit + 1);
        payload.push(answer);
        count += 1;
      }
      const last = count === rows.length && rows.length < GATHER_PAGE_ROWS;
      send(session, { t: 'answers', term, n, after, units, last }, payload);
    } catch (error) {
      log.error('cannot read answers for a fold', { epic, why: String(error) }); // It asks again.
    }
  }

  /** What a gather came to; nothing where it is none, or has not finished. */
  async result(epic: Epic): Promise<GatherResult | undefined> {
    const { gather, state, counts } = epic;
    if (!gather || state !== 'finished') return undefined;
    const { result, missing } = gather;
    const value = result ? await this.#parts.briefs.get(result.hash) : Buffer.from('null');
    return {
      complete: isComplete(epic),
      missing: missing.ranges(),
      failed: counts.failed + counts.unknown,
      bytes: value.length,
      value: Readable.from([value]),
    };
  }

  #add(upload: Upload, part: Part, units: UnitBytes): void {
    upload.next += 1;
    for (let i = 0; i < units.count; i++) {
      const item = new Uint8Array(units.at(i));
      upload.items.push(item);
      upload.to.push(part.to?.[i] ?? '');
      upload.bytes += item.length;
    }
  }

  async #endScatter(token: ControlToken, upload: Upload, { labels }: Part): Promise<void> {
    const { state, spool, settled, step } = this.#parts;
    if (labels) await this.#ask(token, upload, labels);
    if (upload.bytes > GATHER_SCATTER_BYTES_MAX)
      throw new GimmeError('bad_scatter', `its items have over ${GATHER_SCATTER_BYTES_MAX} bytes`);
    const addressed = upload.to.filter((name) => name !== '').length;
    if (addressed > GATHER_ADDRESSED_MAX)
      throw new GimmeError('bad_scatter', `over ${GATHER_ADDRESSED_MAX} of its items are addressed`);
    if (upload.items.some(isNoLine))
      throw new GimmeError('bad_scatter', 'an item is no JSON value on one line');
    const id = idFrom(randomBytes(15));
    const source = await spool.write('ndjson', linesOf(upload.items), id);
    const to = addressed > 0 || labels ? addressesOf(upload.to) : undefined;
    step({ type: 'scattered', token, source, items: upload.items.length, ...(to && { to }) });
    await settled();
    const taken = state.ledger.epics.get(token.epic)?.source;
    if (taken?.type !== 'spool' || taken.id !== id) await spool.remove(id);
    upload.items = [];
    upload.bytes = 0;
  }

  /** A broadcast: everybody who is there and has these labels is asked the same, once. */
  async #ask(token: ControlToken, upload: Upload, labels: Readonly<Record<string, string>>): Promise<void> {
    const { state, briefs } = this.#parts;
    const { brief, work } = state.ledger.epics.get(token.epic) as Epic;
    const envelope = JSON.parse((await briefs.get(brief)).toString()) as BriefEnvelope;
    const item = Buffer.from(JSON.stringify(envelope.brief));
    if (item.length > UNIT_BYTES_MAX) {
      throw new GimmeError(
        'bad_scatter',
        `the request has ${item.length} bytes; a broadcast takes ${UNIT_BYTES_MAX}`,
      );
    }
    const wanted = Object.entries(labels);
    const names = new Set<string>();
    for (const session of state.sessions.values()) {
      if (session.expired || session.draining || !session.works.has(work)) continue;
      if (wanted.every(([label, value]) => session.labels[label] === value)) names.add(session.name);
    }
    upload.to = [...names].sort();
    upload.items = upload.to.map(() => item);
    upload.bytes = item.length * names.size;
  }

  async #endFold(token: ControlToken, upload: Upload): Promise<void> {
    const { briefs, settled, step } = this.#parts;
    if (upload.bytes > BRIEF_BYTES_MAX)
      throw new GimmeError('fold_failed', `its value has over ${BRIEF_BYTES_MAX} bytes`);
    const value = Buffer.concat(upload.items);
    const hash = await briefs.put(value);
    step({ type: 'folded', token, bytes: value.length, hash });
    await settled();
    upload.items = [];
    upload.bytes = 0;
  }

  #took({ session, term, n }: ControlToken, part: number): void {
    this.#parts.send(session, { t: 'took', term, n, part }, []);
  }

  /** What is wrong with it will be wrong again; what the disk refuses may go through another time. */
  #broke(key: string, token: ControlToken, error: unknown): void {
    this.#uploads.delete(key);
    const message = error instanceof Error ? error.message : String(error);
    this.#parts.log.error('cannot take what a gather gave', { epic: token.epic, why: message });
    if (error instanceof GimmeError && !error.retryable) {
      this.#parts.step({ type: 'control-refused', token, code: error.code, message });
    } else this.#stop(token);
  }

  /** Has its worker begin anew. */
  #stop({ session, epic }: ControlToken): void {
    const { state, send } = this.#parts;
    send(session, { t: 'abort', term: state.term, epic, units: [CONTROL_UNIT, CONTROL_UNIT + 1] }, []);
  }

  /** What lost its grant comes no more. */
  #forgetOthers(): void {
    for (const key of this.#uploads.keys()) {
      const [session = '', term, n] = key.split('/');
      const grants = this.#parts.state.sessions.get(session)?.grants;
      const isHeld = grants?.has(Number(term) * 2 ** 32 + Number(n));
      if (!isHeld) this.#uploads.delete(key);
    }
  }
}

/** Whether every unit of a gather has answered. */
export function isComplete({ gather, counts }: Epic): boolean {
  return gather?.items === counts.succeeded + counts.skipped;
}

async function* linesOf(items: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const item of items) {
    yield item;
    yield Buffer.from('\n');
  }
}

function isNoLine(item: Uint8Array): boolean {
  return item.length === 0 || item.includes(0x0a) || item.includes(0x0d);
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
