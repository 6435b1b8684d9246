/** A brief is the same for all units and may be large: it reaches each worker, whatever its link buffers at most. */
import { test } from 'node:test';
import { range } from '../../client/index.ts';
import { assertTotals, WORKS, withCluster } from '../processes/cluster.ts';

const BRIEF_CHARS = 20 * 1024 * 1024;

test(
  'a brief of 20 MB reaches two workers',
  withCluster(async (c) => {
    await c.master();
    const workers = [1, 2].map(() => c.gimme('worker', '--master', c.url, '--works', WORKS));
    for (const worker of workers) await worker.line(/worker ready/);
    const brief = { text: 'x'.repeat(BRIEF_CHARS) };
    const { id } = await c.client.submit({ work: 'nothing', source: range(0, 50_000), brief });
    assertTotals(await c.finished(id), { read: 50_000, succeeded: 50_000 });
  }),
);
