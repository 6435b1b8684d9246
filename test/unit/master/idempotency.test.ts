import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SourceSpec } from '../../../master/core/source.ts';
import { checkSame, keyedId, type Payload } from '../../../master/io/idempotency.ts';
import { isId } from '../../../shared/core/ids.ts';

const SPOOL = { type: 'spool', id: 'first', format: 'csv', bytes: 9, hash: 'abc', body: 6 } as const;
const UPLOAD: Payload = { name: 'weekly', work: 'greet', source: SPOOL, brief: 'b1' };
const GATHER: Payload = {
  ...{ name: 'report', work: 'fleet', source: { type: 'scatter' }, brief: 'b1' },
  gather: { deadlineMs: 10_000, enough: 3 },
};

test('a key always makes the same id, and two keys never one', () => {
  assert.equal(keyedId('weekly-47'), keyedId('weekly-47'));
  const ids = new Set(Array.from({ length: 1_000 }, (_, i) => keyedId(`key ${i}`)));
  assert.equal(ids.size, 1_000);
  assert.ok([...ids].every(isId));
});

const same: [string, Payload, Payload][] = [
  ['sent again, under another spool', UPLOAD, { ...UPLOAD, source: { ...SPOOL, id: 'second' } }],
  ['a gather whose scatter has been', { ...GATHER, source: SPOOL }, GATHER],
  ['fields in another order', GATHER, { ...GATHER, gather: { enough: 3, deadlineMs: 10_000 } }],
];
for (const [name, before, now] of same) {
  test(`the same payload: ${name}`, () => checkSame({ id: 'e', ...before }, now));
}

const range = (to: number): SourceSpec => ({ type: 'range', from: 0, to });
const other: [string, Payload, Payload, RegExp][] = [
  ['work', UPLOAD, { ...UPLOAD, work: 'other' }, /another work;/],
  ['name', UPLOAD, { ...UPLOAD, name: 'other' }, /another name;/],
  ['brief', UPLOAD, { ...UPLOAD, brief: 'b2' }, /another brief;/],
  ['bytes', UPLOAD, { ...UPLOAD, source: { ...SPOOL, hash: 'abd' } }, /another source;/],
  ['format', UPLOAD, { ...UPLOAD, source: { ...SPOOL, format: 'ndjson' } }, /another source;/],
  ['range', { ...UPLOAD, source: range(3) }, { ...UPLOAD, source: range(4) }, /another source;/],
  ['kind of source', UPLOAD, { ...UPLOAD, source: range(4) }, /another source;/],
  ['input', GATHER, { ...GATHER, brief: 'b2' }, /another input;/],
  ['deadline', GATHER, { ...GATHER, gather: { enough: 3 } }, /another settings;/],
  ['replyTo', GATHER, { ...GATHER, gather: { ...GATHER.gather, replyTo: 'http://a' } }, /another settings;/],
  ['an epic for a gather', GATHER, UPLOAD, /another work, name, settings;/],
];
for (const [name, before, now, message] of other) {
  test(`another payload: ${name}`, () => {
    assert.throws(() => checkSame({ id: 'e-1', ...before }, now), { code: 'idempotency_conflict', message });
    assert.throws(() => checkSame({ id: 'e-1', ...before }, now), /made epic e-1/);
  });
}
