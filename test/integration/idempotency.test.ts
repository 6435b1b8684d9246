/** One key makes one epic, however often and however much at once it is sent, also by a master after the next. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import { withCluster } from '../processes/cluster.ts';
import { lastingPort } from '../processes/port.ts';
import { until } from '../processes/until.ts';

const ROWS = 'n\n1\n2\n3\n';

test(
  'the same submit is one epic with one upload; another payload is refused and leaves nothing',
  withCluster(async (c) => {
    const port = await lastingPort();
    const master = await c.master(port);
    const upload = async (rows: string, key: string, query = 'work=nobody&name=weekly') => {
      const headers = { 'content-type': 'text/csv', 'idempotency-key': key };
      const answer = await fetch(`${c.url}/v1/epics?${query}`, { method: 'POST', headers, body: rows });
      return [answer.status, (await answer.json()) as { id: string; code: string; detail: string }] as const;
    };
    const spools = async () =>
      (await readdir(c.path('data/spool'))).filter((name) => !name.includes('.part'));
    const files = async (): Promise<number> =>
      new Set((await spools()).map((name) => name.split('.')[0])).size;

    const many = await Promise.all(Array.from({ length: 8 }, () => upload(ROWS, 'weekly-47')));
    assert.deepEqual(new Set(many.map(([status]) => status)), new Set([202]));
    assert.equal(new Set(many.map(([, { id }]) => id)).size, 1);
    const [, { id }] = many[0] ?? assert.fail();
    await until('one upload is kept', files, (count) => count === 1);

    for (const [rows, query] of [
      ['n\n1\n', undefined],
      [ROWS, 'work=other&name=weekly'],
      [ROWS, 'work=nobody&name=daily'],
    ] as const) {
      const [status, { code, detail }] = await upload(rows, 'weekly-47', query);
      assert.deepEqual([status, code], [422, 'idempotency_conflict']);
      assert.match(detail, new RegExp(id));
    }
    await until('one upload is kept', files, (count) => count === 1);

    const asked = { idempotencyKey: 'monday', deadline: '1h' };
    const [one, two] = await Promise.all([
      c.client.gather('nobody', { fleet: 7 }, asked),
      c.client.gather('nobody', { fleet: 7 }, asked),
    ]);
    assert.equal(one.id, two.id);
    const conflict = { code: 'idempotency_conflict' };
    await assert.rejects(c.client.gather('nobody', { fleet: 8 }, asked), conflict);
    await assert.rejects(c.client.gather('nobody', { fleet: 7 }, { ...asked, deadline: '2h' }), conflict);
    await assert.rejects(
      c.client.submit({ work: 'nobody', source: range(0, 3), idempotencyKey: 'monday' }),
      conflict,
    );

    await master.end('SIGKILL');
    await c.master(port);
    assert.equal((await upload(ROWS, 'weekly-47'))[1].id, id);
    assert.equal((await c.client.gather('nobody', { fleet: 7 }, asked)).id, one.id);
    await c.client.cancel(id, 'seen enough');
    assert.equal((await upload(ROWS, 'weekly-47'))[1].id, id, 'also once it is over');
    assert.equal((await c.client.epics()).epics.length, 2);
    await until('one upload is kept', files, (count) => count === 1);
  }),
);
