/**
 * The result of a gather as it leaves by HTTP: its value streamed within a JSON document, its raw answers line by line.
 * Nothing of either is held whole: both may be larger than memory.
 */
import { Readable } from 'node:stream';
import { GimmeError } from '../../shared/core/errors.ts';
import type { EpicStatus, Problem } from '../../shared/protocol/api.ts';
import type { GatherResult } from './api.ts';
import { problemOf } from './problem.ts';

/** `{ complete, missing, failed, value }` and how many bytes that is. */
export function resultDocument(result: GatherResult): { bytes: number; body: Readable } {
  const { complete, missing, failed, value } = result;
  const head = `${JSON.stringify({ complete, missing, failed }).slice(0, -1)},"value":`;
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(head);
    for await (const chunk of value) yield chunk as Uint8Array;
    yield Buffer.from('}');
  }
  return {
    bytes: Buffer.byteLength(head) + result.bytes + 1,
    body: Readable.from(parts(), { objectMode: false }),
  };
}

/** Why a gather that is over has no result; its answers are kept, and linked. */
export function failureOf({
  name,
  state,
  fault,
  reason,
  links,
}: EpicStatus): Problem & Record<string, unknown> {
  const why = fault ? `${fault.code}: ${fault.message}` : (reason ?? 'no reason was given');
  const about = `gather ${name} ${state === 'cancelled' ? 'was cancelled' : 'failed'}: ${why}; its answers are kept`;
  const problem = problemOf(new GimmeError('epic_failed', about));
  const code = fault?.code ?? problem.code;
  return {
    ...problem,
    ...(fault && { type: `urn:gimmework:error:${code}`, title: code.replaceAll('_', ' '), code, fault }),
    links: { self: links.self, results: `${links.self}/results` },
  };
}

type Answers = AsyncIterable<{ unit: number; bytes: Uint8Array }>;

/** A line for each answer: `{"unit":0,"answer":…}`. */
export function ndjsonOf(answers: Answers): Readable {
  return Readable.from(ndjsonLines(answers), { objectMode: false });
}

/** A record for each answer (RFC 4180): its unit, and the answer as JSON, which keeps what has no columns. */
export function csvOf(answers: Answers): Readable {
  return Readable.from(csvRecords(answers), { objectMode: false });
}

async function* ndjsonLines(answers: Answers): AsyncGenerator<Uint8Array> {
  for await (const { unit, bytes } of answers)
    yield Buffer.concat([Buffer.from(`{"unit":${unit},"answer":`), bytes, Buffer.from('}\n')]);
}

async function* csvRecords(answers: Answers): AsyncGenerator<Uint8Array> {
  yield Buffer.from('unit,answer\r\n');
  for await (const { unit, bytes } of answers) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
    yield Buffer.from(`${unit},"${text.replaceAll('"', '""')}"\r\n`);
  }
}
