/** What one step of the worker's core says and wants of its shell. */
import type { UnitBytes } from '../../shared/protocol/codec.ts';
import type { Ranges, WorkerMessage } from '../../shared/protocol/messages.ts';
import type { Run } from './held.ts';

type WorkerTo = { to: 'masters' } | { to: 'master'; id: string };

/** What a control run waited for: its part is taken, or a page of answers is here. */
export type Heard =
  | { type: 'took'; run: Run }
  | { type: 'answers'; run: Run; units: Ranges; bytes: UnitBytes; missing: Ranges; last: boolean };

export type WorkerOutput = {
  /** To the master that owns this worker's session, or to all masters while none is known; each with its payload. */
  messages: { to: WorkerTo; message: WorkerMessage; payload: readonly Uint8Array[] }[];
  /** Runs that may (or may not) begin their effect. */
  proceeds: { run: Run; go: boolean }[];
  /** Runs whose signal is to fire: their outcome is decided elsewhere. They still report. */
  aborts: Run[];
  heard: Heard[];
  /** Briefs that are needed to start what is held. */
  briefs: { work: string; hash: string }[];
  /** An operator wants this worker to drain and end. */
  drain: boolean;
  /** Everything begun is settled and nothing is held: the process may end. */
  drained: boolean;
  /** The master refuses this worker for good. */
  fatal: { code: string; message: string } | undefined;
  wakeAt: number;
};

/** Nothing to say and nothing wanted. */
export function blankOutput(): WorkerOutput {
  return {
    messages: [],
    proceeds: [],
    aborts: [],
    heard: [],
    briefs: [],
    drain: false,
    drained: false,
    fatal: undefined,
    wakeAt: 0,
  };
}
