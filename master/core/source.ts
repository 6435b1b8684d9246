/**
 * What the core knows of a source: where its bytes are and what a read of it brings. Reading is io's.
 */
import type { ErrorCode } from '../../shared/core/errors.ts';
import type { UnitFormat } from '../../shared/protocol/api.ts';

/** Where an epic's units come from. `offset`s are bytes in the spool; for a range, numbers counted from `from`. */
export type SourceSpec =
  /** A gather before its scatter: nobody knows its units yet. */
  | { type: 'scatter' }
  | { type: 'range'; from: number; to: number }
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
export type BadUnit = { unit: number; code: ErrorCode; message: string };

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

/** How a worker is to parse the bytes of its units. */
export function formatOf(source: SourceSpec): UnitFormat {
  if (source.type !== 'spool' || source.format === 'ndjson') return { type: 'json' };
  return { type: 'csv', columns: source.columns ?? [], delimiter: source.delimiter ?? ',' };
}
