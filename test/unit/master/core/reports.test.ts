import assert from 'node:assert/strict';
import { test } from 'node:test';
import { broughtBy, distinct, reachesBeyond } from '../../../../master/core/reports.ts';
import { prefixed, unitsOf } from '../../../../shared/protocol/codec.ts';
import type { Brings } from '../../../../shared/protocol/messages.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (data: Uint8Array | undefined): string | undefined => data && new TextDecoder().decode(data);

test('what the units of one message brought is one block, and not its frame', () => {
  const frame = Buffer.concat(['a', 'bb', '{"b":1}', '', 'c'].map((text) => prefixed(bytes(text))));
  const items: { brings?: Brings }[] = [{ brings: 1 }, {}, { brings: 2 }, { brings: 0 }, { brings: 2 }];
  const brought = broughtBy(items, unitsOf(frame));
  frame.fill(0);
  const told = items.map((item) => {
    const data = brought.get(item);
    return data && [textOf(data.bytes), textOf(data.state)];
  });
  assert.deepEqual(told, [['a', undefined], undefined, ['bb', '{"b":1}'], undefined, ['', 'c']]);
  const buffers = new Set(
    [...brought.values()].flatMap(({ bytes, state }) => [bytes, state ?? bytes]).map((part) => part.buffer),
  );
  assert.equal(buffers.size, 1);
  const [block] = buffers;
  assert.equal(block?.byteLength, 'abb{"b":1}c'.length);
});

test('of several items about a unit only the last is left, in whatever order they come', () => {
  const item = (unit: number, n: number) => ({ unit, n });
  const ascending = [item(1, 1), item(2, 2), item(4, 3)];
  assert.equal(distinct(ascending), ascending);
  assert.deepEqual(distinct([item(1, 1), item(1, 2), item(2, 3)]), [item(1, 2), item(2, 3)]);
  assert.deepEqual(distinct([item(3, 1), item(1, 2), item(3, 3)]), [item(3, 3), item(1, 2)]);
});

test('units from the end of what was read on are beyond it', () => {
  assert.equal(reachesBeyond([0, 5], 5), false);
  assert.equal(reachesBeyond([0, 2, 4, 6], 5), true);
  assert.equal(reachesBeyond([], 0), false);
});
