/**
 * Leftovers: uploads and briefs on the disk that no epic needs any more. They are removed once the last epic that
 * names them is forgotten, and at a start, since a crash may come in between. Decides by the core's ledger, which
 * is never behind; the files are `spool.ts`'s and `briefs.ts`'s.
 *
 * F1: nothing that a known epic names is removed: one that is over may be tried again.
 * F2: a brief that was put within BRIEF_KEPT_MS stays: its epic may be on its way.
 */
import { BRIEF_KEPT_MS } from '../../shared/core/limits.ts';
import type { Clock } from '../../shared/io/clock.ts';
import type { Log } from '../../shared/io/log.ts';
import type { Epic } from '../core/epic.ts';
import { type SourceSpec, spoolIdOf } from '../core/source.ts';
import type { Briefs } from './briefs.ts';
import type { Spool } from './spool.ts';

export type LeftoverParts = {
  spool: Pick<Spool, 'remove' | 'keepOnly'>;
  briefs: Pick<Briefs, 'keepOnly'>;
  clock: Pick<Clock, 'wallMs'>;
  log: Log;
  /** All epics that are known, also what is not synced yet. */
  epics: () => Iterable<Epic>;
};

export class Leftovers {
  readonly #parts: LeftoverParts;
  /** Epics were forgotten since the last look at the briefs began. */
  #isDue = false;
  #isLooking = false;

  constructor(parts: LeftoverParts) {
    this.#parts = parts;
  }

  /** Removes what a crash left. Throws store_failed. */
  async removeAll(): Promise<void> {
    await this.#parts.spool.keepOnly(this.#spools());
    await this.#keepBriefs();
  }

  /** An epic with this source was forgotten. */
  forgotten(source: SourceSpec): void {
    const id = spoolIdOf(source);
    if (id !== undefined && !this.#spools().has(id)) {
      this.#parts.spool.remove(id).catch((error: unknown) => this.#stays('a spool', error));
    }
    this.#isDue = true;
    if (!this.#isLooking) void this.#look();
  }

  /** Many epics are often forgotten at once: one look at the briefs does for all that went before it. */
  async #look(): Promise<void> {
    this.#isLooking = true;
    while (this.#isDue) {
      this.#isDue = false;
      await this.#keepBriefs().catch((error: unknown) => this.#stays('a brief', error));
    }
    this.#isLooking = false;
  }

  #keepBriefs(): Promise<void> {
    const { briefs, clock, epics } = this.#parts;
    const named = new Set(
      [...epics()].flatMap(({ brief, gather }) => [brief, gather?.result?.hash ?? brief]),
    );
    return briefs.keepOnly(named, clock.wallMs() - BRIEF_KEPT_MS);
  }

  #spools(): Set<string> {
    return new Set([...this.#parts.epics()].flatMap(({ source }) => spoolIdOf(source) ?? []));
  }

  #stays(what: string, error: unknown): void {
    this.#parts.log.warn(`${what} that is needed no more stays until the next start`, { why: String(error) });
  }
}
