/**
 * What a failed send means for its unit. Owns the classification of everything that can go wrong
 * between a worker and an SMTP server; the conversation itself is the mailer's.
 *
 * S1: a reply decides. 4yz is tried again, 5yz is for good (RFC 5321 §4.2.1).
 * S2: without a reply, a mail whose final dot may have been written is `unknown`, and no other:
 *     nobody can know whether the server took it (RFC 1047).
 * S3: a fault of the session (connection, greeting, TLS, login) never counts against the mail.
 */
import { FAULT_MESSAGE_CHARS_MAX } from '../../shared/core/limits.ts';
import { PermanentError, RetryableError, UnknownOutcomeError } from '../../shared/core/work.ts';

/** How far a mail had come; written by the mailer while it is under way. */
export type Passage = {
  /** A session that was ready took the mail: MAIL was said, or was about to be. */
  handedOver: boolean;
  /** DATA was granted: the body began to be read. */
  bodyBegun(): boolean;
  /** The body was read to its end, so its final dot may be on the wire. */
  bodyEnded: boolean;
};

/** The parts of nodemailer's errors that are read here. */
type SmtpFault = { code?: unknown; responseCode?: unknown; response?: unknown; command?: unknown };

/** Replies that speak of the session's login, whatever command they answer (RFC 4954 §6). */
const LOGIN_REPLIES = [530, 534, 535, 538];
/** Bad sequence of commands: says nothing of the mail. */
const BAD_SEQUENCE = 503;
/** nodemailer's codes for a session that could not be made. */
const SESSION_CODES = ['EAUTH', 'ENOAUTH', 'EOAUTH2', 'ETLS', 'EDNS', 'EPROXY', 'EPROTOCOL'];

export type SendFault = RetryableError | PermanentError | UnknownOutcomeError;

/** Says what a failed send means. `server` is `host:port`. */
export function sendFault(error: unknown, passage: Passage, server: string): SendFault {
  const { code, responseCode, response, command } = parts(error);
  const reply = typeof responseCode === 'number' ? responseCode : 0;
  const said = oneLine(typeof response === 'string' && response !== '' ? response : messageOf(error));
  if (code === 'EAUTH' || LOGIN_REPLIES.includes(reply)) {
    return retryable('smtp_unreachable', `${server} refused the login, check --smtp: ${said}`, error);
  }
  if (reply >= 400 && reply < 500) return retryable('smtp_deferred', `${server} answered ${said}`, error);
  const ofSession = !passage.handedOver && typeof code === 'string' && SESSION_CODES.includes(code);
  if (reply >= 500 && reply < 600 && reply !== BAD_SEQUENCE && !ofSession) {
    return new PermanentError(`${server} answered ${said}`, { code: 'smtp_rejected', cause: error });
  }
  if (passage.bodyEnded && reply !== BAD_SEQUENCE) {
    return new UnknownOutcomeError(`${server} took the whole mail, then no valid reply came: ${said}`, {
      code: 'effect_unknown',
      cause: error,
    });
  }
  if (reply === 0 && isRefusedHere(code, response, command)) {
    return new PermanentError(`the mail cannot be sent: ${said}`, { code: 'smtp_rejected', cause: error });
  }
  if (code === 'EABORT') return retryable('step_failed', `stopped before ${server} had the mail`, error);
  return retryable('smtp_unreachable', `the mail did not reach ${server}: ${said}`, error);
}

/**
 * Tells whether a session that had been ready was found dead before it granted DATA: the server closed
 * it while it was idle, or closed it at once. Nothing was sent, so another session may be tried now.
 */
export function isStaleSession(error: unknown, passage: Passage): boolean {
  const { code, responseCode } = parts(error);
  if (!passage.handedOver || passage.bodyBegun() || typeof responseCode === 'number') return false;
  return code === 'ECONNECTION' || code === 'ESOCKET';
}

/**
 * The class of the reply that a failed send got, for counting; `none` where no valid one came. Nothing where none
 * was waited for: the mail was refused or stopped on this side.
 */
export function replyClass(error: unknown): '2xx' | '4xx' | '5xx' | 'none' | undefined {
  const { code, responseCode, response, command } = parts(error);
  const digit = typeof responseCode === 'number' ? Math.floor(responseCode / 100) : 0;
  if (digit === 2 || digit === 4 || digit === 5) return `${digit}xx`;
  return code === 'EABORT' || isRefusedHere(code, response, command) ? undefined : 'none';
}

/** Refused by nodemailer itself before a byte went out: an address it does not take, a mail over SIZE. */
function isRefusedHere(code: unknown, response: unknown, command: unknown): boolean {
  if (code !== 'EENVELOPE' && code !== 'EMESSAGE') return false;
  return response === undefined && (command === 'API' || command === 'MAIL FROM');
}

function retryable(code: string, message: string, cause: unknown): RetryableError {
  return new RetryableError(message, { code, cause });
}

function parts(error: unknown): SmtpFault {
  return typeof error === 'object' && error !== null ? error : {};
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A server's reply as one line of a failure's message. */
export function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, FAULT_MESSAGE_CHARS_MAX - 100);
}
