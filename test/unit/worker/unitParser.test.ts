import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import {
  createUnitParser,
  type ParsedUnit,
  type RawUnit,
  type UnitParser,
} from '../../../worker/io/unitParser.ts';

const COLUMNS = ['name', 'email', 'city'];
const csv = createUnitParser({ type: 'csv', columns: COLUMNS, delimiter: ',' });
const json = createUnitParser({ type: 'json' });

function raw(bytes: string | Uint8Array, unit: number): RawUnit {
  return { unit, bytes: Buffer.from(bytes), text: Buffer.from(bytes).toString() };
}

function parsedBy(parser: UnitParser, bytes: string | Uint8Array, unit = 0): ParsedUnit {
  return parser.parse(raw(bytes, unit));
}

function messageOf(parser: UnitParser, bytes: string | Uint8Array, unit = 16): string {
  const parsed = parsedBy(parser, bytes, unit);
  assert.ok(!parsed.ok, 'it should not parse');
  assert.equal(parsed.code, 'invalid_unit');
  return parsed.message;
}

test('a CSV record becomes an object of its columns, as text and untrimmed', () => {
  assert.deepEqual(parsedBy(csv, ' Ann ,"a""b@c.d",\r'), {
    ok: true,
    value: { name: ' Ann ', email: 'a"b@c.d', city: '\r' },
  });
  assert.deepEqual(parsedBy(csv, '"x\r\ny",007,"a,b"'), {
    ok: true,
    value: { name: 'x\r\ny', email: '007', city: 'a,b' },
  });
  const one = createUnitParser({ type: 'csv', columns: ['only'], delimiter: '\t' });
  assert.deepEqual(parsedBy(one, '""'), { ok: true, value: { only: '' } });
  assert.deepEqual(parsedBy(one, 'a,b'), { ok: true, value: { only: 'a,b' } });
});

test('a record is what csv-parse makes of it, or refused where that refuses it', () => {
  const field = fc.string({ unit: fc.constantFrom('a', '"', ';', '\n', '\r', 'é', ' '), maxLength: 5 });
  const good = fc
    .array(fc.tuple(field, fc.boolean()), { minLength: 3, maxLength: 3 })
    .map((fields) =>
      fields
        .map(([text, always]) => (always || /[";\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text))
        .join(';'),
    );
  const broken = fc.string({ unit: fc.constantFrom('a', '"', ';', '\n', '\r', '""'), maxLength: 12 });
  const parser = createUnitParser({ type: 'csv', columns: COLUMNS, delimiter: ';' });
  fc.assert(
    fc.property(fc.oneof(good, broken), (text) => {
      const result = parsedBy(parser, text);
      const rows = strictRows(text);
      const fits = rows?.length === 1 && rows[0]?.length === 3 && !text.endsWith('\n');
      assert.equal(result.ok, fits, text);
      if (result.ok) assert.deepEqual(Object.values(result.value as object), rows?.[0]);
    }),
    { numRuns: 5_000 },
  );
});

function strictRows(text: string): string[][] | undefined {
  try {
    return parse(text, { delimiter: ';', record_delimiter: '\n', relax_column_count: true });
  } catch {
    return undefined;
  }
}

test('a bad record names its number and its field, and spoils no other', () => {
  const notUtf8 = Buffer.from('Ann,"caf\xe9",x', 'latin1');
  const bad: [string | Uint8Array, RegExp][] = [
    ['a,b', /^record 17 has 2 fields, the header has 3 \(name, email, city\)$/],
    ['a,b,c,"d"', /^record 17 has 4 fields, the header has 3/],
    ['', /^record 17 is empty$/],
    ['a,b,c\nd,e,f', /^record 17 has a line end outside quotes$/],
    ['"a",b,c\nd,e,f', /^record 17 has a line end outside quotes$/],
    ['a,"b"x,c', /^record 17 has text after the closing quote in field 2 \(email\); double the quotes/],
    ['a,b,5" disk', /^record 17 has a quote in field 3 \(city\) that does not begin it/],
    ['a,"b,c', /^record 17 opens a quote in field 2 \(email\) that is not closed$/],
    [notUtf8, /^record 17 is not valid UTF-8 in field 2 \(email\); save the file as UTF-8$/],
    [Buffer.from('\xff,b,c', 'latin1'), /^record 17 is not valid UTF-8 in field 1 \(name\)/],
    [Buffer.from('a,b,c,\xff', 'latin1'), /^record 17 is not valid UTF-8 in field 4;/],
    [Buffer.from('a,"\xff', 'latin1'), /^record 17 is not valid UTF-8; save/],
  ];
  for (const [bytes, pattern] of bad) {
    assert.match(messageOf(csv, bytes), pattern);
    assert.deepEqual(parsedBy(csv, '"x","y","z"'), { ok: true, value: { name: 'x', email: 'y', city: 'z' } });
  }
});

test('a header with many or long columns does not make the message endless', () => {
  const columns = Array.from({ length: 900 }, (_, i) => `${'long name '.repeat(20)}${i}`);
  const wide = createUnitParser({ type: 'csv', columns, delimiter: ',' });
  const message = messageOf(wide, 'a,b');
  assert.match(message, /^record 17 has 2 fields, the header has 900 \(/);
  assert.equal(message.length, 500);
});

test('a column of any name is a field and changes no object', () => {
  const columns = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const parser = createUnitParser({ type: 'csv', columns, delimiter: ',' });
  for (const text of ['a,b,c,d', '"a",b,c,d']) {
    const parsed = parsedBy(parser, text);
    assert.ok(parsed.ok);
    assert.deepEqual(
      Object.entries(parsed.value as object),
      columns.map((name, i) => [name, 'abcd'[i]]),
    );
    assert.equal(Object.getPrototypeOf(parsed.value), Object.prototype);
  }
  assert.equal(({} as Record<string, unknown>).a, undefined);
});

test('a JSON unit is what JSON says, numbers of a range too', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parsedBy(json, text), { ok: true, value: JSON.parse(text) as unknown });
    }),
  );
  for (const text of ['7', '"é"', '"\ufffd"'])
    assert.deepEqual(parsedBy(json, text), { ok: true, value: JSON.parse(text) as unknown });
});

test('bad JSON names its record, and spoils no other', () => {
  assert.match(messageOf(json, '{"a":}'), /^record 17 is not valid JSON: .*}/);
  assert.match(messageOf(json, ''), /^record 17 is not valid JSON: /);
  assert.match(messageOf(json, Buffer.from('"\xff"', 'latin1')), /^record 17 is not valid UTF-8/);
  assert.match(messageOf(json, Buffer.from('"\ufffd\xff"', 'latin1')), /^record 17 is not valid UTF-8/);
  assert.deepEqual(parsedBy(json, '2'), { ok: true, value: 2 });
});

test('deeply nested JSON ends in a value or a message, never in a crash', () => {
  const deep = Buffer.from('['.repeat(100_000) + ']'.repeat(100_000));
  const parsed = parsedBy(json, deep);
  assert.equal(parsed.ok || parsed.message.startsWith('record 1 is not valid JSON'), true);
});
