/** What a master publishes beside its link over NATS: told where it was asked for, and said so only when it is so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { natsPermissions } from '../../shared/io/bus/natsSubjects.ts';
import { BareNats } from '../tools/bareNats.ts';
import { natsServers } from '../tools.ts';
import { withNats } from './natsRig.ts';
import { Watch } from './watch.ts';

const TEST = { timeout: 120_000 };
const body = Buffer.from('{"type":"gather.finished"}');

function usersOf(prefix: string, mayReply: boolean): string {
  const { publish, subscribe } = natsPermissions(prefix).master;
  const allowed = publish.filter((subject) => mayReply || !subject.includes('.reply.'));
  const permissions = `{ publish: ${JSON.stringify(allowed)}, subscribe: ${JSON.stringify(subscribe)} }`;
  const master = `{ user: master, password: master, permissions: ${permissions} }`;
  return `authorization { users: [${master}, { user: asker, password: asker }] }`;
}

const auth = { type: 'user', user: 'master', password: 'master' } as const;

for (const { path, version } of natsServers()) {
  test(
    `nats ${version}: a reply is heard at its subject, under the prefix and the master's rights`,
    TEST,
    () =>
      withNats(path, usersOf('fleet.one', true), async (rig) => {
        const master = rig.master({ prefix: 'fleet.one', auth });
        await assert.rejects(master.reply('order-7', body), { code: 'link_down' });
        await master.open(new Watch());
        const asker = await BareNats.connect(rig.server.port, { user: 'asker', pass: 'asker' });
        asker.subscribe('fleet.one.reply.order-7');
        await asker.said();
        await master.reply('order-7', body);
        await master.reply('order-8', body);
        assert.equal(
          await asker.said(),
          `MSG fleet.one.reply.order-7 1 ${body.length}\r\n${String(body)}\r\n`,
        );
        asker.end();
        await rig.server.kill();
        await assert.rejects(master.reply('order-7', body));
      }),
  );

  test(`nats ${version}: a reply that the server does not permit is no reply`, TEST, () =>
    withNats(path, usersOf('gimmework', false), async (rig) => {
      const master = rig.master({ auth });
      await master.open(new Watch());
      await assert.rejects(master.reply('order-7', body), {
        code: 'nats_refused',
        message: /reply\.order-7/,
      });
    }),
  );
}
