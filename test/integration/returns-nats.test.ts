/** The return address of a gather where the link is NATS: a subject, on which whoever asked listens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GATHERING_WORKS, withCluster } from '../processes/cluster.ts';
import { until } from '../processes/until.ts';
import { BareNats } from '../tools/bareNats.ts';

test(
  'a subject is told of the end, and no other one may be given',
  withCluster(async (c) => {
    const server = await c.nats();
    const nats = ['--nats', `nats://127.0.0.1:${server.port}`];
    await c.ready(c.gimme('master', '--listen', '127.0.0.1:0', '--data', c.path('data'), ...nats));
    c.gimme('worker', ...nats, '--works', GATHERING_WORKS);
    const asker = await BareNats.connect(server.port);
    const replyTo = 'gimmework.reply.order-7';
    asker.subscribe(replyTo);
    await asker.said();
    for (const wrong of ['gimmework.w.x', 'gimmework.reply.*', 'https://a.example/'])
      await assert.rejects(c.client.gather('squares', {}, { replyTo: wrong }), { code: 'bad_reply_to' });
    const epic = await c.client.gather('squares', { count: 2 }, { replyTo });
    assert.equal(epic.first.gather?.replyTo, replyTo);
    let said = '';
    const heard = async (): Promise<string> => {
      said += await asker.said();
      return said;
    };
    await until('it is told', heard, (text) => text.includes('}\r\n'));
    const body = /MSG gimmework\.reply\.order-7 1 \d+\r\n(.*)\r\n/.exec(said)?.[1] ?? '';
    const { type, data } = JSON.parse(body) as { type: string; data: Record<string, unknown> };
    assert.deepEqual([type, data['id'], data['complete']], ['gather.finished', epic.id, true]);
    asker.end();
  }),
);
