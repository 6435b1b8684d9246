/**
 * What the core asks the shell to look up: stretches of sources and parked units that are due. Each is
 * answered by one input, also where it fails. The beginning of a source may be looked up before it is asked for: then
 * the units of a new epic are durable with the epic itself, and granted as soon as it is.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import { READ_UNITS_MAX } from '../../shared/core/limits.ts';
import type { Log } from '../../shared/io/log.ts';
import type { Epic } from '../core/epic.ts';
import type { MasterInput } from '../core/master.ts';
import type { Batch, SourceSpec } from '../core/source.ts';
import type { DueWanted, MasterState, ReadWanted, StepOutput } from '../core/state.ts';
import type { Spool } from './spool.ts';
import type { Store } from './store.ts';

export type LookupParts = {
  spool: Pick<Spool, 'read'>;
  store: Pick<Store, 'due'>;
  log: Log;
  state: MasterState;
  /** Resolves once all records so far are durable: rows follow their records. */
  settled: () => Promise<void>;
  /** Takes the answer; not called any more once the master stops. */
  step: (input: MasterInput) => void;
};

/** The beginning of a source. */
export type Ahead = { source: SourceSpec; batch: Batch };

/** Of a source that is looked up before it is asked for: a few hundred units, and as long as a fast disk takes to sync. */
const AHEAD_BYTES = 64 * 1024;

export class Lookups {
  readonly #parts: LookupParts;
  #open = true;
  #ahead: Ahead | undefined;

  constructor(parts: LookupParts) {
    this.#parts = parts;
  }

  start({ reads, dues }: Pick<StepOutput, 'reads' | 'dues'>): void {
    for (const read of reads) {
      const batch = this.#takeAhead(read);
      if (batch) this.#answer({ type: 'batch', epic: read.epic, batch });
      else void this.#read(read);
    }
    for (const due of dues) void this.#due(due);
  }

  /** Looks up the beginning of a source of this work; undefined where nobody would be granted it, or where it fails. */
  async ahead(work: string, source: SourceSpec): Promise<Ahead | undefined> {
    const { spool, state } = this.#parts;
    const isOffered = [...state.sessions.values()].some(({ expired, works }) => !expired && works.has(work));
    // Only what is on the disk already: the others are read by workers, and what they gave is asked for as any.
    if (!isOffered || (source.type !== 'range' && source.type !== 'spool')) return undefined;
    const offset = source.type === 'spool' ? source.body : 0;
    try {
      const batch = await spool.read(source, offset, 0, { units: READ_UNITS_MAX, bytes: AHEAD_BYTES });
      return { source, batch };
    } catch {
      return undefined; // It is asked for anew, and then why it cannot be read is told.
    }
  }

  /** Has a read that `decide` leads to answered at once. */
  using(ahead: Ahead | undefined, decide: () => void): void {
    this.#ahead = ahead;
    try {
      decide();
    } finally {
      this.#ahead = undefined;
    }
  }

  close(): void {
    this.#open = false;
  }

  #takeAhead({ epic, offset, first }: ReadWanted): Batch | undefined {
    if (!this.#ahead) return undefined;
    const { source, batch } = this.#ahead;
    const isIt = this.#parts.state.ledger.epics.get(epic)?.source === source;
    if (!isIt || batch.offset !== offset || batch.first !== first) return undefined;
    this.#ahead = undefined;
    return batch;
  }

  async #read({ epic, offset, first, units, bytes }: ReadWanted): Promise<void> {
    const { spool, state, log } = this.#parts;
    const { source } = state.ledger.epics.get(epic) as Epic;
    try {
      const batch = await spool.read(source, offset, first, { units, bytes });
      this.#answer({ type: 'batch', epic, batch });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const damaged = error instanceof GimmeError && error.code === 'source_damaged';
      log.error('cannot read a source', { epic, why: message });
      this.#answer({ type: 'read-failed', epic, first, message, damaged });
    }
  }

  async #due(wanted: DueWanted): Promise<void> {
    const { store, settled, log } = this.#parts;
    const { epic } = wanted;
    try {
      await settled();
      const due = await store.due(wanted);
      this.#answer({ type: 'due', epic, due });
    } catch (error) {
      log.error('cannot look up parked units', { epic, why: String(error) });
      this.#answer({ type: 'due-failed', epic });
    }
  }

  #answer(input: MasterInput): void {
    if (this.#open) this.#parts.step(input);
  }
}
