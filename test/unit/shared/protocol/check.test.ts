/** The checks that the codec does not reach by messages alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isId } from '../../../../shared/core/ids.ts';
import {
  codeFrom,
  duration,
  fieldsOf,
  id,
  listOf,
  Misfit,
  optional,
  text,
  whole,
} from '../../../../shared/protocol/check.ts';

/** Any UTF-16, lone surrogates included. */
const anyText = fc
  .array(fc.nat({ max: 0xffff }), { maxLength: 100 })
  .map((codes) => String.fromCharCode(...codes));

test('codeFrom makes an id of any text and leaves an id as it is', () => {
  fc.assert(
    fc.property(fc.oneof(anyText, fc.constantFrom('', '__proto__', 'toString')), (given) => {
      const code = codeFrom(given);
      assert.equal(id(code), code);
      if (isId(given) && !(given in Object.prototype)) assert.equal(code, given);
    }),
  );
  assert.equal(codeFrom('smtp 550.1'), 'smtp_550_1');
});

test('what is not a number of the right kind is refused', () => {
  for (const wrong of [-1, 0.5, Number.NaN, Infinity, 2 ** 53, '1', null, undefined, [1]]) {
    assert.throws(() => whole(wrong), Misfit);
  }
  for (const wrong of [-1, Number.NaN, Infinity, '1', null]) assert.throws(() => duration(wrong), Misfit);
  assert.equal(duration(0.5), 0.5);
});

test('an error that is no Misfit passes through as it is', () => {
  const broken = (): never => {
    throw new TypeError('a fault of the code');
  };
  assert.throws(() => fieldsOf<{ a: number[] }>({ a: listOf(broken, 1) })({ a: [1] }), TypeError);
});

test('an absent optional field stays absent', () => {
  const check = fieldsOf<{ a: number; b?: string }>({ a: whole, b: optional(text) });
  assert.deepEqual(check({ a: 1, c: 2 }), { a: 1 });
  assert.deepEqual(check({ a: 1, b: 'x' }), { a: 1, b: 'x' });
  assert.throws(() => check({ a: 1, b: null }), { path: '.b' });
});
