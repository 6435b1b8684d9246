/** Downloads one report. Owns what each answer of the API means: try again and when, or never. */
import { PermanentError, RetryableError } from '../../client/index.ts';
import type { ClientReport, ReportName } from './report.ts';

/** Throws RetryableError, with `afterMs` where the API said when, or PermanentError. */
export async function download(
  api: string,
  { client, day }: ReportName,
  signal: AbortSignal,
): Promise<ClientReport> {
  const url = `${api}/clients/${encodeURIComponent(client)}/reports/${encodeURIComponent(day)}`;
  const response = await answerOf(() => fetch(url, { signal }));
  if (response.ok) return (await answerOf(() => response.json())) as ClientReport;
  await response.body?.cancel();
  const { status } = response;
  const message = `the API answered ${status}`;
  if (status !== 429 && status < 500) throw new PermanentError(message, { code: `http_${status}` });
  const afterMs = retryAfterMs(response.headers.get('retry-after'), Date.now());
  throw new RetryableError(message, { code: `http_${status}`, ...(afterMs !== undefined && { afterMs }) });
}

/** A connection that is refused, reset or cut in the middle of a body is tried again. */
async function answerOf<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    throw new RetryableError('the connection broke off', { code: 'connection', cause });
  }
}

/**
 * Milliseconds that `Retry-After` asks for: seconds, or a date (RFC 9110, section 10.2.3), and up to as long again,
 * so that all who were told the same do not come back at the same moment.
 */
export function retryAfterMs(header: string | null, nowMs: number, random = Math.random): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) && ms >= 0 ? ms * (1 + random()) : undefined;
}
