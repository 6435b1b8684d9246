import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import {
  type CutOptions,
  cut,
  frameNumbers,
  type RecordFormat,
  WINDOW,
} from '../../../master/core/framer.ts';
import type { BadUnit } from '../../../master/core/source.ts';
import { BAD_PER_CUT_MAX, UNIT_BYTES_MAX } from '../../../shared/core/limits.ts';

const CSV: RecordFormat = { type: 'csv', delimiter: ',' };
const NDJSON: RecordFormat = { type: 'ndjson' };

/** Units of a framed batch, as text. */
function unitsOf({ framed, starts }: { framed: Uint8Array; starts: Uint32Array }): string[] {
  const view = new DataView(framed.buffer, framed.byteOffset, framed.byteLength);
  const units: string[] = [];
  for (let i = 0; i + 1 < starts.length; i++) {
    const from = starts[i] as number;
    const to = starts[i + 1] as number;
    assert.equal(view.getUint32(from), to - from - 4, 'the length in front of the bytes');
    units.push(Buffer.from(framed.subarray(from + 4, to)).toString());
  }
  return units;
}

/** Cuts all of `bytes` in chunks of `size`, with a larger chunk where a record does not fit. */
function cutAll(bytes: Buffer, format: RecordFormat, size = bytes.length, limits: Partial<CutOptions> = {}) {
  const units: string[] = [];
  const bad: BadUnit[] = [];
  const begins: number[] = [];
  let at = 0;
  let grown = size;
  while (at < bytes.length) {
    const chunk = bytes.subarray(at, at + grown);
    const last = at + chunk.length === bytes.length;
    const options = { format, first: units.length, units: 1e6, bytes: Infinity, last, ...limits };
    const found = cut(chunk, options);
    assert.equal(found.count, found.starts.length - 1);
    if (found.count > 0) begins.push(at);
    units.push(...unitsOf(found));
    bad.push(...found.bad);
    at += found.used;
    if (found.tail === 'line') {
      const lf = bytes.indexOf(10, at);
      at = lf === -1 ? bytes.length : lf + 1;
    }
    grown = found.used === 0 ? grown + Math.max(1, size) : size;
    assert.ok(found.used > 0 || !last, `no progress at ${at}`);
  }
  return { units, bad, begins };
}

const cell = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'é', ' ', ';', '😀', '\r'), maxLength: 4 }),
  fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r\n', '\r', 'ü'), maxLength: 6 }),
);
const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
/** A field as a writer might put it: quotes where needed and sometimes where not. */
const field = fc
  .tuple(cell, fc.boolean())
  .map(([text, always]) => (always || /[",\n\r]/.test(text) ? quoted(text) : text));
const record = fc.array(field, { minLength: 2, maxLength: 4 }).map((fields) => fields.join(','));
const lineEnd = fc.constantFrom('\n', '\r\n', '\n\n', '\r\n\r\n\n');
const csvFile = fc
  .tuple(
    fc.constantFrom('', '\n', '\r\n\n'),
    fc.array(fc.tuple(record, lineEnd), { maxLength: 8 }),
    fc.option(record, { nil: '' }),
  )
  .map(([lead, lines, rest]) => ({
    text: lead + lines.flat().join('') + rest,
    records: [...lines.map(([text]) => text), ...(rest === '' ? [] : [rest])],
  }));

test('a CSV cut at every size and place gives the records that were written, as csv-parse splits them', () => {
  fc.assert(
    fc.property(csvFile, ({ text, records }) => {
      const bytes = Buffer.from(text);
      const options = { record_delimiter: ['\r\n', '\n'], skip_empty_lines: true, relax_column_count: true };
      const rows = parse(bytes, options);
      for (let size = 1; size <= bytes.length; size++) {
        const { units, bad } = cutAll(bytes, CSV, size);
        assert.deepEqual(units, records);
        assert.deepEqual(bad, []);
      }
      const own = records.map((one) => parse(one, { ...options, record_delimiter: '\n' })[0]);
      assert.deepEqual(own, rows);
    }),
    { numRuns: 400 },
  );
});

test('reading again from where any cut began gives the same units', () => {
  fc.assert(
    fc.property(csvFile, fc.integer({ min: 1, max: 30 }), ({ text, records }, size) => {
      const bytes = Buffer.from(text);
      for (const begin of cutAll(bytes, CSV, size).begins) {
        const { units } = cutAll(bytes.subarray(begin), CSV, 7);
        assert.deepEqual(units, records.slice(records.length - units.length));
      }
      const singly = cutAll(bytes, CSV, bytes.length, { units: 1 });
      assert.deepEqual(singly.units, records);
      assert.equal(singly.begins.length, records.length);
      assert.deepEqual(cutAll(bytes, CSV, bytes.length, { bytes: size }).units, records);
    }),
    { numRuns: 200 },
  );
});

test('broken CSV gives the same units at every read size, each in one piece', () => {
  const broken = fc.string({ unit: fc.constantFrom('a', '"', '"', ',', '\n', '\r'), maxLength: 40 });
  fc.assert(
    fc.property(broken, (text) => {
      const bytes = Buffer.from(text);
      const whole = cutAll(bytes, CSV);
      for (let size = 1; size < bytes.length; size++) {
        const { units, bad } = cutAll(bytes, CSV, size);
        assert.deepEqual({ units, bad }, { units: whole.units, bad: whole.bad });
      }
    }),
    { numRuns: 1_000 },
  );
});

test('NDJSON is split at line ends only, whatever the read size', () => {
  const line = fc.json().filter((text) => text !== '');
  fc.assert(
    fc.property(
      fc.array(fc.tuple(line, lineEnd), { maxLength: 6 }),
      fc.option(line, { nil: '' }),
      (lines, rest) => {
        const bytes = Buffer.from(lines.flat().join('') + rest);
        const expected = [...lines.map(([text]) => text), ...(rest === '' ? [] : [rest])];
        for (let size = 1; size <= bytes.length; size++)
          assert.deepEqual(cutAll(bytes, NDJSON, size).units, expected);
      },
    ),
    { numRuns: 100 },
  );
});

test('a quote inside an unquoted field is data', () => {
  const text = '1,5" disk\n2,a"b,"c\nd"\n';
  assert.deepEqual(cutAll(Buffer.from(text), CSV).units, ['1,5" disk', '2,a"b,"c\nd"']);
});

test('the delimiter decides where a quote may open', () => {
  const text = 'a;"b\nc"\nd,"e\n';
  const format: RecordFormat = { type: 'csv', delimiter: ';' };
  assert.deepEqual(cutAll(Buffer.from(text), format).units, ['a;"b\nc"', 'd,"e']);
});

test('a record of exactly the limit is a unit and one byte more is not, with every line end and read size', () => {
  for (const end of ['\n', '\r\n', '']) {
    for (const format of [CSV, NDJSON]) {
      const fits = 'x'.repeat(UNIT_BYTES_MAX);
      for (const size of [1_000, WINDOW - 1, WINDOW, WINDOW + 1, 4 * WINDOW]) {
        const good = cutAll(Buffer.from(`a\n${fits}${end}`), format, size);
        assert.deepEqual(
          good.units.map((unit) => unit.length),
          [1, UNIT_BYTES_MAX],
        );
        assert.deepEqual(good.bad, []);
        const over = cutAll(Buffer.from(`a\n${fits}x${end}${end && 'b'}`), format, size);
        assert.deepEqual(over.units, end ? ['a', '', 'b'] : ['a', '']);
        const message = `record 2 is over the limit of ${UNIT_BYTES_MAX} bytes`;
        assert.deepEqual(over.bad, [{ unit: 1, code: 'unit_too_large', message }]);
      }
    }
  }
});

test('a quoted record of exactly the limit is a unit, one byte more is not', () => {
  const body = 'x\n'.repeat(UNIT_BYTES_MAX / 2 - 1);
  assert.equal(cutAll(Buffer.from(`"${body}"\r\nb`), CSV, 5_000).units[0]?.length, UNIT_BYTES_MAX);
  const over = cutAll(Buffer.from(`"${body}y"\r\nb`), CSV, 5_000);
  assert.deepEqual([over.bad.length, over.units.at(-1)], [1, 'b']);
});

test('a line far over the limit is one bad unit and reading goes on after it', () => {
  const bytes = Buffer.concat([Buffer.from('a\n'), Buffer.alloc(5 * WINDOW, 'x'), Buffer.from('\nb\n')]);
  for (const size of [100_000, WINDOW, 3 * WINDOW, bytes.length]) {
    for (const format of [CSV, NDJSON]) {
      const { units, bad } = cutAll(bytes, format, size);
      assert.deepEqual(units, ['a', '', 'b']);
      assert.deepEqual(
        bad.map((one) => one.unit),
        [1],
      );
    }
  }
});

test('an unclosed quote at the end is one bad unit; reading goes on after the line on which it opened', () => {
  const bytes = Buffer.from('1,a\n2,"b\n3,c\n4,d\n');
  for (let size = 1; size <= bytes.length; size++) {
    const { units, bad } = cutAll(bytes, CSV, size);
    assert.deepEqual(units, ['1,a', '', '3,c', '4,d']);
    assert.deepEqual(
      bad.map(({ unit, code }) => [unit, code]),
      [[1, 'unclosed_quote']],
    );
    assert.match(bad[0]?.message ?? '', /^record 2 opens a quote that is not closed/);
  }
});

test('the quote that stays open decides, not an earlier field of the record that was closed', () => {
  const bytes = Buffer.from('1,"a\nb","c\n2,d\n');
  assert.deepEqual(cutAll(bytes, CSV).units, ['', '2,d']);
});

test('a quote that only the next one closes is the forgotten one, however many lines follow the same pattern', () => {
  const lines = Array.from({ length: 60_000 }, () => 'x"y,"z');
  lines[0] = 'a,"forgotten';
  const bytes = Buffer.from(lines.join('\n'));
  const options = { format: CSV, first: 0, units: 2, bytes: Infinity };
  for (const size of [WINDOW + 20, bytes.length]) {
    const { bad, used } = cut(bytes.subarray(0, size), { ...options, last: size === bytes.length });
    assert.deepEqual([bad.length, used], [2, 'a,"forgotten\nx"y,"z\n'.length]);
  }
});

test('a quote not closed within the limit loses its line only, at every read size', () => {
  const rest = Array.from({ length: 30_000 }, (_, i) => `${i},name of ${i}`);
  const lines = ['0,"open', ...rest, `x,"closed at last"`];
  const bytes = Buffer.from(lines.join('\n'));
  assert.ok(bytes.length > 1.5 * UNIT_BYTES_MAX);
  const expected = ['', ...rest, 'x,"closed at last"'];
  for (const size of [70_000, WINDOW, WINDOW + 5, bytes.length]) {
    const { units, bad } = cutAll(bytes, CSV, size);
    assert.deepEqual(
      bad.map((one) => one.unit),
      [0],
    );
    assert.deepEqual(units, expected);
  }
});

test('a quote opened on a line longer than the chunk is passed with that line', () => {
  const bytes = Buffer.from(`a,"${'x'.repeat(3 * WINDOW)}\nb\n`);
  const { units, bad } = cutAll(bytes, CSV, WINDOW);
  assert.deepEqual([units, bad.length], [['', 'b'], 1]);
});

test('one cut passes a bounded number of bad records, so that a broken file cannot hold the master', () => {
  // Each line leaves a quote open, seen from its start and seen from inside the quote of the line before.
  const bytes = Buffer.from('x"y,"z\n'.repeat(50_000));
  const options = { format: CSV, first: 0, units: 16_384, bytes: Infinity, last: true };
  const found = cut(bytes, options);
  assert.equal(found.bad.length, BAD_PER_CUT_MAX);
  assert.equal(found.tail, 'record');
  assert.equal(found.used, 7 * BAD_PER_CUT_MAX);
});

test('only what was asked for is cut, and what follows is told', () => {
  const bytes = Buffer.from('a\nb\n\r\n\nc\n\n');
  const options = { format: NDJSON, first: 0, units: 9, bytes: 9, last: true };
  assert.deepEqual(tellOf(cut(bytes, { ...options, units: 2 })), [2, 7, 'record']);
  assert.deepEqual(tellOf(cut(bytes, { ...options, bytes: 2 })), [1, 2, 'record']);
  assert.deepEqual(tellOf(cut(bytes, options)), [3, 10, 'unknown']);
  assert.deepEqual(tellOf(cut(bytes.subarray(0, 5), { ...options, last: false })), [2, 4, 'unknown']);
  assert.deepEqual(tellOf(cut(bytes.subarray(0, 3), { ...options, last: false })), [1, 2, 'partial']);
  assert.deepEqual(tellOf(cut(Buffer.alloc(0), options)), [0, 0, 'unknown']);
});

function tellOf({ count, used, tail }: ReturnType<typeof cut>): unknown[] {
  return [count, used, tail];
}

test('numbers are framed as their decimal text', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.integer({ min: 0, max: 30 }), (from, count) => {
      const value = Math.min(from, Number.MAX_SAFE_INTEGER - count);
      const expected = Array.from({ length: count }, (_, i) => String(value + i));
      assert.deepEqual(unitsOf(frameNumbers(value, count)), expected);
    }),
  );
  assert.deepEqual(unitsOf(frameNumbers(-10, 12)).slice(0, 2), ['-10', '-9']);
});

test('a million records are cut in seconds, not minutes', () => {
  const bytes = Buffer.from('1234,somebody@example.com,"Doe, Jane",Berlin\n'.repeat(1_000_000));
  const begin = performance.now();
  let at = 0;
  let count = 0;
  while (at < bytes.length) {
    const chunk = bytes.subarray(at, at + 512 * 1024);
    const last = at + chunk.length === bytes.length;
    const found = cut(chunk, { format: CSV, first: count, units: 16_384, bytes: Infinity, last });
    at += found.used;
    count += found.count;
  }
  assert.equal(count, 1_000_000);
  assert.ok(
    performance.now() - begin < 15_000,
    'a tenth of a microsecond per byte is a hundred times too slow',
  );
});
