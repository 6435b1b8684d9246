/**
 * What the core asks the shell to look up: stretches of sources and parked units that are due. Each is
 * answered by one input, also where it fails.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import type { Log } from '../../shared/io/log.ts';
import type { Epic } from '../core/epic.ts';
import type { MasterInput } from '../core/master.ts';
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

export class Lookups {
  readonly #parts: LookupParts;
  #open = true;

  constructor(parts: LookupParts) {
    this.#parts = parts;
  }

  start({ reads, dues }: Pick<StepOutput, 'reads' | 'dues'>): void {
    for (const read of reads) void this.#read(read);
    for (const due of dues) void this.#due(due);
  }

  close(): void {
    this.#open = false;
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
