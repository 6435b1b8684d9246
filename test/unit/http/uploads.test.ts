/** Uploads by HTTP: one that breaks off leaves nothing, and none is taken faster than it is written. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildHttp } from '../../../master/io/http.ts';
import { Spool } from '../../../master/io/spool.ts';
import { FakeMaster } from './fakeMaster.ts';
import { fakeParts, serveFake } from './server.ts';

test('an upload that breaks off half-way leaves neither epic nor file', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'gimmework-http-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const spool = await Spool.open(dir);
  const api = new FakeMaster();
  const removed = deferred();
  const parts = {
    ...fakeParts(),
    api,
    spool: {
      write: spool.write.bind(spool),
      remove: async (id: string) => {
        await spool.remove(id);
        removed.resolve();
      },
    },
  };
  const app = buildHttp(parts);
  t.after(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const head =
    'POST /v1/epics?work=greet HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 1000000\r\n\r\n';
  socket.write(`${head}email\n${'a@b.c\n'.repeat(50_000)}`, () => socket.destroy());
  await removed.promise;
  assert.equal(api.submitted.length, 0);
  assert.deepEqual(await readdir(join(dir, 'spool')), []);
  assert.doesNotMatch(parts.log.lines.join(), /error/);
});

function deferred() {
  let resolve = (): void => {};
  const promise = new Promise<void>((r) => {
    resolve = r;
  });
  return { promise, resolve };
}

test('an upload is taken no faster than the spool takes it, and memory does not grow with it', async (t) => {
  const { url, spool } = await serveFake(t);
  const chunk = Buffer.alloc(64 * 1024, 'a,b,c\n');
  let produced = 0;
  let taken = 0;
  let ahead = 0;
  spool.took = async (piece) => {
    taken += piece.length;
    ahead = Math.max(ahead, produced - taken);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const upload = async (bytes: number): Promise<number> => {
    async function* body() {
      for (const end = produced + bytes; produced < end; produced += chunk.length) yield chunk;
    }
    const answer = await fetch(`${url}/v1/epics?work=greet`, {
      method: 'POST',
      headers: { 'content-type': 'text/csv' },
      body: body(),
      // Together these keep fetch itself from holding the whole body.
      ...{ duplex: 'half', redirect: 'error', window: null },
    } as unknown as RequestInit);
    assert.equal(answer.status, 202, await answer.text());
    return process.memoryUsage().rss;
  };
  const small = await upload(50 * 1024 * 1024);
  const large = await upload(150 * 1024 * 1024);
  assert.equal(taken, produced);
  assert.ok(ahead < 16_000_000, `${ahead} bytes were waiting between sender and spool`);
  assert.ok(large - small < 60_000_000, `memory grew by ${large - small} bytes`);
});
