/**
 * What a master logs of its epics and its workers, a line for each turn of their lives. Owns the words only.
 *
 * Epics are told from synced records. Workers are looked at twice a second: one that came and went between two
 * looks is told by its units alone.
 */
import { arithmetic } from '../../shared/core/arithmetic.ts';
import { unreachable } from '../../shared/core/errors.ts';
import { countOf } from '../../shared/core/intervalSet.ts';
import type { Log } from '../../shared/io/log.ts';
import type { Epic } from '../core/epic.ts';
import type { EpicRecord } from '../core/records.ts';
import type { Session } from '../core/session.ts';
import type { SourceSpec } from '../core/source.ts';

const LOOK_EVERY_MS = 500;

type Known = { name: string; expired: boolean; draining: boolean };

export class StoryLog {
  readonly #log: Log;
  readonly #sessions: ReadonlyMap<string, Session>;
  readonly #known = new Map<string, Known>();
  #wasLinked = false;
  #looking: NodeJS.Timeout | undefined;

  constructor(log: Log, sessions: ReadonlyMap<string, Session>) {
    this.#log = log;
    this.#sessions = sessions;
  }

  open(): void {
    this.#looking = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#looking.unref();
  }

  close(): void {
    clearInterval(this.#looking);
  }

  /** Takes a synced record; `epic` is as it is after it. */
  synced(record: EpicRecord, epic: Epic | undefined): void {
    const about = { epic: record.epic, name: epic?.name };
    switch (record.k) {
      case 'epic-submitted':
        return this.#log.info('epic submitted', {
          ...about,
          work: record.work,
          source: sourceWords(record.source),
        });
      case 'paused':
        return this.#log.warn('epic is paused', { ...about, reason: record.reason });
      case 'resumed':
        return this.#log.info('epic goes on', about);
      case 'closing':
        return this.#log.info('epic is being cancelled', { ...about, reason: record.reason });
      case 'epic-finished':
        return this.#log.info(`epic ${record.outcome}`, {
          ...about,
          ...(epic && { seconds: (record.wallMs - epic.submittedWallMs) / 1_000 }),
          ...(epic && { totals: arithmetic(epic.totals()) }),
        });
      case 'lease-expired': {
        const { session, again, unknown } = record;
        const counts = { again: countOf(again), unknown: countOf(unknown) };
        return this.#log.info('units of a lost worker', { ...about, worker: session, ...counts });
      }
      default: // The rest is the hot path's, or changes nothing that a person would look for.
    }
  }

  /** The link is up, at first or again; the first time the master's own line says so. */
  linked(): void {
    if (this.#wasLinked) this.#log.info('the link to the workers is up again');
    this.#wasLinked = true;
  }

  /** Tells what became of the workers since it last looked. */
  look(): void {
    for (const { id, name, expired, draining, slots, works, sources } of this.#sessions.values()) {
      const before = this.#known.get(id);
      this.#known.set(id, { name, expired, draining });
      const about = { worker: id, name };
      if (!expired && before?.expired !== false) {
        const read = [...sources].join(',');
        const offers = { works: [...works.keys()].join(','), ...(read !== '' && { sources: read }), slots };
        this.#log.info(before ? 'worker is back' : 'worker joined', { ...about, ...offers });
      } else if (expired && before?.expired === false) {
        this.#log.info('worker lost: its lease expired', about);
      }
      if (draining && before?.draining !== true) this.#log.info('worker drains', about);
    }
    for (const [id, { name, expired }] of this.#known) {
      if (this.#sessions.has(id)) continue;
      this.#known.delete(id);
      if (!expired) this.#log.info('worker left', { worker: id, name });
    }
  }
}

function sourceWords(source: SourceSpec): string {
  switch (source.type) {
    case 'range':
      return `range:${source.from}-${source.to}`;
    case 'scatter':
      return 'a scatter';
    case 'named':
      return `source ${source.name}`;
    case 'blocks':
      return `${source.bytes} bytes that were read before`;
    case 'spool':
      return `${source.format} of ${source.bytes} bytes`;
    default:
      return unreachable(source);
  }
}
