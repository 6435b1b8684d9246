/** An epic with a deadline and a return address, from the command line: it ends in time and says so, though its master is killed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Reply } from '../../shared/protocol/api.ts';
import { within } from '../cluster/signals.ts';
import { withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';
import type { Process } from '../processes/process.ts';

test(
  'a deadline that no worker keeps is kept by the next master, which tells the return address',
  withCluster(async (c) => {
    const receiver = createServer().listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const target = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const told = new Promise<Reply>((resolve) => {
      receiver.on('request', (request, response) => {
        void text(request).then((body) => {
          response.writeHead(204).end();
          resolve(JSON.parse(body) as Reply);
        });
      });
    });
    const secrets = await c.write('secrets', `whsec_${Buffer.alloc(32, 7).toString('base64')}\n`);
    const master = (port: number): Promise<Process> => {
      const where = ['--listen', `127.0.0.1:${port}`, '--data', c.path('data')];
      return c.ready(
        c.gimme('master', ...where, '--webhook-secret-file', secrets, '--webhook-allow', target),
      );
    };
    try {
      const port = await lastingPort();
      const dies = await master(port);
      const ask = ['epic', 'submit', 'nobodys', '--source', 'range:0-3000', '--name', 'timed', '-o', 'json'];
      const past = await c.run(...ask, '--deadline', '-1s');
      assert.equal(past.code, 2, past.err);
      const submitted = await c.run(...ask, '--deadline', '1s', '--reply-to', `http://${target}/hook`);
      assert.equal(submitted.code, 0, submitted.err);
      const { id, deadlineAt, submittedAt } = JSON.parse(submitted.out);
      assert.equal(Date.parse(deadlineAt) - Date.parse(submittedAt), 1_000);
      await dies.end('SIGKILL');
      await master(port);
      const waited = await c.run('epic', 'wait', 'timed');
      assert.equal(waited.code, 6, waited.err);
      const { type, data } = await within(told, () => 'the return address to be told');
      assert.deepEqual(
        [type, data.id, data.totals.read, data.totals.missing],
        ['epic.finished', id, 3_000, 3_000],
      );
    } finally {
      receiver.close();
      receiver.closeAllConnections();
    }
  }),
);
