/**
 * Two newsletters that go out while their master and their workers are killed, three times each, judged by what
 * the mail server has: a short run of `npm run chaos`, in both effect modes at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withCluster } from '../processes/cluster.ts';
import { judge } from './checker.ts';
import { readOptions } from './options.ts';
import { play } from './play.ts';

const UNITS = 3_000;
const KILLS = ['--kills', 'master:3,worker:3', '--seed', '5'];
const RUN = ['--effect', 'both', '--units', String(UNITS), '--workers', '3', '--lease', '5000'];

test(
  'three kills of the master and three of workers: nobody is lost, and what comes twice is explained',
  withCluster(async (cluster) => {
    const stories = await play(cluster, readOptions([...KILLS, ...RUN]), () => {});
    for (const story of stories) assert.deepEqual(judge(story).broken, [], story.effect);
    const [once, least] = stories;
    assert.ok(Number(once?.final.faults['lease_expired']) > 0, 'nothing begun was hit');
    assert.equal(once?.mails.accepted, once?.mails.distinct);
    const { succeeded, failed } = least?.final.totals ?? {};
    assert.equal(Number(succeeded) + Number(failed), UNITS);
    assert.ok(Number(failed) > 0, 'the mail server rejected nobody');
    assert.equal(least?.mails.distinct, succeeded);
    assert.ok(Number(least?.mails.accepted) > Number(succeeded), 'nothing under way was hit');
  }),
);
