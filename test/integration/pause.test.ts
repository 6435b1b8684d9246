/** Pausing in the middle of a newsletter: what had begun is sent, nothing else is until it is resumed, and then all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicStatus } from '../../client/index.ts';
import { assertTotals, withCluster } from '../processes/cluster.ts';

const ROWS = 1_200;

test(
  'pause mid-run: the mail server counts no further, others go on; resume ends it with a mail for everybody',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.master(), c.stub('--latency', '150ms')]);
    c.worker(stub);
    c.worker(stub);
    const list = await c.recipients(ROWS);
    const id = await c.submit(list);
    await c.reach(id, 'under way', (epic) => epic.totals.succeeded > 100);
    const pause = await c.run('epic', 'pause', id, '--reason', 'the footer is wrong', '-o', 'json');
    assert.equal(pause.code, 0, pause.err);
    assert.equal((JSON.parse(pause.out) as EpicStatus).paused, 'the footer is wrong');
    const mailsOf = (epic: string) => stub.mails().all.filter((mail) => mail.epic === epic).length;
    // Who holds units is told at once, what is settled only once it is durable.
    const still = await c.reach(
      id,
      'at no worker, and what had begun sent and counted',
      ({ leased, totals }) => leased === 0 && totals.succeeded === mailsOf(id),
    );
    assert.ok(still.totals.succeeded < ROWS, JSON.stringify(still.totals));

    // Long enough for both workers to ask again and again: another list goes out to its end.
    const other = await c.submit(
      await c.write('few.csv', 'email,name,city\nx@example.com,X,Y\nz@example.com,Z,Y\n'),
    );
    assertTotals(await c.finished(other), { read: 2, succeeded: 2 });
    assert.equal(mailsOf(id), still.totals.succeeded);
    const shown = await c.run('epic', 'get', id);
    assert.match(shown.out, /^‖ \S+ is paused: the footer is wrong\n/);
    assert.match(
      (await c.run('epic', 'ls')).out,
      new RegExp(`${id} .* paused .*paused: the footer is wrong`),
    );
    assert.match((await c.run('epic', 'why', id)).err, new RegExp(`Next: gimme epic resume ${id}`));

    const resume = await c.run('epic', 'resume', id);
    assert.match(resume.out, /is running\n/);
    assertTotals(await c.finished(id), { read: ROWS, succeeded: ROWS });
    const mails = await stub.close();
    assert.deepEqual([mails.twice, mails.distinct], [[], ROWS + 2]);
    const late = await c.run('epic', 'pause', id);
    assert.deepEqual([late.code, /is finished already/.test(late.err)], [8, true], late.err);
  }),
);
