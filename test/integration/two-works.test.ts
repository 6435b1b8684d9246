/** Several epics of several works at once: each unit is run once, by a worker that offers its work, and none waits. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import { assertTotals, MORE_WORKS, WORKS, withCluster } from '../processes/cluster.ts';

const UNITS = 40_000;
const ROWS = 400;

test(
  'two works and the newsletter at once, over workers that offer all and one that offers one',
  withCluster(async (c) => {
    const [, stub] = await Promise.all([c.master(), c.stub('--latency', '20ms')]);
    const file = await c.write('ran.txt', '');
    const brief = { file };
    const stamp = await c.client.submit({ work: 'stamp', source: range(0, UNITS), brief });
    const press = await c.client.submit({ work: 'press', source: range(0, UNITS), brief });
    const mail = await c.submit(await c.recipients(ROWS));

    const all = c.worker(stub, '--works', WORKS, MORE_WORKS);
    const one = c.gimme('worker', '--master', c.url, '--works', WORKS);
    const offered = await Promise.all([c.known(all), c.known(one)]);
    assert.deepEqual(
      offered.map(({ works }) => [...works].sort()),
      [
        ['newsletter', 'nothing', 'press', 'stamp'],
        ['nothing', 'stamp'],
      ],
    );
    for (const { id } of [stamp, press])
      assertTotals(await c.finished(id), { read: UNITS, succeeded: UNITS });
    assertTotals(await c.finished(mail), { read: ROWS, succeeded: ROWS });
    const mails = await stub.close();
    assert.deepEqual([mails.distinct, mails.twice], [ROWS, []]);

    const ran = { stamp: new Map<string, Set<number>>(), press: new Map<string, Set<number>>() };
    for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
      const [work, unit, pid] = line.split(' ') as ['stamp' | 'press', string, string];
      const by = ran[work].get(unit) ?? new Set();
      assert.equal(by.size, 0, `unit ${unit} of ${work} ran twice`);
      ran[work].set(unit, by.add(Number(pid)));
    }
    assert.deepEqual([ran.stamp.size, ran.press.size], [UNITS, UNITS]);
    const pids = (of: Map<string, Set<number>>): number[] =>
      [...new Set([...of.values()].flatMap((by) => [...by]))].sort((a, b) => a - b);
    assert.deepEqual(pids(ran.press), [all.pid], 'press runs where it is offered');
    assert.ok(pids(ran.stamp).includes(one.pid), 'the worker that offers one takes part');
    for (const worker of [all, one]) assert.equal((await worker.end('SIGTERM')).code, 0);
  }),
);
