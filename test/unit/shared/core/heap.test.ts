/** The heap against sorting: whatever is pushed and popped in between, the least comes out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heap } from '../../../../shared/core/heap.ts';

test('pops in order, whatever was pushed between', () => {
  const step = fc.oneof(fc.record({ push: fc.integer({ min: 0, max: 50 }) }), fc.constant('pop' as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const heap = new Heap<number>((a, b) => a - b);
      const model: number[] = [];
      for (const one of steps) {
        if (one === 'pop') assert.equal(heap.pop(), model.shift());
        else {
          heap.push(one.push);
          model.push(one.push);
          model.sort((a, b) => a - b);
        }
        assert.equal(heap.size, model.length);
        assert.equal(heap.peek(), model[0]);
      }
      while (model.length > 0) assert.equal(heap.pop(), model.shift());
      assert.equal(heap.pop(), undefined);
    }),
  );
});

test('keeps equal items apart and honours the comparison', () => {
  const heap = new Heap<{ due: number; id: string }>((a, b) => b.due - a.due);
  heap.push({ due: 1, id: 'a' });
  heap.push({ due: 2, id: 'b' });
  heap.push({ due: 2, id: 'c' });
  const popped = [heap.pop()?.id, heap.pop()?.id, heap.pop()?.id];
  assert.deepEqual(new Set(popped.slice(0, 2)), new Set(['b', 'c']));
  assert.equal(popped[2], 'a');
});
