/** The state that a unit goes on with: what can be kept, and that it comes back as it was. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { GRANT_BYTES_MAX, STATE_DEPTH_MAX, UNIT_BYTES_MAX } from '../../../../shared/core/limits.ts';
import { attemptsWith, decodeState, encodeState } from '../../../../worker/core/stepState.ts';

const KB = 1024;

function kept(input: unknown, unitBytes = 0): string | undefined {
  const encoded = encodeState({ step: 1, input, attempts: [] }, unitBytes);
  return encoded.ok ? undefined : encoded.why;
}

describe('a state', () => {
  test('of plain JSON comes back as it was, with its step and attempts', () => {
    const json = fc.jsonValue();
    fc.assert(
      fc.property(
        json,
        fc.nat(31),
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 32 }),
        (input, step, attempts) => {
          const encoded = encodeState({ step, input, attempts }, 0);
          assert.ok(encoded.ok);
          const back = decodeState(encoded.bytes);
          // JSON has one zero.
          assert.deepEqual(back?.input, JSON.parse(JSON.stringify(input)));
          assert.deepEqual([back?.step, back?.attempts], [step, attempts.some((n) => n > 1) ? attempts : []]);
        },
      ),
    );
  });

  test('may be undefined, and may have undefined fields: they are left out', () => {
    for (const [input, back] of [
      [undefined, undefined],
      [{ a: 1, b: undefined }, { a: 1 }],
      [Object.assign(Object.create(null), { a: [null] }), { a: [null] }],
    ]) {
      const encoded = encodeState({ step: 1, input, attempts: [] }, 0);
      assert.ok(encoded.ok);
      assert.deepEqual(decodeState(encoded.bytes)?.input, back);
    }
  });

  test('that JSON would change is not kept', () => {
    class Mail {
      to = 'a';
    }
    const hole = new Array<number>(1);
    const bad: unknown[] = [new Date(0), new Map(), new Mail(), Buffer.from('x'), () => 1, Symbol('s'), 1n];
    bad.push(Number.NaN, Number.POSITIVE_INFINITY, [undefined], hole, { [Symbol('s')]: 1 }, new Error('x'));
    bad.push({ toJSON: () => 1 }, Object.assign([1], { more: 1 }));
    for (const input of bad) {
      assert.ok(kept(input), `${String(Object.prototype.toString.call(input))} is kept`);
      assert.ok(kept({ deep: [input] }), 'nor deep inside');
    }
    const throws = Object.defineProperty({}, 'x', { enumerable: true, get: () => assert.fail('a getter') });
    assert.equal(kept(throws), 'cannot be read');
  });

  test('that contains itself, or is nested too deeply, is not kept, and is not looked at for ever', () => {
    const loop: unknown[] = [];
    loop.push(loop, loop);
    assert.ok(kept(loop));
    const nested = (depth: number): unknown => {
      let value: unknown = 1;
      for (let i = 0; i < depth; i++) value = [value];
      return value;
    };
    assert.equal(kept(nested(STATE_DEPTH_MAX)), undefined);
    assert.equal(kept(nested(STATE_DEPTH_MAX + 1)), 'is not plain JSON');
    assert.equal(kept(nested(100_000)), 'is not plain JSON');
  });

  test('fits with its unit into what one message carries', () => {
    assert.equal(kept('x'.repeat(UNIT_BYTES_MAX - KB)), undefined);
    assert.match(kept('x'.repeat(UNIT_BYTES_MAX)) ?? '', /is over \d+ bytes/);
    assert.match(kept('é'.repeat(UNIT_BYTES_MAX / 2)) ?? '', /is over/, 'bytes count, not characters');
    assert.match(kept(new Array(1_000_000).fill(1)) ?? '', /is over/);
    const left = GRANT_BYTES_MAX - UNIT_BYTES_MAX;
    assert.equal(kept('x'.repeat(left - KB), UNIT_BYTES_MAX), undefined);
    assert.match(kept('x'.repeat(left), UNIT_BYTES_MAX) ?? '', /is over/);
  });

  test('is none where the bytes are not one', () => {
    for (const text of [
      '',
      '{',
      'null',
      '1',
      '[]',
      '{"step":-1}',
      '{"step":32}',
      '{"step":1,"attempts":["x"]}',
    ]) {
      assert.equal(decodeState(Buffer.from(text)), undefined, text);
    }
    assert.equal(decodeState(Uint8Array.of(0x22, 0xff, 0x22)), undefined);
    assert.deepEqual(decodeState(Buffer.from('{"step":2,"more":1}')), {
      step: 2,
      input: undefined,
      attempts: [],
    });
  });
});

test('a step that is to be run again keeps the attempts of later ones; those before it begin anew', () => {
  assert.deepEqual(attemptsWith([], 2, 4), [1, 1, 4]);
  assert.deepEqual(attemptsWith([1, 1, 4], 0, 2), [2, 1, 4]);
  assert.deepEqual(attemptsWith([3, 1, 4], 1, 2), [1, 2, 4]);
});
