/**
 * Requests that wait for the end of an epic. Owns their timers; it asks the master once for all of them.
 *
 * N1: at most WAITING_MAX wait; more are answered at once.
 * N2: `close` ends every wait, so that a master that stops answers what is open.
 */
import { WAITING_MAX } from '../../shared/core/limits.ts';
import { isOver } from '../../shared/protocol/api.ts';
import type { MasterApi } from './api.ts';

export class Waiting {
  readonly #api: Pick<MasterApi, 'epic' | 'onChange'>;
  readonly #waits = new Map<string, Set<() => void>>();
  #count = 0;
  #unsubscribe: (() => void) | undefined;
  #closed = false;

  constructor(api: Pick<MasterApi, 'epic' | 'onChange'>) {
    this.#api = api;
  }

  get count(): number {
    return this.#count;
  }

  /** Resolves once the epic is over, `ms` have passed, `signal` fires or the master stops. */
  until(id: string, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#closed || this.#count >= WAITING_MAX || signal.aborted || this.#isOver(id))
      return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        if (this.#remove(id, done)) resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      this.#add(id, done);
    });
  }

  /** N2 */
  close(): void {
    this.#closed = true;
    for (const waits of [...this.#waits.values()]) for (const done of [...waits]) done();
  }

  #add(id: string, done: () => void): void {
    const waits = this.#waits.get(id) ?? new Set();
    this.#waits.set(id, waits.add(done));
    this.#count += 1;
    this.#unsubscribe ??= this.#api.onChange((changed) => {
      for (const one of changed) {
        const here = this.#waits.get(one);
        if (here && this.#isOver(one)) for (const end of [...here]) end();
      }
    });
  }

  #remove(id: string, done: () => void): boolean {
    const waits = this.#waits.get(id);
    if (!waits?.delete(done)) return false;
    this.#count -= 1;
    if (waits.size === 0) this.#waits.delete(id);
    if (this.#count === 0) {
      this.#unsubscribe?.();
      this.#unsubscribe = undefined;
    }
    return true;
  }

  /** One that is not known any more is over, too. */
  #isOver(id: string): boolean {
    return isOver(this.#api.epic(id)?.state ?? 'finished');
  }
}
