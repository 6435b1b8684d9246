/** A crowd that asks for its brief at once had the master poll for each of them; now few are served at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BriefSender } from '../../../master/io/briefSender.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { BRIEF_ASKS_MAX, BRIEF_PART_BYTES, BRIEF_SENDS_MAX } from '../../../shared/core/limits.ts';
import type { Bus } from '../../../shared/io/bus.ts';
import { FakeClock } from '../../../shared/io/clock.ts';
import { silentLog } from '../../../shared/io/log.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function rig(get: (hash: string) => Promise<Buffer>) {
  const sent: string[] = [];
  const lost: string[] = [];
  const bus = {
    ...{
      kind: 'ws',
      id: 'm',
      role: 'master',
      buffered: () => 0,
      open: async () => {},
      close: async () => {},
    },
    send: (to) => sent.push(to.to === 'worker' ? to.id : to.to) > 0,
  } satisfies Bus;
  const parts = { bus, briefs: { get }, clock: new FakeClock(), log: silentLog };
  return { sender: new BriefSender({ ...parts, lost: (hash) => lost.push(hash) }), sent, lost };
}

test('of a crowd that asks at once few are served at a time, all in the end, each once', async () => {
  const reads: (() => void)[] = [];
  const brief = Buffer.alloc(BRIEF_PART_BYTES + 1);
  const { sender, sent } = rig(() => new Promise((resolve) => reads.push(() => resolve(brief))));
  for (let round = 0; round < 2; round++) for (let i = 0; i < 100; i++) sender.send(`w${i}`, 'h');
  await turn();
  assert.deepEqual([reads.length, sender.waiting], [BRIEF_SENDS_MAX, 100 - BRIEF_SENDS_MAX]);
  for (let done = 0; done < 100; ) {
    for (const read of reads.slice(done)) {
      read();
      done += 1;
    }
    await turn();
    assert.ok(reads.length - done <= BRIEF_SENDS_MAX);
  }
  const each = Array.from({ length: 100 }, (_, i) => `w${i}`);
  assert.deepEqual(sent.toSorted(), each.flatMap((id) => [id, id]).toSorted());
});

test('what waits is bounded: who asks beyond it asks again', async () => {
  let reads = 0;
  const { sender } = rig(async () => {
    reads += 1;
    return Buffer.alloc(1);
  });
  for (let i = 0; i < BRIEF_SENDS_MAX + BRIEF_ASKS_MAX + 10; i++) sender.send(`w${i}`, 'h');
  for (let before = -1; before < reads; ) {
    before = reads;
    await turn();
  }
  assert.equal(reads, BRIEF_SENDS_MAX + BRIEF_ASKS_MAX);
});

test('a brief that is gone or damaged is told as lost; one that cannot be read just now is not', async () => {
  const failures: Record<string, Error> = {
    missing: new GimmeError('not_found', 'x'),
    damaged: new GimmeError('source_damaged', 'x'),
    unreadable: new GimmeError('store_failed', 'x', {
      cause: Object.assign(new Error(), { code: 'EACCES' }),
    }),
    busy: new GimmeError('store_failed', 'x', { cause: Object.assign(new Error(), { code: 'EMFILE' }) }),
    odd: new Error('x'),
  };
  const { sender, lost } = rig(async (hash) => {
    throw failures[hash] as Error;
  });
  for (const hash of Object.keys(failures)) sender.send('w', hash);
  await turn();
  assert.deepEqual(lost, ['missing', 'damaged', 'unreadable']);
});
