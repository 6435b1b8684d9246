/**
 * Requests to a master and how their failures read. Every failure is a GimmeError: with the code the master gave, or
 * `master_unreachable`.
 */
import { ERRORS, type ErrorCode, GimmeError } from '../shared/core/errors.ts';
import type { Problem } from '../shared/protocol/api.ts';

export type Call = {
  method?: string;
  body?: unknown;
  stream?: { type: string; body: AsyncIterable<Uint8Array> };
  headers?: Record<string, string>;
};

export type Answered = { answer: Response; value: unknown };

export class Calls {
  readonly #master: string;
  readonly #fetch: typeof fetch;

  constructor(master: string, fetcher: typeof fetch) {
    this.#master = master;
    this.#fetch = fetcher;
  }

  /** The JSON object that a call answers with. */
  async object<T>(path: string, call?: Call): Promise<T> {
    return (await this.answered<T>(path, call)).value;
  }

  /** The same, and the status. A redirect that carries what was asked for is an answer like others. */
  async answered<T>(path: string, call?: Call): Promise<{ status: number; value: T }> {
    const { answer, value } = await this.ask(path, call);
    if (!answer.ok && answer.status !== 303) throw errorOf(this.#master, answer.status, value);
    if (typeof value !== 'object' || value === null) throw errorOf(this.#master, answer.status, undefined);
    return { status: answer.status, value: value as T };
  }

  /** Any answer, with what it is as JSON. */
  async ask(path: string, call: Call = {}): Promise<Answered> {
    const answer = await this.#send(path, call);
    try {
      return { answer, value: parsed(await answer.text()) };
    } catch (cause) {
      throw unreachableMaster(this.#master, cause);
    }
  }

  /** The bytes of an answer, as they come. */
  async *bytes(path: string): AsyncGenerator<Uint8Array> {
    const answer = await this.#send(path, { headers: { accept: '*/*' } });
    if (!answer.ok || !answer.body) throw errorOf(this.#master, answer.status, parsed(await answer.text()));
    try {
      yield* answer.body as unknown as AsyncIterable<Uint8Array>;
    } catch (cause) {
      throw unreachableMaster(this.#master, cause);
    }
  }

  async #send(path: string, { method = 'GET', body, stream, headers }: Call): Promise<Response> {
    // With both `redirect: 'error'` and no window, fetch sends a stream as it is; otherwise it keeps a
    // second branch of it for a redirect, which holds the whole upload in memory (Fetch, section 4.6).
    const init: RequestInit = { method, redirect: stream ? 'error' : 'manual', window: null };
    const given: Record<string, string> = { accept: 'application/json', ...headers };
    if (stream) {
      given['content-type'] = stream.type;
      Object.assign(init, { body: stream.body, duplex: 'half' });
    } else if (body !== undefined) {
      given['content-type'] = 'application/json';
      init.body = JSON.stringify(body);
    }
    for (let again = method === 'GET'; ; again = false) {
      try {
        return await this.#fetch(this.#master + path, { ...init, headers: given });
      } catch (cause) {
        // A kept connection may be ended while a request is on its way: a look is made once more (RFC 9110, 9.2.2).
        if (!again || !isBrokenOff(cause)) throw unreachableMaster(this.#master, cause);
      }
    }
  }
}

function isBrokenOff(thrown: unknown): boolean {
  const { code } = ((thrown as { cause?: unknown }).cause ?? {}) as { code?: string };
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

/** The query of a path; fields that are not there are left out. */
export function queryOf(fields: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query.set(name, String(value));
  return query.toString();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error in an answer; one that is no problem document comes from no master. */
export function errorOf(master: string, status: number, value: unknown): GimmeError {
  const { code, detail, links } = (value ?? {}) as Partial<Problem> & { links?: { results?: string } };
  // A gather that failed: its code may be the work's own.
  if (links?.results !== undefined && typeof detail === 'string')
    return new GimmeError('epic_failed', detail);
  if (typeof code === 'string' && Object.hasOwn(ERRORS, code) && typeof detail === 'string') {
    return new GimmeError(code as ErrorCode, detail);
  }
  return new GimmeError(
    'master_unreachable',
    `what answers at ${master} is not a Gimmework master (HTTP ${status}); check the address`,
  );
}

/** The error of a request that got no answer. */
export function unreachableMaster(master: string, thrown: unknown): GimmeError {
  const cause = (thrown as { cause?: unknown }).cause ?? thrown;
  const { code, message } = cause as { code?: string; message?: string };
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'no such host',
    EAI_AGAIN: 'no such host',
    ECONNRESET: 'connection broken off',
    UND_ERR_SOCKET: 'connection broken off',
    EPIPE: 'connection broken off',
  };
  const why = words[code ?? ''] ?? message ?? String(thrown);
  return new GimmeError(
    'master_unreachable',
    `no master answers at ${master} (${why}); start one with \`gimme master\` or name it by --master or GIMMEWORK_MASTER`,
    { cause: thrown },
  );
}
