import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOptions } from '../../../bench/options.ts';

test('without a name all benchmarks are meant, but a number of units is not: it says something else to each', () => {
  const { name, options } = readOptions(['--assert', '--runs', '1']);
  assert.deepEqual([name, options.assert, options.runs, options.units], [undefined, true, 1, undefined]);
  assert.throws(() => readOptions(['--units', '5']), { code: 'usage', message: /--units .*name one/ });
  assert.equal(readOptions(['limit', '--units', '5']).options.units, 5);
  assert.throws(() => readOptions(['limit', 'latency']), { code: 'usage', message: /give one benchmark/ });
});
