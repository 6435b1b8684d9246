/**
 * A worker that asks for everything, says that it lives, and reads nothing. It is given only so much, loses
 * its lease all the same, and the master's memory stays what it was. One that reads is never cut.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { GRANT_BYTES_MAX, HELD_BYTES_MAX } from '../../shared/core/limits.ts';
import { encodeFrame } from '../../shared/protocol/codec.ts';
import { PROTOCOL_VERSION, type WorkerMessage } from '../../shared/protocol/messages.ts';
import { manifestOf } from '../../worker/main.ts';
import { nothing } from '../fixtures/cluster/works.ts';
import { assertTotals, type Cluster, WORKS, withCluster } from '../processes/cluster.ts';
import { numbers } from '../processes/journal.ts';
import { watchRss } from '../processes/rss.ts';
import { until } from '../processes/until.ts';

const UNITS = 2_000;
const UNIT_BYTES = 40_000;
/** What two sessions hold, the units ahead of demand, and what the collector leaves lying for a while. */
const GROWTH_MB_MAX = 120;
const BEAT_MS = 200;

test(
  'a worker that never reads loses its lease, the other does the work, memory stays bounded',
  withCluster(async (c) => {
    const master = await c.masterWith({ leaseMs: 2_000, heartbeatMs: 400 });
    const memory = watchRss(master.pid);
    const before = memory.peak();
    const source = await c.write('large.ndjson', `${JSON.stringify('x'.repeat(UNIT_BYTES))}\n`.repeat(UNITS));
    const peer = await neverReading(c);
    const { ndjson } = await import('../../client/index.ts');
    const { id } = await c.client.submit({ work: 'nothing', source: ndjson(source) });
    try {
      const [lost] = await until(
        'the lease of the one that does not read expires',
        () => c.journal.of('lease-expired'),
        (expired) => expired.length > 0,
      );
      const given = numbers(lost?.again ?? []).length * UNIT_BYTES;
      assert.ok(given > 0 && given <= HELD_BYTES_MAX + GRANT_BYTES_MAX, `${given} bytes were given to it`);

      const worker = c.gimme('worker', '--master', c.url, '--works', WORKS);
      const over = await c.finished(id);
      assertTotals(over, { read: UNITS, succeeded: UNITS });
      const expired = c.journal.of('lease-expired').map((record) => record.session);
      assert.deepEqual(expired, ['never-reads']);
      assert.deepEqual(
        master.err.filter((line) => line.includes('worker cut')),
        [],
      );
      assert.equal((await worker.end('SIGTERM')).code, 0);
      const growth = memory.peak() - before;
      assert.ok(growth < GROWTH_MB_MAX, `the master grew by ${Math.round(growth)} MB`);
    } finally {
      memory.stop();
      peer.stop();
    }
  }),
);

/** Connects as a worker would, asks for all there is, keeps its lease alive and never reads a byte. */
async function neverReading(c: Cluster): Promise<{ stop(): void }> {
  const ws = new WebSocket(`${c.url.replace(/^http/, 'ws')}/v1/link?session=never-reads`);
  ws.on('error', () => {});
  await new Promise((resolve) => {
    ws.once('open', resolve);
  });
  ws.pause();
  let at = 0;
  const send = (message: WorkerMessage): void => ws.send(encodeFrame(message));
  const demand = () => ({ at: at++, term: 1, lastGrant: 0, level: 30_000 });
  const works = [manifestOf(nothing)];
  const who = { name: 'never-reads', works, labels: {}, slots: 10_000, version: '0' };
  send({ t: 'hello', v: PROTOCOL_VERSION, ...who, ...demand(), held: [] });
  const beat = setInterval(() => {
    if (ws.readyState === WebSocket.OPEN) send({ t: 'heartbeat', ...demand(), held: [], steps: {} });
  }, BEAT_MS);
  return {
    stop() {
      clearInterval(beat);
      ws.terminate();
    },
  };
}
