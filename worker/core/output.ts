/** What one step of the worker's core says and wants of its shell. */
import type { WorkerMessage } from '../../shared/protocol/messages.ts';
import type { Run } from './held.ts';

type WorkerTo = { to: 'masters' } | { to: 'master'; id: string };

export type WorkerOutput = {
  /** To the master that owns this worker's session, or to all masters while none is known; each with its payload. */
  messages: { to: WorkerTo; message: WorkerMessage; payload: readonly Uint8Array[] }[];
  /** Runs that may (or may not) begin their effect. */
  proceeds: { run: Run; go: boolean }[];
  /** Runs whose signal is to fire: their outcome is decided elsewhere. They still report. */
  aborts: Run[];
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
    briefs: [],
    drain: false,
    drained: false,
    fatal: undefined,
    wakeAt: 0,
  };
}
