/**
 * The shell's part in reading named sources: makes each batch that a worker sends durable, tells the core, and then the
 * worker. What counts is the core's to decide; a part that is not of the read that runs is passed over.
 *
 * Q1: parts come in order, each once; one that comes again is answered and changes nothing.
 * Q2: a part is answered once its batch is durable and recorded together with its cursor.
 * Q3: of one epic one batch is written at a time, where its last recorded one ends: a late writer never spoils what
 *     counts already.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { GRANT_UNITS_MAX } from '../../shared/core/limits.ts';
import type { Log } from '../../shared/io/log.ts';
import { prefixed, type UnitBytes } from '../../shared/protocol/codec.ts';
import { CONTROL_UNIT, type MasterMessage, type Part } from '../../shared/protocol/messages.ts';
import { type ControlToken, controlGrantOf } from '../core/control.ts';
import { grantKey } from '../core/live.ts';
import type { MasterInput } from '../core/master.ts';
import type { Batch } from '../core/source.ts';
import type { MasterState } from '../core/state.ts';
import { startsOf } from './blocks.ts';
import type { Spool } from './spool.ts';

export type SourceReadParts = {
  state: MasterState;
  spool: Pick<Spool, 'append'>;
  log: Log;
  /** Resolves once all records so far are durable. */
  settled: () => Promise<void>;
  step: (input: MasterInput) => void;
  send: (session: string, message: MasterMessage, payload: Uint8Array[]) => void;
};

/** How far the parts of one read have come. */
type Progress = { next: number; isWriting: boolean };

export class SourceReads {
  readonly #parts: SourceReadParts;
  /** By session, term and number of the grant. */
  readonly #reads = new Map<string, Progress>();
  /** Ends of the last writes, by epic (Q3). */
  readonly #writes = new Map<string, Promise<void>>();

  constructor(parts: SourceReadParts) {
    this.#parts = parts;
  }

  /** Takes a part of what a read gives. */
  take(token: ControlToken, part: Part, units: UnitBytes): void {
    this.#forgetOthers();
    if (!controlGrantOf(this.#parts.state, token, 'read')) return;
    const key = keyOf(token);
    const read = this.#reads.get(key) ?? { next: 0, isWriting: false };
    this.#reads.set(key, read);
    if (read.isWriting) return;
    if (part.part < read.next) return this.#took(token, part.part); // Q1
    if (part.part > read.next) return this.#stop(token);
    read.isWriting = true;
    const before = this.#writes.get(token.epic) ?? Promise.resolve();
    const write = before.then(() => this.#write(token, read, part, units));
    this.#writes.set(token.epic, write);
    void write.then(() => {
      if (this.#writes.get(token.epic) === write) this.#writes.delete(token.epic);
    });
  }

  async #write(token: ControlToken, read: Progress, part: Part, units: UnitBytes): Promise<void> {
    const { state, spool, settled, step, log } = this.#parts;
    try {
      const grant = controlGrantOf(state, token, 'read');
      if (!grant || grant.live.control.grant !== grant) return;
      checkPart(part, units);
      const { epic } = grant.live;
      const { count } = units;
      const { offset } = epic;
      const batch: Batch = {
        ...batchOf(epic.read, part, units),
        offset,
        next: offset,
        end: part.end ?? false,
      };
      if (count > 0) batch.next = await spool.append(epic.source, offset, batch);
      const { cursor, last } = part;
      step({ type: 'sourced', token, batch, last, ...(cursor !== undefined && { cursor }) });
      await settled();
      read.next = part.part + 1;
      this.#took(token, part.part); // Q2
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.error('cannot keep what a source gave', { epic: token.epic, why: message });
      if (error instanceof GimmeError && !error.retryable)
        step({ type: 'control-refused', token, code: error.code, message });
      else this.#stop(token);
    } finally {
      read.isWriting = false;
    }
  }

  #took({ session, term, n }: ControlToken, part: number): void {
    this.#parts.send(session, { t: 'took', term, n, part }, []);
  }

  /** Has its worker end; it is read again from what counts. */
  #stop({ session, epic }: ControlToken): void {
    const { state, send } = this.#parts;
    send(session, { t: 'abort', term: state.term, epic, units: [CONTROL_UNIT, CONTROL_UNIT + 1] }, []);
  }

  #forgetOthers(): void {
    for (const key of this.#reads.keys()) {
      const [session = '', term, n] = key.split('/');
      const grants = this.#parts.state.sessions.get(session)?.grants;
      if (!grants?.has(grantKey(Number(term), Number(n)))) this.#reads.delete(key);
    }
  }
}

/** Refuses what would leave it open where to go on, and more units than a batch has. */
function checkPart({ cursor }: Part, { count }: UnitBytes): void {
  if (count > 0 && cursor === undefined)
    throw new GimmeError('bad_message', 'a batch of a source came without its cursor');
  if (count > GRANT_UNITS_MAX)
    throw new GimmeError('bad_message', `a batch of a source has ${count} units, over ${GRANT_UNITS_MAX}`);
}

/** The units of a part, numbered from `first`; a bad one has no bytes. */
function batchOf(
  first: number,
  { bad = [] }: Part,
  units: UnitBytes,
): Pick<Batch, 'first' | 'count' | 'framed' | 'starts' | 'bad'> {
  const isBad = new Set(bad.map(({ item }) => item));
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < units.count; i++) pieces.push(prefixed(isBad.has(i) ? NOTHING : units.at(i)));
  const framed = Buffer.concat(pieces);
  const told = bad.map(({ item, code, message }) => ({ unit: first + item, code, message }));
  return { first, count: units.count, framed, starts: startsOf(framed), bad: told };
}

const NOTHING = new Uint8Array();

function keyOf({ session, term, n }: ControlToken): string {
  return `${session}/${term}/${n}`;
}
