import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Batch, SourceSpec } from '../../../master/core/source.ts';
import { storeFault } from '../../../master/io/durableDir.ts';
import { Spool } from '../../../master/io/spool.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { READ_BYTES, READ_UNITS_MAX, SPOOLS_OPEN_MAX, UNIT_BYTES_MAX } from '../../../shared/core/limits.ts';

const LIMITS = { units: READ_UNITS_MAX, bytes: READ_BYTES };
const fixture = (name: string): string => join(import.meta.dirname, '../../fixtures/sources', name);

async function spoolFor(t: TestContext): Promise<{ spool: Spool; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'spool-'));
  const spool = await Spool.open(dir);
  t.after(async () => {
    await spool.close();
    await rm(dir, { recursive: true });
  });
  return { spool, dir };
}

async function* body(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

function unitsOf({ framed, starts, count }: Batch): string[] {
  return Array.from({ length: count }, (_, i) =>
    Buffer.from(framed.subarray((starts[i] as number) + 4, starts[i + 1])).toString(),
  );
}

/** Reads a source to its end and checks that the batches follow each other. */
async function readAll(spool: Spool, source: SourceSpec, limits = LIMITS) {
  const units: string[] = [];
  const bad: string[] = [];
  const batches: Batch[] = [];
  let offset = source.type === 'spool' ? source.body : 0;
  for (;;) {
    const batch = await spool.read(source, offset, units.length, limits);
    assert.equal(batch.first, units.length);
    assert.equal(batch.offset, offset);
    assert.equal(batch.starts.length, batch.count + 1);
    assert.ok(batch.count <= limits.units);
    units.push(...unitsOf(batch));
    bad.push(...batch.bad.map((one) => `${one.unit} ${one.code}`));
    batches.push(batch);
    if (batch.end) return { units, bad, batches };
    assert.ok(batch.count > 0 && batch.next > offset, 'a batch before the last has units');
    offset = batch.next;
  }
}

const refused = (code: string, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GimmeError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, pattern);
  return true;
};

test('a CSV is spooled with its hash, its columns and its delimiter, and read back', async (t) => {
  const { spool, dir } = await spoolFor(t);
  const bytes = await readFile(fixture('awkward.csv'));
  const source = await spool.write('csv', body(bytes), 'e1');
  assert.deepEqual(source, {
    type: 'spool',
    id: 'e1',
    format: 'csv',
    bytes: bytes.length,
    hash: createHash('sha256').update(bytes).digest('hex'),
    body: 3 + '"email";"first; name"; note \r\n'.length,
    columns: ['email', 'first; name', 'note'],
    delimiter: ';',
  });
  assert.deepEqual((await readdir(join(dir, 'spool'))).sort(), ['e1', 'e1.sums']);
  const { units, batches } = await readAll(spool, source);
  assert.deepEqual(units, [
    'ann@example.com;Ann;"two\r\nlines; ""quoted"""',
    'bob@example.com;Bob;',
    '"c@d.org";"Çelik";x',
  ]);
  assert.deepEqual(
    batches.map((batch) => batch.end),
    [true],
  );
});

test('the same source gives the same units whatever the limits of its reads, and any batch again', async (t) => {
  const { spool } = await spoolFor(t);
  const piece = fc.constantFrom('a', '"', '""', ',', '\n', '\r\n', '\n\n\n', '"x\ny"', 'bc,', ' ');
  let n = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('csv' as const, 'ndjson' as const),
      fc.array(piece, { maxLength: 40 }),
      fc.integer({ min: 1, max: 60 }),
      async (format, pieces, bytes) => {
        const source = await spool.write(format, body(`x,y\n${pieces.join('')}`), `p${n++}`);
        const whole = await readAll(spool, source);
        for (const limits of [
          { units: 1, bytes },
          { units: 3, bytes },
          { units: 100, bytes },
        ]) {
          const { units, bad, batches } = await readAll(spool, source, limits);
          assert.deepEqual({ units, bad }, { units: whole.units, bad: whole.bad });
          for (const batch of batches) {
            const { first, count, offset, next } = batch;
            if (count === 0) continue;
            assert.deepEqual(
              await spool.read(source, offset, first, { units: count, bytes: next - offset }),
              batch,
            );
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('long records, long lines and forgotten quotes give the same units at every read size', async (t) => {
  const { spool } = await spoolFor(t);
  const long = 'x'.repeat(UNIT_BYTES_MAX - 2);
  const rows = Array.from({ length: 20_000 }, (_, i) => `${i},row ${i}`);
  const source = await spool.write(
    'csv',
    body(
      'a,b\n',
      `1,${long}\r\n`,
      `2,${long}y\r\n`,
      '3,"forgotten\n',
      rows.join('\n'),
      `\n4,${'z'.repeat(2e6)}\n\n`,
      '5,"end\n6,"',
    ),
    'long',
  );
  const whole = await readAll(spool, source);
  assert.equal(whole.units[0], `1,${long}`);
  assert.deepEqual(whole.units.slice(3, 20_003), rows);
  assert.deepEqual(whole.units.slice(20_003), ['', '5,"end\n6,"']);
  assert.deepEqual(whole.bad, ['1 unit_too_large', '2 unclosed_quote', '20003 unit_too_large']);
  for (const limits of [
    { units: 4_000, bytes: 700 },
    { units: READ_UNITS_MAX, bytes: 300_000 },
  ]) {
    const { units, bad, batches } = await readAll(spool, source, limits);
    assert.deepEqual([units, bad], [whole.units, whole.bad]);
    for (const batch of batches.filter((batch) => batch.bad.length > 0)) {
      const { first, count, offset, next } = batch;
      assert.deepEqual(
        await spool.read(source, offset, first, { units: count, bytes: next - offset }),
        batch,
      );
    }
  }
});

test('the batch with the last record says so, also when only empty lines follow it', async (t) => {
  const { spool } = await spoolFor(t);
  for (const [i, tail] of [
    '',
    '\n',
    '\r\n',
    '\r',
    '\n\n\r\n\n',
    '\n'.repeat(600_000),
    '\r\n'.repeat(300_001),
  ].entries()) {
    const source = await spool.write('ndjson', body('1\n2', tail), `t${i}`);
    for (const units of [2, 3]) {
      const { batches } = await readAll(spool, source, { units, bytes: 10 });
      assert.deepEqual(
        batches.map(({ count, end }) => [count, end]),
        [[2, true]],
        `tail ${i}`,
      );
    }
  }
});

test('empty lines before the first record are passed, however many', async (t) => {
  const { spool } = await spoolFor(t);
  const source = await spool.write('csv', body('a\n', '\r\n'.repeat(400_000), 'x\n'), 'lead');
  const { units, batches } = await readAll(spool, source);
  assert.deepEqual([units, batches.length], [['x'], 1]);
});

test('a source without units ends with its first batch', async (t) => {
  const { spool } = await spoolFor(t);
  const sources: SourceSpec[] = [
    await spool.write('ndjson', body(), 'n0'),
    await spool.write('ndjson', body('\uFEFF'), 'n1'),
    await spool.write('ndjson', body('\n\r\n'), 'n2'),
    await spool.write('csv', body('email'), 'c0'),
    await spool.write('csv', body('\uFEFFemail\r\n\r\n'), 'c1'),
    { type: 'range', from: 3, to: 3 },
  ];
  for (const source of sources) {
    const { batches } = await readAll(spool, source);
    assert.deepEqual(
      batches.map(({ count, end }) => [count, end]),
      [[0, true]],
    );
  }
});

test('a range gives its numbers as text, the end not included', async (t) => {
  const { spool } = await spoolFor(t);
  const source: SourceSpec = { type: 'range', from: 8, to: 13 };
  const { units, batches } = await readAll(spool, source, { units: 2, bytes: 1 });
  assert.deepEqual(units, ['8', '9', '10', '11', '12']);
  assert.deepEqual(
    batches.map(({ offset, next }) => [offset, next]),
    [
      [0, 2],
      [2, 4],
      [4, 5],
    ],
  );
});

test('an upload is taken only as fast as it is written, and small parts are written together', async (t) => {
  const { spool } = await spoolFor(t);
  const part = Buffer.from('{"email":"somebody@example.com"}\n');
  async function* many(): AsyncGenerator<Uint8Array> {
    // The same buffer each time: a writer that kept it instead of its bytes would spool the last one only.
    const shared = Buffer.alloc(part.length);
    for (let i = 0; i < 50_000; i++) {
      part.copy(shared);
      yield shared;
      shared.fill(0);
    }
  }
  const source = await spool.write('ndjson', many(), 'many');
  const { units } = await readAll(spool, source);
  assert.equal(units.length, 50_000);
  assert.ok(units.every((unit) => unit === part.toString().trimEnd()));
});

test('an upload that breaks off leaves nothing and passes its error on', async (t) => {
  const { spool, dir } = await spoolFor(t);
  const broke = new Error('connection reset');
  let closed = false;
  async function* half(): AsyncGenerator<Uint8Array> {
    try {
      yield Buffer.from('email\na@example.com\n');
      yield Buffer.alloc(600_000, 'x');
      throw broke;
    } finally {
      closed = true;
    }
  }
  await assert.rejects(spool.write('csv', half(), 'half'), (error) => error === broke);
  assert.ok(closed);
  assert.deepEqual(await readdir(join(dir, 'spool')), []);
  await spool.write('csv', body('email\n'), 'half');
});

test('what a crash cut off is removed at the next start, whole spools stay', async (t) => {
  const { spool, dir } = await spoolFor(t);
  const source = await spool.write('csv', body('email\na\n'), 'whole');
  for (const name of ['torn.part', 'torn.sums.part']) await writeFile(join(dir, 'spool', name), 'email\n');
  const next = await Spool.open(dir);
  t.after(() => next.close());
  assert.deepEqual((await readdir(join(dir, 'spool'))).sort(), ['whole', 'whole.sums']);
  assert.deepEqual((await readAll(next, source)).units, ['a']);
});

const HEADER_FAULTS: [string | Uint8Array, RegExp][] = [
  ['', /the file is empty: a CSV needs a header line/],
  ['\uFEFF\r\n\n', /the file is empty/],
  ['email,,name\n', /column 2 of the CSV header has no name; give it one/],
  ['email, \n', /column 2 .* has no name/],
  ['email,name, email \n', /columns 1 and 3 of the CSV header are both named "email"; rename one/],
  ['email,"name\na@b.c,x\n', /opens a quote that is not closed/],
  ['email,"na"me\n', /column 2 of the CSV header has a misplaced quote/],
  [Buffer.from([0x61, 0x2c, 0xe9, 0x0a]), /header is not valid UTF-8; save the file as UTF-8/],
  [Buffer.from('\uFEFFemail\n', 'utf16le'), /UTF-16; convert it to UTF-8/],
  [Buffer.from('email\n', 'utf16le'), /NUL bytes; save the file as UTF-8/],
  [
    Array.from({ length: 1_001 }, (_, i) => `c${i}`).join(),
    /1001 columns, the limit is 1000; check the delimiter/,
  ],
  ['x'.repeat(UNIT_BYTES_MAX + 1), /header is over the limit of 262144 bytes/],
];

test('a header that does not fit is refused with its column and the cure, and leaves nothing', async (t) => {
  const { spool, dir } = await spoolFor(t);
  for (const [bytes, pattern] of HEADER_FAULTS) {
    await assert.rejects(spool.write('csv', body(bytes), 'bad'), refused('bad_source', pattern));
    assert.deepEqual(await readdir(join(dir, 'spool')), []);
  }
  const utf16 = spool.write('ndjson', body(Buffer.from([0xfe, 0xff, 0, 0x31])), 'bad');
  await assert.rejects(utf16, refused('bad_source', /UTF-16/));
});

test('the delimiter is the most frequent one of the header outside quotes', async (t) => {
  const { spool } = await spoolFor(t);
  const headers: [string, string, string[]][] = [
    ['email\n', ',', ['email']],
    ['a,b;c,d\n', ',', ['a', 'b;c', 'd']],
    ['a\tb\tc,d\n', '\t', ['a', 'b', 'c,d']],
    ['"a,b,c";d|e;f\n', ';', ['a,b,c', 'd|e', 'f']],
    ['"a ""x,y,z""\nb"|c\n', '|', ['a "x,y,z"\nb', 'c']],
    ['\r\n\n a , __proto__ \r\n', ',', ['a', '__proto__']],
  ];
  for (const [i, [text, delimiter, columns]] of headers.entries()) {
    const source = await spool.write('csv', body(text, 'row\n'), `d${i}`);
    assert.ok(source.type === 'spool');
    assert.deepEqual(
      [source.delimiter, source.columns, source.body],
      [delimiter, columns, Buffer.byteLength(text)],
    );
  }
});

test('removing is final and may be repeated; a spool that is gone or cut is said so', async (t) => {
  const { spool, dir } = await spoolFor(t);
  const source = await spool.write('csv', body('a\n1\n2\n'), 'gone');
  assert.ok(source.type === 'spool');
  await readAll(spool, source);
  await truncate(join(dir, 'spool', 'gone'), 4);
  await assert.rejects(
    spool.read(source, source.body, 0, LIMITS),
    refused('store_failed', /shorter than its 6 bytes/),
  );
  await spool.remove('gone');
  await spool.remove('gone');
  assert.deepEqual(await readdir(join(dir, 'spool')), []);
  await assert.rejects(
    spool.read(source, source.body, 0, LIMITS),
    refused('store_failed', /spool\/gone: ENOENT/),
  );
});

test('what the disk refuses is told with its path, its cause and the cure', async (t) => {
  const { spool, dir } = await spoolFor(t);
  await rm(join(dir, 'spool'), { recursive: true });
  const write = spool.write('ndjson', body('1\n'), 'x');
  await assert.rejects(
    write,
    refused('store_failed', /cannot write the spool .*spool\/x: ENOENT, it is not there/),
  );
  const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' });
  assert.match(
    String(storeFault(full, 'cannot write x')),
    /cannot write x: ENOSPC, the disk is full; make room/,
  );
  const fault = new TypeError('a fault of the program');
  assert.equal(storeFault(fault, 'cannot write x'), fault);
});

test('a start removes the spools that no epic reads', async (t) => {
  const { spool, dir } = await spoolFor(t);
  const kept = await spool.write('ndjson', body('1\n'), 'kept');
  const orphan = await spool.write('ndjson', body('2\n'), 'orphan');
  await rm(join(dir, 'spool', 'orphan'));
  await spool.keepOnly(new Set(['kept']));
  assert.deepEqual((await readdir(join(dir, 'spool'))).sort(), ['kept', 'kept.sums']);
  assert.deepEqual((await readAll(spool, kept)).units, ['1']);
  await assert.rejects(readAll(spool, orphan), refused('store_failed', /orphan/));
});

test('many spools are read at once with a bounded number of open files', async (t) => {
  const { spool } = await spoolFor(t);
  const count = SPOOLS_OPEN_MAX + 40;
  const sources: SourceSpec[] = [];
  for (let i = 0; i < count; i++) sources.push(await spool.write('ndjson', body(`${i}\n`), `m${i}`));
  for (let round = 0; round < 2; round++) {
    const all = await Promise.all(sources.map((source) => readAll(spool, source)));
    assert.deepEqual(
      all.map(({ units }) => units[0]),
      sources.map((_, i) => String(i)),
    );
  }
  if (process.platform !== 'linux') return;
  const open = (await readdir('/proc/self/fd')).length;
  assert.ok(open < SPOOLS_OPEN_MAX + 40, `${open} files are open`);
});
