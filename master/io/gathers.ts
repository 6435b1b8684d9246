/**
 * The shell's part in gathers: collects what scatters and folds send in parts, makes it durable and tells the core;
 * hands answers to folds page by page. What counts is the core's to decide: a part that is not of the control
 * grant an epic waits for is passed over. What reads of named sources send goes on to `sourceReads.ts`.
 *
 * G1: parts come in order, each once; one that comes again is answered and changes nothing.
 * G2: the last part is answered once what was sent is durable and recorded.
 * G3: beyond GATHER_BYTES_MAX a part is not taken, and said again, but for those of the first that is under way.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { GimmeError } from '../../shared/core/errors.ts';
import { idFrom } from '../../shared/core/ids.ts';
import { appendRange, IntervalSet } from '../../shared/core/intervalSet.ts';
import {
  GATHER_BYTES_MAX,
  GATHER_PAGE_RANGES,
  GATHER_PAGE_ROWS,
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
  type WantAnswers,
} from '../../shared/protocol/messages.ts';
import { type ControlToken, controlGrantOf } from '../core/control.ts';
import type { Epic } from '../core/epic.ts';
import { foldPage } from '../core/foldPage.ts';
import { answersOf } from '../core/gathering.ts';
import { grantKey, type LiveEpic } from '../core/live.ts';
import type { MasterInput } from '../core/master.ts';
import type { MasterState } from '../core/state.ts';
import type { GatherResult } from './api.ts';
import type { Briefs } from './briefs.ts';
import { SourceReads } from './sourceReads.ts';
import type { Spool } from './spool.ts';
import type { Store } from './store.ts';
import { Upload } from './upload.ts';

export type GatherParts = {
  state: MasterState;
  spool: Pick<Spool, 'write' | 'append' | 'remove'>;
  briefs: Pick<Briefs, 'put' | 'get'>;
  store: Pick<Store, 'units'>;
  log: Log;
  /** Resolves once all records so far are durable. */
  settled: () => Promise<void>;
  step: (input: MasterInput) => void;
  send: (session: string, message: MasterMessage, payload: Uint8Array[]) => void;
};

export class Gathers {
  readonly #parts: GatherParts;
  /** By session, term and number of the grant. */
  readonly #uploads = new Map<string, Upload>();
  readonly #reads: SourceReads;
  /** Folds that a page is being read for. */
  readonly #reading = new Set<string>();

  constructor(parts: GatherParts) {
    this.#parts = parts;
    this.#reads = new SourceReads(parts);
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
    if (controlGrantOf(this.#parts.state, token, 'read')) return this.#reads.take(token, part, units);
    const key = keyOf(token);
    const kind = controlGrantOf(this.#parts.state, token, 'fold') ? 'fold' : 'scatter';
    this.#forgetOthers();
    if (!controlGrantOf(this.#parts.state, token, kind)) return;
    const upload = this.#uploads.get(key) ?? new Upload(kind);
    this.#uploads.set(key, upload);
    if (upload.state === 'ending') return;
    if (part.part > upload.next) return this.#stop(token); // What came before it was lost with a failure.
    if (part.part < upload.next || upload.state === 'over') return this.#took(token, upload.next - 1); // G1
    if (this.bytes >= GATHER_BYTES_MAX && upload !== this.#first) return; // G3
    try {
      upload.add(part, units);
    } catch (error) {
      return this.#broke(key, token, error);
    }
    if (!part.last) return this.#took(token, part.part);
    upload.state = 'ending';
    const end = kind === 'fold' ? this.#endFold(token, upload) : this.#endScatter(token, upload, part);
    void end.then(
      () => {
        upload.end();
        this.#took(token, part.part); // G2
      },
      (error: unknown) => this.#broke(key, token, error),
    );
  }

  /** Sends a page of answers to a fold; asked again meanwhile it still sends one. */
  async answer(session: string, { epic, term, n, after }: WantAnswers): Promise<void> {
    const { state, store, settled, send, log } = this.#parts;
    const token: ControlToken = { session, epic, term, n };
    const key = keyOf(token);
    if (!controlGrantOf(state, token, 'fold') || this.#reading.has(key)) return;
    this.#reading.add(key);
    try {
      await settled();
      const query = { epic, states: ['answered'] as const, after, limit: GATHER_PAGE_ROWS };
      const rows = await store.units(query);
      const answered: number[] = [];
      const payload: Uint8Array[] = [];
      let bytes = 0;
      for (const { unit, data } of rows) {
        const answer = prefixed(data?.bytes ?? new Uint8Array());
        bytes += answer.length;
        if (answered.length > 0 && bytes > GRANT_BYTES_MAX) break;
        answered.push(unit);
        payload.push(answer);
      }
      const isLast = answered.length === rows.length && rows.length < GATHER_PAGE_ROWS;
      const lost = state.ledger.epics.get(epic)?.gather?.missing ?? new IntervalSet();
      const limits = { after, isLast, rangesMax: GATHER_PAGE_RANGES };
      const { answers, missing, last } = foldPage(lost, answered, limits);
      const units: number[] = [];
      for (const unit of answered.slice(0, answers)) appendRange(units, unit, unit + 1);
      send(session, { t: 'answers', term, n, after, units, missing, last }, payload.slice(0, answers));
    } catch (error) {
      log.error('cannot read answers for a fold', { epic, why: String(error) }); // It asks again.
    } finally {
      this.#reading.delete(key);
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

  async #endScatter(token: ControlToken, upload: Upload, { labels }: Part): Promise<void> {
    const { state, spool, settled, step } = this.#parts;
    if (labels) await this.#ask(token, upload, labels);
    const id = idFrom(randomBytes(15));
    const source = await spool.write('ndjson', Readable.from(upload.chunks), id);
    const { to } = upload;
    step({ type: 'scattered', token, source, items: upload.items, ...(to && { to }) });
    await settled();
    const taken = state.ledger.epics.get(token.epic)?.source;
    if (taken?.type !== 'spool' || taken.id !== id) await spool.remove(id);
  }

  /** A broadcast: everybody who is there and has these labels is asked the same, once. */
  async #ask(token: ControlToken, upload: Upload, labels: Readonly<Record<string, string>>): Promise<void> {
    const { state, briefs } = this.#parts;
    const live = state.liveOf(token.epic) as LiveEpic;
    const { brief } = live.epic;
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
      if (session.expired || session.draining || !state.offers(session, live)) continue;
      if (wanted.every(([label, value]) => session.labels[label] === value)) names.add(session.name);
    }
    upload.ask([...names].sort(), item);
  }

  async #endFold(token: ControlToken, upload: Upload): Promise<void> {
    const { briefs, settled, step } = this.#parts;
    const value = Buffer.concat(upload.chunks);
    const hash = await briefs.put(value);
    step({ type: 'folded', token, bytes: value.length, hash });
    await settled();
  }

  /** Of those that are to go on the one that has been there for longest. */
  get #first(): Upload | undefined {
    for (const upload of this.#uploads.values()) if (upload.state === 'open') return upload;
    return undefined;
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
      const isHeld = grants?.has(grantKey(Number(term), Number(n)));
      if (!isHeld) this.#uploads.delete(key);
    }
  }
}

/** Whether every unit of a gather has answered. */
export function isComplete(epic: Epic): boolean {
  return epic.gather?.items === answersOf(epic);
}

function keyOf({ session, term, n }: ControlToken): string {
  return `${session}/${term}/${n}`;
}
