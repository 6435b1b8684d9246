/** Who is owed a return is told at least once, for a day, few at a time; on a clock of the test's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Told } from '../../../master/io/returnAddresses.ts';
import { Returns } from '../../../master/io/returns.ts';
import { RETURN_FOR_MS, RETURNS_AT_ONCE, RETURNS_MAX } from '../../../shared/core/limits.ts';
import { FakeClock } from '../../../shared/io/clock.ts';
import type { EpicStatus } from '../../../shared/protocol/api.ts';
import { ended, memoryLog, statusOf } from '../http/fakeMaster.ts';

const START_MS = Date.parse('2024-01-01T00:00:07.400Z');

function gather(id: string, fields: Partial<EpicStatus> = {}): EpicStatus {
  const replyTo = `http://${id}.example/hook`;
  const asked = { phase: 'fold', deadlineAt: '', responses: 10, late: 0, complete: true, replyTo } as const;
  return { ...statusOf(id), ...ended(0), gather: asked, ...fields };
}

function rig() {
  const clock = new FakeClock(START_MS);
  const log = memoryLog();
  const sent: { address: string; id: string; body: string }[] = [];
  const outcomes: [string, string][] = [];
  /** Answers of the next attempts. */
  let answer: (id: string) => Promise<Told> = async () => 'told';
  const parts = {
    clock,
    log,
    random: () => 0.999,
    addresses: {
      send: (address: string, id: string, body: string) => {
        sent.push({ address, id, body });
        return answer(id);
      },
    },
    delivered: (epic: string, outcome: string) => void outcomes.push([epic, outcome]),
  };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    ...{ clock, log, sent, outcomes, settled },
    returns: new Returns(parts),
    again: () => new Returns(parts),
    answers: (next: typeof answer) => {
      answer = next;
    },
  };
}

test('one who is owed is told once, with the id and how it ended, and is owed no more', async () => {
  const { returns, sent, outcomes, settled } = rig();
  returns.owe(
    gather('a', { name: 'weekly', state: 'failed', fault: { code: 'quorum_missed', message: 'm' } }),
  );
  returns.owe(gather('a'));
  await settled();
  returns.owe(statusOf('nobody-asked'));
  assert.equal(sent.length, 1);
  assert.deepEqual([sent[0]?.address, sent[0]?.id], ['http://a.example/hook', 'a']);
  const { type, timestamp, data } = JSON.parse(sent[0]?.body ?? '');
  assert.deepEqual([type, timestamp], ['gather.failed', '2024-01-01T00:00:07.400Z']);
  assert.deepEqual(
    [data.id, data.name, data.fault.code, data.complete],
    ['a', 'weekly', 'quorum_missed', true],
  );
  assert.equal(data.links.results, '/v1/epics/a/results');
  assert.deepEqual(outcomes, [['a', 'told']]);
  assert.equal(returns.depth, 0);
});

test('of an epic that is no gather one is told in its own words', async () => {
  const { returns, sent, settled } = rig();
  const totals = { ...statusOf('e').totals, missing: 10 };
  returns.owe({ ...statusOf('e'), ...ended(0), totals, replyTo: 'http://e.example/hook' });
  await settled();
  const { type, data } = JSON.parse(sent[0]?.body ?? '');
  assert.deepEqual([type, data.totals.missing, 'complete' in data], ['epic.finished', 10, false]);
  assert.deepEqual(data.links, { self: '/v1/epics/e' });
});

test('a failure is tried again, later each time, and logged once aloud', async () => {
  const { returns, clock, sent, outcomes, settled, answers, log } = rig();
  answers(() => Promise.reject(new Error('connection refused')));
  returns.owe(gather('a'));
  await settled();
  const times: number[] = [];
  for (let i = 0; i < 4; i++) {
    const before = clock.wallMs();
    const count = sent.length;
    while (sent.length === count) clock.advance(1_000);
    times.push(Math.round((clock.wallMs() - before) / 1_000));
    await settled();
  }
  assert.deepEqual(times, [5, 10, 20, 40]);
  answers(async () => 'told');
  clock.advance(80_000);
  await settled();
  assert.deepEqual(outcomes, [['a', 'told']]);
  assert.equal(log.lines.filter((line) => line.startsWith('warn')).length, 1);
  assert.match(log.lines[0] ?? '', /connection refused/);
});

test('one that cannot be told for a day is given up, also across a restart', async () => {
  const { returns, again, clock, outcomes, settled, answers, log } = rig();
  answers(() => Promise.reject(new Error('no such host')));
  returns.owe(gather('a'));
  for (let ms = 0; ms < RETURN_FOR_MS / 2; ms += 600_000) {
    clock.advance(600_000);
    await settled();
  }
  returns.close();
  assert.equal(clock.timers(), 0, 'a closed one waits for nothing');
  assert.deepEqual(outcomes, []);
  const next = again();
  next.owe(gather('a'));
  for (let ms = 0; ms < RETURN_FOR_MS / 2; ms += 600_000) {
    clock.advance(600_000);
    await settled();
  }
  assert.deepEqual(outcomes, [['a', 'given-up']]);
  assert.equal(next.depth, 0);
  assert.match(log.lines.at(-1) ?? '', /given up .*no such host/);
  assert.ok(clock.wallMs() <= START_MS + RETURN_FOR_MS + 600_000);
});

test('one who wants no more is not told again', async () => {
  const { returns, outcomes, settled, answers, clock } = rig();
  answers(async () => 'unwanted');
  returns.owe(gather('a'));
  await settled();
  assert.deepEqual(outcomes, [['a', 'unwanted']]);
  assert.equal(clock.timers(), 0);
});

test('few are told at once, and all in the end; what ends while it closes is not said to be told', async () => {
  const { returns, sent, outcomes, settled, answers } = rig();
  const open: (() => void)[] = [];
  answers(() => new Promise((resolve) => open.push(() => resolve('told'))));
  const count = 3 * RETURNS_AT_ONCE;
  for (let i = 0; i < count; i++) returns.owe(gather(`g${i}`));
  assert.equal(sent.length, RETURNS_AT_ONCE);
  assert.equal(returns.depth, count);
  while (outcomes.length < count - RETURNS_AT_ONCE) {
    open.shift()?.();
    await settled();
    assert.ok(sent.length - outcomes.length <= RETURNS_AT_ONCE);
  }
  assert.equal(new Set(sent.map(({ id }) => id)).size, count);
  returns.close();
  for (const end of open) end();
  await settled();
  assert.equal(outcomes.length, count - RETURNS_AT_ONCE, 'they are owed to the next master');
});

test('of too many that are owed the oldest is given up, wherever it is, and told of once', async () => {
  const { returns, outcomes, sent, settled, answers } = rig();
  let tell = (_told: Told): void => {};
  answers(() => new Promise((resolve) => (tell = resolve)));
  for (let i = 0; i <= RETURNS_MAX; i++) returns.owe(gather(`g${i}`));
  assert.deepEqual([returns.depth, outcomes], [RETURNS_MAX, [['g0', 'given-up']]]);
  returns.owe(gather('last'));
  assert.deepEqual([returns.depth, outcomes.at(-1)], [RETURNS_MAX, ['g1', 'given-up']]);
  assert.equal(sent.length, RETURNS_AT_ONCE);
  tell('told'); // Of the last that is under way: one more is begun.
  await settled();
  assert.deepEqual(outcomes.slice(2), [[`g${RETURNS_AT_ONCE - 1}`, 'told']]);
  returns.close();
});

test('one that is given up while it is under way is not told of again', async () => {
  const { returns, outcomes, settled, answers } = rig();
  let tell = (_told: Told): void => {};
  answers((id) => (id === 'g0' ? new Promise((resolve) => (tell = resolve)) : new Promise(() => {})));
  for (let i = 0; i <= RETURNS_MAX; i++) returns.owe(gather(`g${i}`));
  tell('told');
  await settled();
  assert.deepEqual(outcomes, [['g0', 'given-up']]);
  returns.close();
});
