/** Serves a fake master on a free loopback port for the length of a test. */
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { buildHttp, type HttpParts } from '../../../master/io/http.ts';
import { FakeBriefs, FakeMaster, FakeSpool, memoryLog } from './fakeMaster.ts';

export function fakeParts() {
  return {
    api: new FakeMaster(),
    spool: new FakeSpool(),
    briefs: new FakeBriefs(),
    log: memoryLog(),
    version: '1.2.3',
  };
}

export async function serveFake(t: TestContext, more: Partial<HttpParts> = {}) {
  const parts = fakeParts();
  const app = buildHttp({ ...parts, ...more });
  t.after(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return { ...parts, app, port, url: `http://127.0.0.1:${port}` };
}
