/** One scatter or fold by itself: what it gives, in which parts, and what becomes of it where something is wrong. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { FoldContext, GatherDefinition } from '../../../shared/core/gather.ts';
import { CONTROL_ATTEMPTS_MAX, CONTROL_TIMEOUT_MS, UNIT_BYTES_MAX } from '../../../shared/core/limits.ts';
import { PermanentError, RetryableError } from '../../../shared/core/work.ts';

import { foldOf, NOBODY, Rig, scatterOf, texts } from './controlRig.ts';

describe('what throws', () => {
  const boom = (): never => {
    throw new Error('boom');
  };

  test('is tried again after a time that doubles, and fails in the end', async () => {
    for (const [kind, gather] of [
      ['scatter', scatterOf(boom)],
      ['fold', foldOf(boom)],
    ] as const) {
      for (let attempt = 1; attempt < CONTROL_ATTEMPTS_MAX; attempt++) {
        const rig = new Rig(gather, kind, { attempt, input: NOBODY });
        const delayMs = 1_000 * 2 ** (attempt - 1);
        const retry = { kind: 'retry', step: 0, attempt: attempt + 1, delayMs, code: `${kind}_failed` };
        assert.deepEqual(await rig.end(), retry);
        assert.equal(rig.threw.length, 1);
      }
      const last = new Rig(gather, kind, { attempt: CONTROL_ATTEMPTS_MAX, input: NOBODY });
      const failed = { kind: 'failed', code: `${kind}_failed`, message: 'after 5 attempts: boom' };
      assert.deepEqual(await last.end(), { ...failed, step: '', attempt: 5 });
    }
  });

  test('may say that trying again cannot help, or when it may', async () => {
    const permanent = (code?: string) => () => {
      throw new PermanentError('no such fleet', code === undefined ? {} : { code });
    };
    const told = async (gather: GatherDefinition<string>): Promise<unknown> => {
      const outcome = await new Rig(gather, 'fold', { input: NOBODY }).end();
      return 'code' in outcome && [outcome.kind, outcome.code];
    };
    assert.deepEqual(await told(foldOf(permanent())), ['failed', 'fold_failed']);
    assert.deepEqual(await told(foldOf(permanent('no_fleet'))), ['failed', 'no_fleet']);
    const busy = foldOf(() => Promise.reject(new RetryableError('busy', { code: 'busy', afterMs: 90_000 })));
    const outcome = await new Rig(busy, 'fold', { input: NOBODY }).end();
    assert.deepEqual(outcome, { kind: 'retry', step: 0, attempt: 2, delayMs: 90_000, code: 'busy' });
  });

  test('half-way through a scatter has it begin anew, and its iterable closed', async () => {
    let closed = 0;
    const items = {
      n: 0,
      next() {
        this.n += 1;
        if (this.n === 3) throw new Error('the cursor is gone');
        return { done: false, value: this.n };
      },
      return() {
        closed += 1;
        throw new Error('nobody hears this');
      },
    };
    const rig = new Rig(
      scatterOf(() => ({ [Symbol.iterator]: () => items })),
      'scatter',
    );
    assert.equal((await rig.end()).kind, 'retry');
    assert.deepEqual([closed, rig.given], [1, []]);
  });
});

describe('time and an abort', () => {
  const never = (): Promise<never> => new Promise(() => {});

  test('users code that takes too long is stopped by its signal and tried again', async () => {
    for (const [kind, given] of [
      ['scatter', never],
      ['scatter', () => ({ [Symbol.asyncIterator]: () => ({ next: never }) })],
      ['fold', never],
    ] as const) {
      let signal: AbortSignal | undefined;
      const noting = (_: unknown, ctx: { signal: AbortSignal }): unknown => {
        ({ signal } = ctx);
        return given();
      };
      const rig = new Rig(kind === 'fold' ? foldOf(noting) : scatterOf(noting), kind, { input: NOBODY });
      void rig.run.start();
      for (let i = 0; i < 10 && rig.clock.timers() === 0; i++) await turn();
      rig.clock.advance(CONTROL_TIMEOUT_MS);
      const outcome = await rig.ended;
      assert.ok(outcome.kind === 'retry' && outcome.code === 'step_timeout' && outcome.attempt === 2);
      assert.equal(signal?.aborted, true);
    }
  });

  test('of an item leaves nothing behind when it came', async () => {
    // Broke: each item that was waited for left a listener on the signal, which made a large scatter slow.
    const listeners: number[] = [];
    const rig = new Rig(
      scatterOf(async function* (_request, { signal }) {
        for (let i = 0; i < 50; i++) {
          await turn();
          listeners.push(getEventListeners(signal, 'abort').length);
          yield i;
        }
      }),
      'scatter',
    );
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual([Math.max(...listeners), rig.clock.timers()], [1, 0]);
  });

  test('the time that the master takes for an answer is not counted', async () => {
    const rig = new Rig(
      scatterOf(() => [1]),
      'scatter',
    );
    rig.isTaking = false;
    void rig.run.start();
    await turn();
    assert.deepEqual([rig.given.length, rig.clock.timers()], [1, 0]);
  });

  test('an abort hands it back at once, whatever it waits for, and closes its iterable', async () => {
    let closed = 0;
    const endless = async function* () {
      try {
        for (;;) yield 'x'.repeat(UNIT_BYTES_MAX - 2);
      } finally {
        closed += 1;
      }
    };
    for (const given of [endless, never]) {
      let signal: AbortSignal | undefined;
      const rig = new Rig(
        scatterOf((_, ctx) => {
          ({ signal } = ctx);
          return given();
        }),
        'scatter',
      );
      rig.isTaking = false;
      void rig.run.start();
      await turn();
      rig.run.abort('the epic was cancelled');
      assert.deepEqual(await rig.ended, { kind: 'retry', step: 0, attempt: 1, delayMs: 0, code: 'stopped' });
      assert.match(String(signal?.reason), /the epic was cancelled/);
      await turn();
      assert.deepEqual(rig.threw, [], 'a stopped run has thrown nothing');
    }
    assert.equal(closed, 1);
  });
});

describe('a fold', () => {
  test('is given 10,000 answers over many pages, in the order of their items, and what is missing', async () => {
    const page = 128;
    const units = Array.from({ length: 10_000 }, (_, i) => i * 2);
    let seen: FoldContext | undefined;
    const gather = foldOf((answers, ctx) => {
      seen = ctx;
      return answers.reduce<number>((sum, answer) => sum + (answer as { km: number }).km, 0);
    });
    const input = { failed: 3, unknown: 1, items: 10_005 };
    const rig = new Rig(gather, 'fold', { input });
    rig.pages = (after) => {
      const from = units.findIndex((unit) => unit > after);
      const some = units.slice(from, from + page);
      const last = from + page >= units.length;
      // What is missing goes on where the page before has cut it.
      const missing = last ? [19_999, 20_003] : after < 0 ? [1, 2, 253, 255] : after < 500 ? [255, 256] : [];
      return { units: some, values: some.map((unit) => ({ km: unit })), missing, last };
    };
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.equal(rig.wanted.length, Math.ceil(10_000 / page));
    assert.deepEqual(rig.wanted.slice(0, 3), [-1, 254, 510]);
    assert.deepEqual(texts(rig.given), [String(((9_999 * 10_000) / 2) * 2)]);
    assert.ok(seen);
    const { missing, failed, unknown, items, complete, brief, isMissing } = seen;
    assert.deepEqual([0, 1, 2].map(isMissing), [false, true, false]);
    assert.deepEqual(missing, [1, 2, 253, 256, 19_999, 20_003]);
    assert.deepEqual({ failed, unknown, items }, input);
    assert.deepEqual([complete, brief, seen.units[9_999]], [false, 'request', 19_998]);
  });

  test('is complete where nothing is missing, has failed or is unknown', async () => {
    const gather = foldOf((_, { complete }) => complete);
    const cases: [object, number[], boolean][] = [
      [NOBODY, [], true],
      [NOBODY, [0, 1], false],
      [{ ...NOBODY, failed: 1 }, [], false],
      [{ ...NOBODY, unknown: 1 }, [], false],
    ];
    for (const [input, missing, complete] of cases) {
      const rig = new Rig(gather, 'fold', { input });
      rig.pages = () => ({ units: [], values: [], missing, last: true });
      await rig.end();
      assert.deepEqual(texts(rig.given), [String(complete)]);
    }
  });

  test('sends a large value in pieces that put together are its JSON; undefined is null', async () => {
    const value = { text: 'ü'.repeat(UNIT_BYTES_MAX) };
    const rig = new Rig(
      foldOf(async () => value),
      'fold',
      { input: NOBODY },
    );
    assert.deepEqual(await rig.end(), { kind: 'ok' });
    assert.deepEqual(
      rig.given.map(({ last }) => last),
      [false, false, true],
    );
    assert.ok(
      rig.given.every(({ items }) => items.length === 1 && (items[0]?.length ?? 0) <= UNIT_BYTES_MAX),
    );
    const whole = Buffer.concat(rig.given.flatMap(({ items }) => items)).toString();
    assert.deepEqual(JSON.parse(whole), value);
    const none = new Rig(
      foldOf(() => undefined),
      'fold',
      { input: NOBODY },
    );
    await none.end();
    assert.deepEqual(texts(none.given), ['null']);
  });

  test('whose value cannot be kept fails for good', async () => {
    for (const [value, message] of [
      [Symbol('s'), /cannot be written as JSON: it is a symbol/],
      ['x'.repeat(26 * 2 ** 20), /has 27262978 bytes as JSON, over 26214400/],
    ] as const) {
      const outcome = await new Rig(
        foldOf(() => value),
        'fold',
        { input: NOBODY },
      ).end();
      assert.ok(outcome.kind === 'failed' && outcome.code === 'fold_failed');
      assert.match(outcome.message, message);
    }
  });
});
