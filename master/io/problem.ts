/**
 * How an error leaves by HTTP: as a problem document (RFC 9457) with a code of the closed table.
 * Owns the translation only; a stack or the text of an unexpected error never leaves.
 */
import { GimmeError } from '../../shared/core/errors.ts';
import type { Problem } from '../../shared/protocol/api.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** Makes the problem document of an error. */
export function problemOf(error: GimmeError): Problem {
  return {
    type: `urn:gimmework:error:${error.code}`,
    title: error.code.replaceAll('_', ' '),
    status: error.status,
    detail: error.message,
    code: error.code,
    retryable: error.retryable,
  };
}

/** Turns anything thrown while answering a request into an error with a code; what has none becomes `internal`. */
export function gimmeErrorOf(thrown: unknown): GimmeError {
  if (thrown instanceof GimmeError) return thrown;
  const { code, statusCode, message } = facts(thrown);
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new GimmeError('too_large', 'the body is larger than this call takes; put larger data elsewhere');
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new GimmeError(
      'bad_request',
      'Content-Type is not one that this call takes; see the API reference',
    );
  }
  if (code === 'FST_ERR_CTP_EMPTY_JSON_BODY') {
    return new GimmeError('bad_request', 'the body is empty; send a JSON value');
  }
  if (statusCode >= 400 && statusCode < 500) return new GimmeError('bad_request', oneLine(message));
  return new GimmeError('internal', 'a fault in the master; its log has the story', { cause: thrown });
}

function facts(thrown: unknown): { code: string; statusCode: number; message: string } {
  const { code, statusCode, message } = (thrown ?? {}) as Record<string, unknown>;
  return {
    code: typeof code === 'string' ? code : '',
    statusCode: typeof statusCode === 'number' ? statusCode : 500,
    message: typeof message === 'string' ? message : String(thrown),
  };
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 500);
}
