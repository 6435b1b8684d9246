/** Gathers through the real shells and cores while messages are lost and doubled, and workers vanish in the middle. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineGather } from '../../shared/core/gather.ts';
import type { EpicStatus } from '../../shared/protocol/api.ts';
import { Cluster } from '../cluster/cluster.ts';
import { memoryLink } from '../cluster/links.ts';
import { Gate, Tally } from '../cluster/signals.ts';
import type { Sent } from '../cluster/tap.ts';

const over = ({ state }: EpicStatus): boolean => ['finished', 'failed', 'cancelled'].includes(state);

async function asked(cluster: Cluster, work: string, input: unknown): Promise<[EpicStatus, unknown]> {
  const { id } = await cluster.master.gather({ work, input });
  const status = await cluster.until(id, 'over', over);
  const result = await cluster.master.result(id);
  assert.ok(result, `${status.state}: ${status.fault?.message}`);
  let text = '';
  for await (const chunk of result.value) text += String(chunk);
  return [status, JSON.parse(text)];
}

/** Large items and answers, so that there are several parts and pages. */
const PAD = 'x'.repeat(60_000);
const summing = (scattered?: Tally<number>, gate?: Gate) =>
  defineGather<number, { n: number; pad: string }, { sum: number; pad: string }>('sum')
    .scatter(async function* (count) {
      scattered?.add(scattered.all.length);
      for (let n = 0; n < count; n++) {
        if (n === 15) await gate?.opened;
        yield { n, pad: PAD };
      }
    } as (count: number) => AsyncIterable<{ n: number; pad: string }>)
    .step('look', ({ n, pad }) => ({ n, pad }))
    .gather({ deadline: '10m' }, (found) => ({
      sum: found.reduce((sum, { n }) => sum + n, 0),
      pad: PAD.repeat(found.length),
    }));

describe('a gather', { timeout: 240_000 }, () => {
  test('comes to its value though each of its messages is lost at first, and then doubled', async () => {
    await Cluster.run(memoryLink, { speed: 40 }, async (cluster) => {
      const seen = new Map<string, number>();
      cluster.fate = ({ message }: Sent): number => {
        const { t } = message;
        if (t !== 'part' && t !== 'took' && t !== 'want-answers' && t !== 'answers') return 1;
        const at = t === 'part' || t === 'took' ? message.part : message.after;
        const key = `${t} ${message.n} ${at}`;
        const times = (seen.get(key) ?? 0) + 1;
        seen.set(key, times);
        return times === 1 ? 0 : 2;
      };
      await cluster.work('w1', 4, [summing()]);
      const [status, value] = await asked(cluster, 'sum', 20);
      assert.deepEqual([status.state, status.totals.read, status.totals.succeeded], ['finished', 20, 20]);
      assert.deepEqual(value, { sum: 190, pad: PAD.repeat(20) });
      assert.equal(status.gather?.complete, true);
      const kinds = new Set([...seen.keys()].map((key) => key.split(' ')[0]));
      assert.deepEqual([...kinds].sort(), ['answers', 'part', 'took', 'want-answers']);
      assert.ok(seen.size >= 24, `${seen.size} different messages`);
    });
  });

  test('begins anew where the worker of its scatter vanishes: what that sent counts for nothing', async () => {
    const scattered = new Tally<number>('scatters');
    const gate = new Gate();
    await Cluster.run(memoryLink, { speed: 10 }, async (cluster) => {
      const taken = new Tally<number>('parts taken');
      cluster.fate = ({ message }) => {
        if (message.t === 'took') taken.add(message.part);
        return 1;
      };
      const first = await cluster.work('w1', 4, [summing(scattered, gate)]);
      const answer = asked(cluster, 'sum', 20);
      await taken.until(2);
      cluster.cut(first);
      gate.open();
      await cluster.work('w2', 4, [summing(scattered)]);
      const [status, value] = await answer;
      assert.deepEqual([status.totals.read, status.totals.succeeded], [20, 20]);
      assert.deepEqual((value as { sum: number }).sum, 190);
      assert.equal(scattered.all.length, 2);
    });
  });
});
