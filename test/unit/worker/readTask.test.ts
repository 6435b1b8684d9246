/** What a read of a source gives: in which batches, with which cursors, and how it ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  SOURCE_ATTEMPTS_MAX,
  SOURCE_BAD_MAX,
  SOURCE_FLUSH_MS,
  UNIT_BYTES_MAX,
} from '../../../shared/core/limits.ts';
import { defineSource, type SourceDefinition, type SourceOptions } from '../../../shared/core/userSource.ts';
import { PermanentError, RetryableError } from '../../../shared/core/work.ts';
import type { ReadInput } from '../../../shared/protocol/messages.ts';
import { readTask } from '../../../worker/io/readTask.ts';
import { Rig, texts } from './controlRig.ts';

type Read = SourceOptions<unknown, unknown, unknown>['read'];

const wanted: ReadInput = { source: 'feed', args: 'null', first: 0, units: 1_000, bytes: 1_000_000 };

function rigOf(read: Read, { attempt = 1, ...input }: Partial<ReadInput> & { attempt?: number } = {}): Rig {
  const sources = new Map<string, SourceDefinition>([['feed', defineSource('feed', { read })]]);
  return new Rig(readTask(sources), 'read', { attempt, input: { ...wanted, ...input } });
}

async function* numbers(from: number, to: number): AsyncGenerator<{ unit: unknown; cursor: unknown }> {
  for (let n = from; n < to; n++) yield { unit: n, cursor: { n } };
}

describe('a read', () => {
  test('gives what comes after the cursor, with the cursor of the last unit, to the end', async () => {
    const rig = rigOf(
      (cursor, ctx) => {
        assert.deepEqual(ctx.args, { table: 't' });
        return numbers((cursor as { n: number }).n + 1, 5);
      },
      { cursor: '{"n":1}', args: '{"table":"t"}' },
    );
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(texts(rig.given), ['2', '3', '4']);
    assert.deepEqual(
      rig.given.map(({ last, end, cursor }) => ({ last, end, cursor })),
      [{ last: true, end: true, cursor: '{"n":4}' }],
    );
  });

  test('takes no more from the source than is wanted, and leaves it', async () => {
    let left = false;
    const rig = rigOf(
      async function* () {
        try {
          for (let n = 0; ; n++) {
            assert.ok(n < 3, 'it is asked for a fourth');
            yield { unit: n, cursor: n };
          }
        } finally {
          left = true;
        }
      },
      { units: 3 },
    );
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    await turn();
    assert.deepEqual(
      [texts(rig.given), rig.given.at(-1)?.last, rig.given.at(-1)?.end, left],
      [['0', '1', '2'], true, undefined, true],
    );
  });

  test('ends at the bytes that are wanted, too', async () => {
    const rig = rigOf(() => numbers(0, 100), { bytes: 15 });
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(texts(rig.given), ['0', '1', '2']);
  });

  test('of nothing says that this is the end, without a cursor', async () => {
    const rig = rigOf(() => []);
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(rig.given, [{ items: [], last: true, end: true }]);
  });

  test('is cut where the next unit might not fit; each part has the cursor of its own last unit', async () => {
    const unit = 'x'.repeat(UNIT_BYTES_MAX / 8);
    const rig = rigOf(() => Array.from({ length: 6 }, (_, cursor) => ({ unit, cursor })));
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(
      rig.given.map(({ items, cursor }) => [items.length, cursor]),
      [
        [4, '3'],
        [2, '5'],
      ],
    );
  });

  test('gives what it has when the source takes its time', async () => {
    let go = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      go = resolve;
    });
    const rig = rigOf(async function* () {
      yield { unit: 'early', cursor: 1 };
      await waiting;
      yield { unit: 'late', cursor: 2 };
    });
    const ended = rig.end();
    while (rig.clock.timers() < 2) await turn(); // The time of the source, and that of the unit that waits.
    rig.clock.advance(SOURCE_FLUSH_MS);
    while (rig.given.length === 0) await turn();
    assert.deepEqual(
      rig.given.map(({ last, cursor }) => [last, cursor]),
      [[false, '1']],
    );
    go();
    assert.deepEqual(await ended, { kind: 'ok' });
    assert.deepEqual(texts(rig.given), ['"early"', '"late"']);
  });

  test('numbers what is no unit like any other, and says which record it is and why', async () => {
    const loop: unknown[] = [];
    loop.push(loop);
    const units = ['good', 1n, loop, undefined, 'x'.repeat(UNIT_BYTES_MAX), () => 1, 'good'];
    const rig = rigOf(() => units.map((unit, cursor) => ({ unit, cursor })), { first: 10 });
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    const [{ items, bad = [] } = { items: [] }] = rig.given;
    assert.deepEqual(
      items.map((item) => item.length > 0),
      [true, false, false, false, false, false, true],
    );
    assert.deepEqual(
      bad.map(({ item, code }) => [item, code]),
      [
        [1, 'invalid_unit'],
        [2, 'invalid_unit'],
        [3, 'invalid_unit'],
        [4, 'unit_too_large'],
        [5, 'invalid_unit'],
      ],
    );
    assert.match(bad[0]?.message ?? '', /^record 12 of source feed cannot be written as JSON/);
    assert.match(bad[3]?.message ?? '', /^record 15 of source feed has 262146 bytes as JSON, over 262144$/);
  });

  test('gives bad ones a few at a time', async () => {
    const count = SOURCE_BAD_MAX + 1;
    const rig = rigOf(() => Array.from({ length: count }, (_, cursor) => ({ unit: undefined, cursor })));
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(
      rig.given.map(({ bad = [] }) => bad.length),
      [SOURCE_BAD_MAX, 1],
    );
  });
});

describe('a source that throws', () => {
  const throwing = (error: Error): Read =>
    async function* () {
      yield { unit: 1, cursor: 1 };
      throw error;
    };

  test('is tried again later, and later still each time', async () => {
    const delays: number[] = [];
    for (const attempt of [1, 2, 3, 8, 9]) {
      const rig = rigOf(() => numbers(0, Number.NaN), { attempt });
      const failing = rigOf(
        () => {
          throw new Error('busy');
        },
        { attempt },
      );
      const outcome = await failing.end();
      assert.ok(outcome.kind === 'retry');
      assert.deepEqual([outcome.code, outcome.attempt], ['source_failed', attempt + 1]);
      delays.push(outcome.delayMs);
      assert.equal(rig.given.length, 0);
    }
    assert.deepEqual(delays, [1_000, 2_000, 4_000, 60_000, 60_000]);
  });

  test('as long as it says', async () => {
    const rig = rigOf(throwing(new RetryableError('slow down', { code: 'limited', afterMs: 7_000 })));
    const outcome = await rig.end();
    assert.ok(outcome.kind === 'retry');
    assert.deepEqual([outcome.code, outcome.delayMs], ['limited', 7_000]);
  });

  test('for good fails, and so does one that gives what has no cursor or is nothing to iterate', async () => {
    const wrong: [Read, RegExp][] = [
      [throwing(new PermanentError('no such table')), /no such table/],
      [() => [7] as never, /must give \{ unit, cursor \} for each unit, not so for record 1/],
      [() => [{ unit: 1, cursor: undefined }], /gives no cursor that can be written as JSON with record 1/],
      [
        () => [{ unit: 1, cursor: 'x'.repeat(2_000) }],
        /a cursor of 2002 characters with record 1, over 2000/,
      ],
      [() => 7 as never, /source feed must return an iterable/],
    ];
    for (const [read, message] of wrong) {
      const outcome = await rigOf(read).end();
      assert.ok(outcome.kind === 'failed', JSON.stringify(outcome));
      assert.equal(outcome.code, 'source_failed');
      assert.match(outcome.message, message);
    }
  });

  test('at its last attempt says so, unless it has given something since', async () => {
    const attempt = SOURCE_ATTEMPTS_MAX;
    const busy: Read = () => {
      throw new Error('busy');
    };
    const outcome = await rigOf(busy, { attempt }).end();
    assert.ok(outcome.kind === 'failed');
    assert.deepEqual([outcome.code, outcome.message], ['retries_exhausted', 'after 10 attempts: busy']);
    const rig = rigOf(throwing(new Error('busy')), { attempt });
    const later = await rig.end();
    assert.deepEqual(
      rig.given.map(({ items, last, cursor }) => [items.length, last, cursor]),
      [[1, false, '1']],
      'it is sent before the throw is told',
    );
    assert.ok(later.kind === 'retry');
    assert.equal(later.attempt, 2);
  });

  test('nothing of it that was not taken counts: what is stopped is handed back', async () => {
    const signals: AbortSignal[] = [];
    const rig = rigOf(async function* (_cursor, ctx) {
      signals.push(ctx.signal);
      yield { unit: 1, cursor: 1 };
      await new Promise(() => {});
    });
    const ended = rig.end();
    while (signals.length === 0) await turn();
    rig.run.abort('the epic is paused');
    const outcome = await ended;
    assert.ok(outcome.kind === 'retry');
    assert.deepEqual([outcome.code, outcome.attempt, signals[0]?.aborted], ['stopped', 1, true]);
    assert.equal(rig.given.length, 0);
  });
});

test('a source has a name and a function', () => {
  assert.throws(() => defineSource('a b', { read: () => [] }), /must match/);
  assert.throws(() => defineSource('a', {} as never), /needs a function read/);
});
