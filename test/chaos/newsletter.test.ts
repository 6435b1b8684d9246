/**
 * Newsletters that go out while their master, their workers and nats-server are killed and stopped, judged by what
 * the mail server has: short runs of `npm run chaos` over each link, in both effect modes at once.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { withCluster } from '../processes/cluster.ts';
import { judge } from './checker.ts';
import { readOptions } from './options.ts';
import { play, type Story } from './play.ts';

const UNITS = 1_000;
const RUN = [
  '--effect',
  'both',
  '--units',
  String(UNITS),
  '--workers',
  '3',
  '--lease',
  '5000',
  '--seed',
  '5',
];

const FAULTS = {
  ws: ['--kills', 'master:2,worker:2', '--stops', 'worker:1'],
  nats: ['--kills', 'master:1,worker:2,nats:2', '--stops', 'nats:1'],
};

// They wait for leases and for processes to start most of the time.
describe('chaos', { concurrency: 2 }, () => {
  for (const link of ['ws', 'nats'] as const) {
    test(
      `over ${link}: nobody is lost, and what comes twice is explained`,
      withCluster(async (cluster) => {
        const options = readOptions([...RUN, ...FAULTS[link], '--link', link]);
        const stories = await play(cluster, options, () => {});
        for (const story of stories) assert.deepEqual(judge(story).broken, [], story.effect);
        for (const story of stories) assert.ok(hit(story), `${story.effect}: nothing under way was hit`);
        const [once, least] = stories;
        assert.equal(once?.mails.accepted, once?.mails.distinct);
        const { succeeded, failed } = least?.final.totals ?? {};
        assert.equal(Number(succeeded) + Number(failed), UNITS);
        assert.ok(Number(failed) > 0, 'the mail server rejected nobody');
        assert.equal(least?.mails.distinct, succeeded);
      }),
    );
  }
});

/** Whether a worker was lost with units of this epic in its hands. */
function hit({ epic, kept }: Story): boolean {
  return kept.some(({ record }) => {
    if (record.k !== 'lease-expired' || record.epic !== epic) return false;
    return [record.again, record.unknown, record.unclaimed ?? []].some((units) => units.length > 0);
  });
}
