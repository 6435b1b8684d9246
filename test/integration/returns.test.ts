/** The return address of a gather: told by a signed webhook once it is over, also by the master that comes after. */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { GATHERING_WORKS, withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';
import type { Process } from '../processes/process.ts';

type Call = { headers: IncomingHttpHeaders; body: string };

test(
  'a webhook is told with a signature, again after a refusal and by the next master, and then no more',
  withCluster(async (c) => {
    const secret = randomBytes(32);
    await writeFile(c.path('secrets'), `whsec_${secret.toString('base64')}\n`);
    const calls: Call[] = [];
    let status = 503;
    let onCall = (): void => {};
    const receiver = createServer((request, response) => {
      void text(request).then((body) => {
        calls.push({ headers: request.headers, body });
        response.writeHead(status).end();
        onCall();
      });
    }).listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const target = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const called = (): Promise<void> =>
      new Promise((resolve) => {
        onCall = resolve;
      });
    const master = (port: number): Promise<Process> =>
      c.ready(
        c.gimme(
          ...['master', '--listen', `127.0.0.1:${port}`, '--data', c.path('data')],
          ...['--webhook-secret-file', c.path('secrets'), '--webhook-allow', target],
        ),
      );
    try {
      const port = await lastingPort();
      const dies = await master(port);
      c.gimme('worker', '--master', c.url, '--works', GATHERING_WORKS);
      const ask = (replyTo: string): Promise<Response> =>
        fetch(`${c.url}/v1/gathers/squares`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ input: { count: 3 }, name: 'told', replyTo }),
        });
      assert.equal((await ask('http://127.0.0.1:1/')).status, 422, 'a private address that is not allowed');
      const first = called();
      assert.equal((await ask(`http://${target}/hook`)).status, 202);
      await first;
      status = 204;
      const again = called();
      await dies.end('SIGKILL');
      const tells = await master(port);
      await again;
      const [refused, told] = calls;
      assert.ok(refused && told);
      const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = told.headers;
      const mac = createHmac('sha256', secret).update([id, at, told.body].join('.')).digest('base64');
      assert.equal(signature, `v1,${mac}`);
      assert.equal(refused.headers['webhook-id'], id);
      const { type, data } = JSON.parse(told.body) as { type: string; data: Record<string, unknown> };
      assert.deepEqual([type, data['name'], data['complete']], ['gather.finished', 'told', true]);
      await tells.end('SIGTERM');
      await master(port);
      assert.equal((await (await c.client.epic('told')).status()).state, 'finished');
      assert.equal(calls.length, 2, 'nobody is told again');
    } finally {
      receiver.close();
      receiver.closeAllConnections();
    }
  }),
);
