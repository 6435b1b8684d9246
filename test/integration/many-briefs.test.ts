/** A worker keeps only so many briefs; one that it had to forget is asked for again, not missed. */
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import { BRIEFS_READY_MAX } from '../../shared/core/limits.ts';
import { assertTotals, WORKS, withCluster } from '../processes/cluster.ts';

test(
  'the first brief of many can be used again',
  withCluster(async (c) => {
    await c.master();
    await c.gimme('worker', '--master', c.url, '--works', WORKS).line(/worker ready/);
    const run = async (brief: number): Promise<void> => {
      const { id } = await c.client.submit({ work: 'nothing', source: range(0, 3), brief: { brief } });
      assertTotals(await c.finished(id), { read: 3, succeeded: 3 });
    };
    await run(0);
    await Promise.all(Array.from({ length: BRIEFS_READY_MAX + 2 }, (_, i) => run(1 + i)));
    await run(0);
  }),
);
