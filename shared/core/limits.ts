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
/** Unit bytes put into one Work message, with the state of a unit that goes on; leaves room for its header. */
export const GRANT_BYTES_MAX = 384 * KB;
/** Units in one grant: bounds what one lost message can delay. */
export const GRANT_UNITS_MAX = 16_384;
/**
 * Units that a grant has at least while more are to be read, where so many are wanted: the messages about one grant
 * cost a master as much as a hundred units, and a crowd that shares each read evenly makes small ones of it.
 */
export const GRANT_UNITS_WORTH = 1_024;
/** Grants of one term to one session: their numbers, which a worker repeats, leave room for those of any term. */
export const GRANT_NUMBERS_MAX = 2 ** 31;
/** Largest brief (template and settings common to all units of an epic). */
export const BRIEF_BYTES_MAX = 25 * MB;
/** Bytes of brief in one Brief message. */
export const BRIEF_PART_BYTES = 256 * KB;
/** Largest JSON body of a request that is not a streamed upload. */
export const JSON_BODY_BYTES_MAX = 26 * MB;
/** Ranges in one list of a message: a report with more is split. */
export const RANGES_MAX = 8_192;
/** Codes of faults that an epic counts by name; the others count as `other`. */
export const FAULT_CODES_MAX = 100;
/** Units listed one by one in one message: faulty or delayed ones of a report, those of a grant that have run before. */
export const REPORT_UNITS_MAX = 512;
/** Grants reported on in one message. */
export const REPORTS_MAX = 512;
/** Grants that one Hello lists: more are in further ones. */
export const HELLO_GRANTS_MAX = 2_048;
/** Characters of a failure message that are kept. */
export const FAULT_MESSAGE_CHARS_MAX = 500;
/** Characters of a key, which names a unit for people, that are kept. */
export const KEY_CHARS_MAX = 256;
/** How deep a value may be nested that is kept between two steps: it is walked by recursion. */
export const STATE_DEPTH_MAX = 500;
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
/** Records over the size limit that one read passes: each costs a second look at UNIT_BYTES_MAX bytes. */
export const BAD_PER_CUT_MAX = 32;
/** Columns of a CSV header; more is a wrong delimiter or a wrong file. */
export const CSV_COLUMNS_MAX = 1_000;
/** Bytes of a spool that have one checksum: what a damaged byte makes unreadable. */
export const SPOOL_SUM_BYTES = 256 * KB;
/** Spool files kept open for reading; more are closed and opened again when wanted. */
export const SPOOLS_OPEN_MAX = 128;
/** Bytes of briefs a master keeps in memory; the others are read from disk. */
export const BRIEFS_CACHED_BYTES_MAX = 64 * MB;
/** How long a brief that no epic names is kept after it was last put: its epic may be on its way. */
export const BRIEF_KEPT_MS = 24 * 3_600_000;
/** Briefs that a master sends at a time, each with its bytes in memory: a crowd that starts asks all at once. */
export const BRIEF_SENDS_MAX = 4;
/** Workers' asks for a brief that wait for their turn; who gets no answer asks again. */
export const BRIEF_ASKS_MAX = 20_000;
/** Units parked in the store, per epic; reading pauses at the limit. */
export const PARKED_MAX = 1_000_000;
/** Parked units, and bytes of them, that are taken out of the store at a time. */
export const DUE_UNITS_MAX = 512;
export const DUE_BYTES = 4 * MB;
/** Epics not yet finished on one master. */
export const EPICS_ACTIVE_MAX = 10_000;
/** How long a gather takes answers, where neither its work nor its submit says so. */
export const GATHER_DEADLINE_MS = 120_000;
/** Longest time that a gather may take answers. */
export const DEADLINE_MS_MAX = 30 * 24 * 3_600_000;
/** Units of one gather that are for one responder each. */
export const GATHER_ADDRESSED_MAX = 100_000;
/** Bytes of all items of one scatter. */
export const GATHER_SCATTER_BYTES_MAX = 64 * MB;
/** Bytes that all scatters and folds together have given and that are not durable yet; beyond it only the first goes on. */
export const GATHER_BYTES_MAX = 128 * MB;
/** Answers that are looked up at a time for a fold. */
export const GATHER_PAGE_ROWS = 128;
/** Ranges of missing units on one such page: what they take has room beside the answers. */
export const GATHER_PAGE_RANGES = 2_048;
/** How soon a scatter or a fold that failed is tried again, doubled each time … */
export const CONTROL_RETRY_FIRST_MS = 1_000;
/** … and how often it is tried. */
export const CONTROL_ATTEMPTS_MAX = 5;
/** How long a fold may take, and a scatter for its next item, before it is stopped and tried again. */
export const CONTROL_TIMEOUT_MS = 60_000;
/** How long a fold waits for a worker that offers its gather, once no more answers are taken. */
export const FOLD_OFFER_MS = 60_000;
/** How often a source is read that gives nothing but errors, before its epic is paused … */
export const SOURCE_ATTEMPTS_MAX = 10;
/** … and how long the longest pause between two of them is. */
export const SOURCE_RETRY_MS_MAX = 60_000;
/** How long a unit of a source waits for others before it is sent alone. */
export const SOURCE_FLUSH_MS = 250;
/** Characters of what a source is asked with, as JSON. */
export const SOURCE_ARGS_CHARS_MAX = 4_096;
/** Records of one batch that are no units. */
export const SOURCE_BAD_MAX = 64;
/** How long a finished epic is kept. */
export const RETENTION_MS = 7 * 24 * 3_600_000;
/** Finished epics that are kept, however young. */
export const EPICS_FINISHED_KEPT_MAX = 1_000;
/** Records after which a checkpoint replaces what was appended before it. */
export const CHECKPOINT_RECORDS = 20_000;
/** Bytes of records that are kept for the history once a checkpoint stands for them; the oldest go first. */
export const HISTORY_BYTES_MAX = 1024 * MB;
/** Appends of the past that a memory store remembers. */
export const HISTORY_MEMORY_ENTRIES_MAX = 100_000;
/** Appends of the past that one checkpoint forgets at most: more than can come between two, and no long stop. */
export const HISTORY_FORGOTTEN_MAX = 2 * CHECKPOINT_RECORDS;
/**
 * Ranges of the units that one retry tries: its epic keeps them in its first record and in each checkpoint. A million
 * that lie scattered were 16 MB there, and stopped the master for a tenth of a second at each.
 */
export const RETRY_RANGES_MAX = 100_000;
/** Rows of units that one answer takes out of the store at a time. */
export const ROWS_READ_MAX = 200;
/** Units on one page of `GET /v1/epics/{id}/units`. */
export const PAGE_UNITS_MAX = 500;
/** Characters of a unit's bytes that are shown to people. */
export const UNIT_SHOWN_CHARS_MAX = 2_000;
/** Bytes of rows or of history that a store reads at once; appends go on between two such reads. */
export const STORE_READ_BYTES = 1 * MB;
/** Rows that a store looks at for one such read, where no index gives just those that are asked for. */
export const STORE_READ_ROWS = 5_000;
/** Rows of an epic that is forgotten which a store deletes at once; appends go on between two such turns. */
export const STORE_DROP_ROWS = 500;
/** An append that takes longer than this stops grants. */
export const STORE_SLOW_MS = 2_000;
/** How soon records are tried again on a full disk. */
export const STORE_RETRY_MS = 1_000;
/** Records, and messages that wait for them, while one append is in flight: at half of it nothing more is granted. */
export const JOURNAL_RECORDS_MAX = 100_000;
/** Works named in metric labels; the others count as `other`. */
export const METRIC_WORKS_MAX = 200;
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

/** Briefs that a worker keeps prepared; those that a grant needs are kept beyond it. */
export const BRIEFS_READY_MAX = 256;
/** Briefs that each thread of a worker keeps prepared. */
export const THREAD_BRIEFS_MAX = 16;
/** Threads of one worker. */
export const THREADS_MAX = 1_024;
/** How long a thread may take to load its works, over the time that its step has. */
export const THREAD_START_MS = 30_000;
/** Units one worker holds at most, whatever its measured speed. */
export const HELD_UNITS_MAX = 32_768;
/** Measured work a worker keeps ahead of itself. */
export const AHEAD_MS = 200;
/**
 * Unit bytes that one session holds, a grant over at most. With what else is sent it stays below
 * PEER_BUFFER_BYTES_MAX, so that no worker is cut for what it asked for.
 */
export const HELD_BYTES_MAX = 6 * MB;
/** How long finished units may wait on a worker before they are reported. */
export const REPORT_AFTER_MS = 20;
/** A retry delay up to this is waited on the worker, without a slot; a longer one goes back to the master. */
export const LOCAL_DELAY_MAX_MS = 10_000;
/** Longest retry delay; a longer one is cut to it. */
export const RETRY_DELAY_MS_MAX = 30 * 24 * 3_600_000;
/** Units waiting on one worker for a short retry delay; more go back to the master. */
export const LOCAL_DELAYED_MAX = 4_096;
/** A worker's report not answered by Settled within this is sent again. */
export const RESEND_MS = 5_000;

/** Bytes buffered to one peer before it is cut as too slow. */
export const PEER_BUFFER_BYTES_MAX = 8 * MB;
/** How often a hub pings. Two pings without an answer, or three times this without a ping, end a connection. */
export const LINK_PING_MS = 2_000;
/** How long a closing link waits for its peers to take what was sent and to say goodbye. */
export const LINK_CLOSE_MS = 1_000;
/** Longest wait for the answer to a connection that a worker makes. */
export const LINK_HANDSHAKE_MS = 5_000;
/** A lost link is made again after a random time up to this, which doubles at each failure … */
export const LINK_RECONNECT_FIRST_MS = 100;
/** … up to this. */
export const LINK_RECONNECT_MAX_MS = 5_000;
/** How long the first connection to NATS may take before a node says that it cannot start. */
export const NATS_CONNECT_MS = 10_000;
/** Bytes a master may have under way to its NATS server: one connection carries what is for all its workers. */
export const NATS_BUFFER_BYTES_MAX = 64 * MB;
/** Bytes of units on their way, to the store or to NATS, at which a master grants no more until half have gone. */
export const LINK_FULL_BYTES = NATS_BUFFER_BYTES_MAX / 4;
/** Events buffered to one subscriber of /v1/events before it is cut. */
export const EVENTS_BUFFER_BYTES_MAX = 1 * MB;
/** Subscribers of /v1/events at once; each costs a status per changed epic and tick. */
export const EVENTS_SUBSCRIBERS_MAX = 256;
/** Epics in one message of /v1/events, and in the snapshot. */
export const EVENTS_EPICS_MAX = 100;
/** Levels of nesting in a JSON body: deeper ones exhaust the stack of whoever walks them. */
export const JSON_DEPTH_MAX = 64;
/** Epics on one page of `GET /v1/epics`. */
export const PAGE_EPICS_MAX = 500;
/** Largest body of a request that only steers (cancel). */
export const STEER_BODY_BYTES_MAX = 64 * KB;
/** Characters of the reason of a cancel. */
export const REASON_CHARS_MAX = 500;
/** How long a stopping HTTP server waits for answers under way before it cuts their sockets. */
export const HTTP_CLOSE_GRACE_MS = 2_000;
/** How long an idle HTTP connection is kept: longer than those who keep them usually do, so that they end them first. */
export const HTTP_IDLE_MS = 75_000;
/** Longest that a request may wait for its gather, by `Prefer: wait`. */
export const WAIT_MS_MAX = 60_000;
/** Requests that wait for their gather at once; more are answered at once. */
export const WAITING_MAX = 10_000;
/** Characters of an Idempotency-Key. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 255;
/** Characters of a return address. */
export const REPLY_TO_CHARS_MAX = 2_048;
/** Returns that are owed at once: beyond it who has been owed one for longest is given up. */
export const RETURNS_MAX = 20_000;
/** Returns that are under way to their addresses at once; the others wait. */
export const RETURNS_AT_ONCE = 32;
/** How long one attempt to reach a return address may take. */
export const RETURN_TIMEOUT_MS = 15_000;
/** How soon a return that failed is tried again, doubled each time … */
export const RETURN_RETRY_FIRST_MS = 5_000;
/** … up to this … */
export const RETURN_RETRY_MAX_MS = 3_600_000;
/** … and for how long since the end of the gather. */
export const RETURN_FOR_MS = 24 * 3_600_000;
/** Characters of one message or field in the log; the rest is cut. */
export const LOG_VALUE_CHARS_MAX = 4_000;
