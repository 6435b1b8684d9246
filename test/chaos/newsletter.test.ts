/**
 * A newsletter that goes out while its master and its workers are killed, three times each, judged by what the
 * mail server has: a short run of `npm run chaos` in each effect mode.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { withCluster } from '../processes/cluster.ts';
import { judge } from './checker.ts';
import { readOptions } from './options.ts';
import { play, type Story } from './play.ts';

const RUN = ['--kills', 'master:3,worker:3', '--units', '3000', '--workers', '3', '--lease', '5000'];

// Both wait for leases most of the time.
describe('three kills of the master and three of workers', { concurrency: 2 }, () => {
  test(
    'at most once: nobody is lost, nothing comes twice, doubts are listed',
    withCluster(async (cluster) => {
      const { final } = await run(cluster, '--effect', 'at-most-once', '--seed', '5');
      assert.deepEqual(Object.keys(final.faults), ['lease_expired'], 'the kills hit nothing that had begun');
    }),
  );

  test(
    'at least once: everybody gets a mail, and what comes twice was held by a worker that was killed',
    withCluster(async (cluster) => {
      const { final, mails, units } = await run(cluster, '--effect', 'at-least-once', '--seed', '6');
      assert.equal(final.totals.succeeded, units);
      assert.equal(mails.distinct, units);
      assert.ok(mails.accepted > units, 'the kills hit nothing that was under way');
    }),
  );
});

async function run(cluster: Parameters<typeof play>[0], ...more: string[]): Promise<Story> {
  const story = await play(cluster, readOptions([...RUN, ...more]), () => {});
  assert.deepEqual(judge(story).broken, []);
  return story;
}
