/**
 * How a submit becomes an epic: its records go to the spool, its brief is found, the master is told.
 * Owns the way of the bytes; what a request may say is `requests.ts`, what an epic is the master's.
 *
 * With an `Idempotency-Key` the id of the epic is made of the key, and one that is there already answers for itself.
 *
 * H1: an upload goes straight to the spool, chunk by chunk; what broke off or was refused leaves nothing.
 */
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { GimmeError } from '../../shared/core/errors.ts';
import { idFrom } from '../../shared/core/ids.ts';
import type { EpicStatus, SubmitBody } from '../../shared/protocol/api.ts';
import type { MasterApi, SubmitRequest } from './api.ts';
import type { Briefs } from './briefs.ts';
import { idempotencyKeyOf } from './gatherRequests.ts';
import { keyedId } from './idempotency.ts';
import { noQuery, submitBody, submitQuery } from './requests.ts';
import { ReturnAddresses } from './returnAddresses.ts';
import type { Spool } from './spool.ts';

export type SubmitParts = {
  api: MasterApi;
  spool: Pick<Spool, 'write' | 'remove'>;
  briefs: Pick<Briefs, 'put' | 'get'>;
  /** Which return addresses may be given; none by default. */
  addresses?: Pick<ReturnAddresses, 'check'>;
};

/** Submits the records in the body of a request; its fields are in the query. */
export async function submitUpload(
  { api, spool, briefs, addresses }: SubmitParts,
  request: FastifyRequest,
  body: Readable,
): Promise<EpicStatus> {
  const { brief: hash, ...submit } = submitQuery(request.query);
  checkAddress(addresses, submit);
  const format = formatOf(request.headers['content-type'] ?? '');
  const keyed = keyOf(request);
  const brief = hash === undefined ? null : await briefOf(briefs, hash);
  return spooled({ api, spool }, { format, body: counted(body) }, { ...submit, ...keyed, brief });
}

/** Submits what a JSON body says. */
export async function submitJson(
  { api, spool, addresses }: SubmitParts,
  request: FastifyRequest,
): Promise<EpicStatus> {
  noQuery(request.query);
  const { source, brief = null, ...rest } = submitBody(request.body);
  checkAddress(addresses, rest);
  const submit = { ...rest, ...keyOf(request), brief };
  if (source.type === 'range') return api.submit({ ...submit, source });
  if (source.type === 'named') {
    const { type, name, args = null } = source;
    const id = idFrom(randomBytes(15)); // Its file is made with the first batch.
    return api.submit({ ...submit, source: { type, id, name, args: JSON.stringify(args) } });
  }
  return spooled({ api, spool }, { format: 'ndjson', body: lines(source) }, submit);
}

function checkAddress(addresses: SubmitParts['addresses'], { replyTo }: { replyTo?: string }): void {
  if (replyTo !== undefined) (addresses ?? new ReturnAddresses()).check(replyTo);
}

function keyOf({ headers }: FastifyRequest): { id?: string } {
  const key = idempotencyKeyOf(headers['idempotency-key']);
  return key === undefined ? {} : { id: keyedId(key) };
}

/** H1: whatever fails, before or after the last byte, the spool is removed again. */
async function spooled(
  { api, spool }: Pick<SubmitParts, 'api' | 'spool'>,
  { format, body }: { format: 'csv' | 'ndjson'; body: AsyncIterable<Uint8Array> },
  submit: Omit<SubmitRequest, 'source'>,
): Promise<EpicStatus> {
  const id = idFrom(randomBytes(15));
  try {
    return await api.submit({ ...submit, source: await spool.write(format, body, id) });
  } catch (error) {
    await spool.remove(id);
    throw error;
  }
}

/** The body of an upload; one that breaks off ends in an error that names how far it came. */
async function* counted(body: Readable): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += (chunk as Uint8Array).length;
      yield chunk as Uint8Array;
    }
  } catch (cause) {
    const message = `the upload broke off after ${bytes} bytes; nothing was submitted, send it again`;
    throw new GimmeError('bad_source', message, { cause });
  }
}

async function* lines(source: Extract<SubmitBody['source'], { type: 'units' }>): AsyncGenerator<Uint8Array> {
  for (const unit of source.units) yield Buffer.from(`${JSON.stringify(unit)}\n`);
}

function formatOf(contentType: string): 'csv' | 'ndjson' {
  const charset = /;\s*charset="?([^";\s]+)/i.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8';
  if (!['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    throw new GimmeError(
      'bad_request',
      'Content-Type has a charset other than utf-8; send the file as UTF-8',
    );
  }
  return /^\s*text\/csv/i.test(contentType) ? 'csv' : 'ndjson';
}

async function briefOf(briefs: SubmitParts['briefs'], hash: string): Promise<unknown> {
  let bytes: Buffer;
  try {
    bytes = await briefs.get(hash);
  } catch (cause) {
    const unknown =
      (cause as { code?: unknown }).code === 'not_found' || (cause as { code?: unknown }).code === 'ENOENT';
    if (!unknown) throw cause;
    throw new GimmeError('bad_request', `field brief: no brief ${hash} here; POST it to /v1/briefs first`, {
      cause,
    });
  }
  return JSON.parse(bytes.toString());
}
