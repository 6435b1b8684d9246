/** A fake master to ask gathers of, and what is sent to it. */
import type { TestContext } from 'node:test';
import type { InjectOptions } from 'fastify';
import { buildHttp } from '../../../master/io/http.ts';
import { ReturnAddresses } from '../../../master/io/returnAddresses.ts';
import { fakeParts } from './server.ts';

export function build(t: TestContext) {
  const parts = fakeParts();
  const addresses = new ReturnAddresses({ webhooks: { secrets: [], allow: new Set(['127.0.0.1:8080']) } });
  const app = buildHttp({ ...parts, addresses });
  t.after(() => app.close());
  return { ...parts, app };
}

export const get = (url: string, headers: Record<string, string> = {}): InjectOptions => ({
  method: 'GET',
  url,
  headers,
});
export const ask = (body: unknown, headers: Record<string, string> = {}): InjectOptions => ({
  method: 'POST',
  url: '/v1/gathers/fleet-report',
  headers: { 'content-type': 'application/json', ...headers },
  payload: JSON.stringify(body),
});
