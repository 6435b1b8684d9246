/** Shapes of the HTTP and event interface, shared by the master, the client and the command line. */

/** The parts of the arithmetic: `read` is always the sum of all the others (promise G1). */
export type Totals = {
  read: number;
  succeeded: number;
  failed: number;
  unknown: number;
  skipped: number;
  cancelled: number;
  missing: number;
  outstanding: number;
};

export type EpicState = 'running' | 'finished' | 'failed' | 'cancelled';

export type EpicStatus = {
  id: string;
  name: string;
  work: string;
  state: EpicState;
  totals: Totals;
  /** Units in the source; exact once `totalExact`, before that estimated from the bytes read. */
  total: number;
  totalExact: boolean;
  /** Step name → counters, summed over the workers seen; display only, not exact after a crash. */
  steps: Record<string, { done: number; failed: number; retried: number }>;
  /** Units granted to workers now, and waiting for a long retry delay. */
  leased: number;
  delayed: number;
  /** Workers that offer this work in the version the epic froze. */
  workers: number;
  /** Settled units per second over the last seconds. */
  rate: number;
  /** Milliseconds to the end at this rate; absent when unknown, and where no worker is there. */
  etaMs?: number;
  /** One sentence on what the epic waits for. */
  bottleneck: string;
  /** Failed and unknown units by code. */
  faults: Record<string, number>;
  /** The first few of them since this master was started; `record` counts from 1. */
  examples?: { record: number; code: string; message: string }[];
  submittedAt: string;
  finishedAt?: string;
  reason?: string;
  links: { self: string };
};

/** JSON body of `POST /v1/epics`. */
export type SubmitBody = {
  work: string;
  name?: string;
  source: { type: 'range'; from: number; to: number } | { type: 'units'; units: unknown[] };
  brief?: unknown;
};

/** Query of `POST /v1/epics` with a `text/csv` or `application/x-ndjson` body; `brief` is a hash from `POST /v1/briefs`. */
export type SubmitQuery = { work: string; name?: string; brief?: string };

export type EpicPage = { epics: EpicStatus[]; next?: string };

/** RFC 9457 problem document. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  retryable: boolean;
};

/** What `/v1/events` sends: a snapshot first, then the epics that changed. */
export type EventMessage =
  | { type: 'snapshot'; epics: EpicStatus[] }
  | { type: 'changed'; epics: EpicStatus[] };

/** What is the same for every unit of an epic, and how its units' bytes are to be parsed. Stored and sent as one brief. */
export type BriefEnvelope = { brief: unknown; format: UnitFormat };

/** How the bytes of a unit are to be parsed by the worker. */
export type UnitFormat = { type: 'json' } | { type: 'csv'; columns: string[]; delimiter: string };
