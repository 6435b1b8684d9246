/**
 * What the core knows of a source: where its bytes are and what a read of it brings. Reading is io's.
 */
import type { UnitFormat } from '../../shared/protocol/api.ts';

/** Where an epic's units come from. `offset`s are bytes in the spool; for a range, numbers counted from `from`. */
export type SourceSpec =
  /** A gather before its scatter: nobody knows its units yet. */
  | { type: 'scatter' }
  | { type: 'range'; from: number; to: number }
  /**
   * What workers read that offer a source of this name, given `args` (JSON). Its batches become blocks of the file `id`;
   * offsets are bytes in that. How far it goes nobody knows before its end.
   */
  | { type: 'named'; id: string; name: string; args: string }
  /** The first `bytes` bytes of such a file: they are not read from the source again. */
  | { type: 'blocks'; id: string; bytes: number }
  | {
      type: 'spool';
      id: string;
      format: 'csv' | 'ndjson';
      bytes: number;
      /** SHA-256 of the whole spool, in hex. */
      hash: string;
      /** Offset of the first record (after a byte order mark and a CSV header). */
      body: number;
      /** CSV only: column names and the delimiter found in the header. */
      columns?: string[];
      delimiter?: string;
    };

/** A record that cannot be a unit; it is numbered all the same and ends as `failed`. */
export type BadUnit = { unit: number; code: string; message: string };

/**
 * Units read from a source in one go, numbered from `first` without gaps. `framed` holds each unit as
 * it goes on the wire: a uint32 length (big endian) and the bytes; unit `first + i` with its length is
 * `framed[starts[i] … starts[i + 1])`. A bad unit is there with length 0.
 */
export type Batch = {
  first: number;
  count: number;
  framed: Uint8Array;
  starts: Uint32Array;
  bad: BadUnit[];
  /** Where this read began and where the next one begins. */
  offset: number;
  next: number;
  /** Nothing follows. */
  end: boolean;
};

/** The file of the spool directory that a source is in, where it has one. */
export function spoolIdOf(source: SourceSpec): string | undefined {
  return source.type === 'range' || source.type === 'scatter' ? undefined : source.id;
}

/** Where the units are that an epic with this source has read, up to this offset: what tries them again reads there. */
export function rereadOf(source: SourceSpec, offset: number): SourceSpec {
  return source.type === 'named' ? { type: 'blocks', id: source.id, bytes: offset } : source;
}

/** How a worker is to parse the bytes of its units. */
export function formatOf(source: SourceSpec): UnitFormat {
  if (source.type !== 'spool' || source.format === 'ndjson') return { type: 'json' };
  return { type: 'csv', columns: source.columns ?? [], delimiter: source.delimiter ?? ',' };
}
