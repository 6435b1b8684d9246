/**
 * The closed table of errors: every code that a person or a program can meet, with its HTTP status,
 * its exit code, whether trying again can help, and what happens next. `docs/errors.md` is made from it.
 */

type ErrorRow = { status: number; exit: number; retryable: boolean; next: string };

const row = (status: number, exit: number, retryable: boolean, next: string): ErrorRow => ({
  status,
  exit,
  retryable,
  next,
});

export const ERRORS = {
  // Requests and the command line
  usage: row(
    400,
    2,
    false,
    'Correct the command as the message says; `gimme <command> --help` lists its options.',
  ),
  bad_request: row(400, 2, false, 'Correct the field that the message names and send the request again.'),
  bad_deadline: row(
    422,
    2,
    false,
    'Give a deadline that is still to come: a duration from now, such as `2m`.',
  ),
  bad_brief: row(422, 2, false, 'Correct the brief at the field, line and column that the message names.'),
  bad_source: row(422, 2, false, 'Correct the source: the message names the file or the row.'),
  bad_works: row(
    400,
    2,
    false,
    'Correct the works module that the message names; it must export a defineWork(...).',
  ),
  bad_config: row(400, 2, false, 'Correct the settings that the message lists.'),
  not_found: row(404, 7, false, 'Check the id or name; `gimme epic ls` lists the epics.'),
  ambiguous_name: row(409, 7, false, 'Several epics have this name; use the id.'),
  wrong_state: row(409, 8, false, 'The epic is not in a state that allows this; `gimme epic get` shows it.'),
  too_large: row(413, 2, false, 'The message names the limit; put larger data elsewhere and refer to it.'),
  too_many_epics: row(503, 1, true, 'Wait for running epics to finish, then submit again.'),
  no_worker_offers: row(
    409,
    2,
    false,
    'Start a worker with this work, or leave out --strict and let the epic wait.',
  ),
  idempotency_conflict: row(422, 2, false, 'The key was used with another payload; use a new key.'),
  precondition_failed: row(
    412,
    8,
    false,
    'It changed since its ETag was read: read it again, and send the change again if it is still wanted.',
  ),
  bad_reply_to: row(
    422,
    2,
    false,
    'Give a webhook on a public address, or `gimmework.reply.<id>` where the link is NATS; the message says which.',
  ),
  wait_timeout: row(504, 3, true, 'The epic goes on; wait again with a longer --timeout.'),
  epic_failed: row(409, 5, false, 'The epic failed or was cancelled; `gimme epic get` gives the reason.'),
  epic_incomplete: row(
    200,
    6,
    false,
    'Finished with failed, unknown or missing units; `gimme epic get` counts them.',
  ),
  detached: row(200, 130, false, 'The epic runs on; `gimme epic watch` follows it again.'),
  bad_scatter: row(
    409,
    5,
    false,
    'Nothing was sent: correct what the scatter gives, as the message says, and ask again.',
  ),
  quorum_missed: row(
    409,
    5,
    false,
    'Fewer answered than the gather needs; its answers are kept: ask again, with more time or a lower quorum.',
  ),
  scatter_failed: row(409, 5, false, 'Nothing was sent: the scatter threw at every attempt; ask again.'),
  fold_failed: row(
    409,
    5,
    false,
    'The answers are kept (`gimme epic results`); correct the fold as the message says and ask again.',
  ),
  fold_not_offered: row(
    409,
    5,
    false,
    'The answers are kept (`gimme epic results`); start a worker that offers the gather and ask again.',
  ),
  source_failed: row(
    409,
    5,
    false,
    'What was read of the source before is done; correct the source as the message says and submit the rest again.',
  ),
  // Nodes
  port_taken: row(500, 1, false, 'Stop what listens there or choose another address with --listen.'),
  master_unreachable: row(
    503,
    1,
    true,
    'Start `gimme master`, or name the right one by --master or GIMMEWORK_MASTER.',
  ),
  smtp_unreachable: row(
    503,
    1,
    true,
    'Start the SMTP server, or name the right one by --smtp or GIMMEWORK_SMTP_URL.',
  ),
  nats_unreachable: row(
    503,
    1,
    true,
    'Start nats-server, or name the right address by --nats or GIMMEWORK_NATS.',
  ),
  nats_refused: row(
    403,
    4,
    false,
    'Check the credentials given for NATS, and what the server permits to them.',
  ),
  nats_unfit: row(500, 1, false, 'Change the setting of the NATS server that the message names.'),
  link_down: row(503, 1, true, 'The link is being made again; nothing is lost.'),
  link_refused: row(
    403,
    4,
    false,
    'The master refused this worker; check the address given by --master and both versions.',
  ),
  protocol_version: row(400, 1, false, 'Run the same version of Gimmework on master and worker.'),
  bad_message: row(
    400,
    1,
    false,
    'A peer sent what the protocol does not allow; it was refused and counted.',
  ),
  peer_too_slow: row(503, 1, true, 'The peer did not read in time and was cut; it connects again by itself.'),
  data_in_use: row(
    409,
    1,
    false,
    'One process owns a data directory; stop that one or choose another --data.',
  ),
  data_newer: row(409, 1, false, 'Run the version that wrote the data directory, or a newer one.'),
  data_older: row(
    409,
    1,
    false,
    'Finish or cancel its epics with the version that wrote the data directory, or start with an empty one.',
  ),
  data_corrupt: row(500, 1, false, 'Restore the data directory from a backup, or start with an empty one.'),
  source_damaged: row(
    500,
    1,
    false,
    'The epic is paused and skips nothing: restore the file that it names and resume it, or cancel it and submit it again.',
  ),
  disk_full: row(503, 1, true, 'Make room; it goes on by itself, nothing is lost.'),
  store_failed: row(503, 1, true, 'The store refused a write; the message names the cause.'),
  internal: row(500, 1, false, 'A fault in Gimmework; the log has its story. Please report it.'),
  // Outcomes of units
  invalid_unit: row(
    200,
    6,
    false,
    'The record does not fit; the message names record and field. Correct it and submit it again.',
  ),
  unit_too_large: row(200, 6, false, 'The record is over the size limit; put larger data elsewhere.'),
  unclosed_quote: row(
    200,
    6,
    false,
    'The record opens a quote that is not closed; close it and submit that record again.',
  ),
  invalid_recipient: row(
    200,
    6,
    false,
    'The address is not one valid mailbox; correct it and submit it again.',
  ),
  step_failed: row(200, 6, false, 'A step threw; the message is what it said.'),
  not_cloneable: row(
    200,
    6,
    false,
    'A step in a thread was given or returned what cannot be copied; return plain data, or leave out thread: true.',
  ),
  step_timeout: row(200, 6, true, 'A step took longer than its timeout.'),
  retries_exhausted: row(200, 6, false, 'Every attempt failed; the message is that of the last one.'),
  state_not_kept: row(
    200,
    6,
    false,
    'Return plain JSON of at most 256 KB from the step named, larger data by reference, so that the unit can wait elsewhere.',
  ),
  smtp_deferred: row(200, 6, true, 'The mail server asked to try later; the mail is tried again by itself.'),
  smtp_rejected: row(200, 6, false, 'The mail server refused for good; the message is its reply.'),
  effect_unknown: row(
    200,
    6,
    false,
    'Nobody can know whether the effect happened (RFC 1047); a person decides.',
  ),
  result_too_large: row(
    200,
    6,
    false,
    'The answer of the unit is over 256 KB as JSON; put larger data elsewhere and answer where it is.',
  ),
  result_not_json: row(200, 6, false, 'The answer of the unit cannot be written as JSON; return plain data.'),
  lease_expired: row(200, 6, false, 'The worker was lost after the effect began; a person decides.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * An operating error: something outside the code went wrong and the person can do something about it.
 * The message names what, where and what to do, in one line.
 */
export class GimmeError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'GimmeError';
    this.code = code;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  get exitCode(): number {
    return ERRORS[this.code].exit;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** Ends a switch over a closed union: reaching it is a programmer's error. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** Stops the program when an invariant does not hold; `story` says what led here, and `about` what would be long. */
export function assert(condition: unknown, story: string, about?: unknown): asserts condition {
  if (condition) return;
  const told = about === undefined ? '' : `: ${JSON.stringify(about)}`;
  throw new Error(`invariant broken: ${story}${told}`);
}
