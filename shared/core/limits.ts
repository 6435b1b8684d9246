/**
 * Every bound in the system, with its unit and its reason. A queue, message or list without a
 * limit here is a bug (promise G6).
 */

const KB = 1024;
const MB = 1024 * KB;

/** Largest single unit, checkpoint or result. Larger data goes by reference. */
export const UNIT_BYTES_MAX = 256 * KB;
/** Largest message on a link, header and payload together (NATS's default max_payload is 1 MB). */
export const MESSAGE_BYTES_MAX = 512 * KB;
/** Unit bytes put into one Work message; leaves room for its header. */
export const GRANT_BYTES_MAX = 384 * KB;
/** Units in one grant: bounds what one lost message can delay. */
export const GRANT_UNITS_MAX = 16_384;
/** Largest brief (template and settings common to all units of an epic). */
export const BRIEF_BYTES_MAX = 25 * MB;
/** Bytes of brief in one Brief message. */
export const BRIEF_PART_BYTES = 256 * KB;
/** Largest JSON body of a request that is not a streamed upload. */
export const JSON_BODY_BYTES_MAX = 26 * MB;
/** Ranges in one list of a message: a report with more is split. */
export const RANGES_MAX = 8_192;
/** Faulty, delayed or handed-back units listed one by one in one report. */
export const REPORT_UNITS_MAX = 512;
/** Characters of a failure message that are kept. */
export const FAULT_MESSAGE_CHARS_MAX = 500;
/** Works one worker may offer. */
export const WORKS_MAX = 256;
/** Steps one work may have. */
export const STEPS_MAX = 32;
/** Labels of one worker. */
export const LABELS_MAX = 32;

/** Units read ahead of demand, per epic. */
export const LOOK_AHEAD_UNITS = 4_096;
/** Bytes read ahead of demand, per epic. */
export const LOOK_AHEAD_BYTES = 8 * MB;
/** Bytes one read of a spool asks for. */
export const READ_BYTES = 512 * KB;
/** Units one read of a spool returns at most. */
export const READ_UNITS_MAX = 16_384;
/** Units waiting for a long retry delay, per epic; reading pauses at the limit. */
export const DELAYED_UNITS_MAX = 100_000;
/** Epics not yet finished on one master. */
export const EPICS_ACTIVE_MAX = 10_000;
/** Finished epics a memory store remembers. */
export const EPICS_FINISHED_KEPT_MAX = 1_000;
/** Failures listed per epic by a memory store; the counts stay exact beyond it. */
export const FAULTS_KEPT_MAX = 10_000;
/** Worker sessions on one master. */
export const SESSIONS_MAX = 10_000;

/** A session that is silent for this long, while the master listens, has lost its lease. */
export const LEASE_MS = 30_000;
/** How often a worker says that it lives. */
export const HEARTBEAT_MS = 5_000;
/** Longest pause of the master's listening that may age a lease (a later tick extends all leases). */
export const TICK_MS = 1_000;
/** How long a draining worker waits for what it has begun. */
export const DRAIN_MS = 25_000;
/** Least time between two WorkAvailable broadcasts: the hint is coalesced. */
export const WORK_AVAILABLE_MIN_GAP_MS = 100;
/** Spread of a worker's answer to a WorkAvailable, so that a thousand do not answer at once. */
export const WORK_AVAILABLE_JITTER_MS = 20;
/** Delay after which units granted but not started are recalled when another worker starves. */
export const RECALL_AFTER_MS = 250;

/** Units one worker holds at most, whatever its measured speed. */
export const HELD_UNITS_MAX = 32_768;
/** Measured work a worker keeps ahead of itself. */
export const AHEAD_MS = 200;
/** How long finished units may wait on a worker before they are reported. */
export const REPORT_AFTER_MS = 20;
/** A retry delay up to this is waited on the worker, without a slot; a longer one goes back to the master. */
export const LOCAL_DELAY_MAX_MS = 10_000;
/** Units waiting on one worker for a short retry delay; more go back to the master. */
export const LOCAL_DELAYED_MAX = 4_096;
/** A worker's report not answered by Settled within this is sent again. */
export const RESEND_MS = 5_000;

/** Bytes buffered to one peer before it is cut as too slow. */
export const PEER_BUFFER_BYTES_MAX = 8 * MB;
/** Frames that wait on a worker's link while it is disconnected: none; state is re-sent, frames are not. */
export const LINK_PING_MS = 2_000;
/** Events buffered to one subscriber of /v1/events before it is cut. */
export const EVENTS_BUFFER_BYTES_MAX = 1 * MB;
