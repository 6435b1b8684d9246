/**
 * Which briefs this worker has, by `<work> <hash>`, the least lately granted first. It bounds how many are
 * kept; their bytes and what was prepared of them are the shell's.
 */
import { BRIEFS_READY_MAX } from '../../shared/core/limits.ts';

export class KnownBriefs {
  readonly #known = new Map<string, 'asked' | 'ready'>();

  /** Notes that a grant needs this brief. Returns whether it must be asked for. */
  need(key: string): boolean {
    const state = this.#known.get(key);
    this.#known.delete(key);
    this.#known.set(key, state ?? 'asked');
    return state === undefined;
  }

  arrived(key: string): void {
    this.#known.set(key, 'ready');
  }

  isReady(key: string): boolean {
    return this.#known.get(key) === 'ready';
  }

  /** Forgets the oldest over the limit that no grant needs, and returns them. */
  forget(needed: ReadonlySet<string>): string[] {
    const gone: string[] = [];
    for (const [key, state] of this.#known) {
      if (this.#known.size <= BRIEFS_READY_MAX) break;
      if (state !== 'ready' || needed.has(key)) continue;
      this.#known.delete(key);
      gone.push(key);
    }
    return gone;
  }
}
