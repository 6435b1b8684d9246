/** Frames: what goes in comes out, and nothing but a GimmeError comes of what should not have come in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GimmeError } from '../../../../shared/core/errors.ts';
import {
  BRIEF_PART_BYTES,
  GRANT_NUMBERS_MAX,
  GRANT_UNITS_MAX,
  MESSAGE_BYTES_MAX,
  REPORT_UNITS_MAX,
  UNIT_BYTES_MAX,
} from '../../../../shared/core/limits.ts';
import {
  type Decoded,
  decodeFrame,
  decodeMasterMessage,
  decodeWorkerMessage,
  encodeFrame,
  prefixed,
  unitsOf,
} from '../../../../shared/protocol/codec.ts';
import type { GimmeWork, Message, Work } from '../../../../shared/protocol/messages.ts';
import { MASTER_SHAPES, WORKER_SHAPES } from '../../../../shared/protocol/shapes.ts';
import {
  anyFromMaster,
  anyFromWorker,
  anyMessage,
  fromMaster,
  fromWorker,
  type Sample,
} from './messages.arbitrary.ts';

const encode = ({ message, units }: Sample): Uint8Array => encodeFrame(message, units.map(prefixed));

/** A frame around any header, valid or not. */
function frameOf(header: unknown, units: Uint8Array[] = []): Uint8Array {
  const bytes = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  return Buffer.concat([prefixed(bytes), ...units.map(prefixed)]);
}

function bytesOf(decoded: Decoded): Uint8Array[] {
  return Array.from({ length: decoded.units.count }, (_, i) => Uint8Array.from(decoded.units.at(i)));
}

function refusal(frame: Uint8Array, decode: (frame: Uint8Array) => unknown = decodeFrame): GimmeError {
  try {
    decode(frame);
  } catch (error) {
    assert.ok(error instanceof GimmeError, `threw ${String(error)}`);
    return error;
  }
  return assert.fail('the frame was accepted');
}

function refused(frame: Uint8Array, message: RegExp): void {
  const error = refusal(frame);
  assert.equal(error.code, 'bad_message');
  assert.match(error.message, message);
}

for (const [tag, samples] of Object.entries({ ...fromWorker, ...fromMaster })) {
  test(`${tag} comes back as it was sent, with its units`, () => {
    fc.assert(
      fc.property(samples as fc.Arbitrary<Sample>, (sample) => {
        const decoded = decodeFrame(encode(sample));
        assert.deepEqual(decoded.message, sample.message);
        assert.deepEqual(bytesOf(decoded), sample.units);
        assert.deepEqual(Buffer.from(decoded.payload), Buffer.concat(sample.units.map(prefixed)));
      }),
    );
  });
}

test('a frame inside a larger buffer is read at its own place', () => {
  const frame = encode({ message: work({ units: [4, 6] }), units: [Buffer.from('ab'), Buffer.from('')] });
  const around = new Uint8Array(frame.length + 20).fill(0xff);
  around.set(frame, 7);
  const decoded = decodeMasterMessage(around.subarray(7, 7 + frame.length));
  assert.deepEqual(bytesOf(decoded), [Uint8Array.from([97, 98]), new Uint8Array(0)]);
});

test('each side is read only as that side (F2)', () => {
  fc.assert(
    fc.property(anyFromWorker, anyFromMaster, (worker, master) => {
      assert.deepEqual(decodeWorkerMessage(encode(worker)).message, worker.message);
      assert.deepEqual(decodeMasterMessage(encode(master)).message, master.message);
      assert.equal(refusal(encode(worker), decodeMasterMessage).code, 'bad_message');
      assert.equal(refusal(encode(master), decodeWorkerMessage).code, 'bad_message');
    }),
  );
});

test('any bytes give a message or a GimmeError (F1)', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void codeOf(bytes)),
    { numRuns: 1_000 },
  );
});

test('any JSON header gives a message or a GimmeError (F1)', () => {
  const tag = fc.constantFrom(
    ...Object.keys(WORKER_SHAPES),
    ...Object.keys(MASTER_SHAPES),
    'constructor',
    '__proto__',
  );
  fc.assert(
    fc.property(fc.json(), tag, (json, t) => {
      codeOf(frameOf(json));
      codeOf(frameOf(`{"t":${JSON.stringify(t)},"x":${json}}`));
      codeOf(frameOf({ ...Object.fromEntries(FIELDS.map((field) => [field, JSON.parse(json)])), t }));
    }),
    { numRuns: 500 },
  );
});

test('a frame with bytes changed, cut or added gives a message or a GimmeError (F1)', () => {
  const change = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }) });
  fc.assert(
    fc.property(
      anyMessage,
      fc.array(change, { maxLength: 6 }),
      fc.nat(),
      fc.uint8Array(),
      (sample, changes, cut, more) => {
        const frame = Buffer.from(encode(sample));
        for (const { at, byte } of changes) frame[at % frame.length] = byte;
        codeOf(frame);
        codeOf(frame.subarray(0, cut % frame.length));
        codeOf(Buffer.concat([frame, more]));
      },
    ),
    { numRuns: 1_000 },
  );
});

const FIELDS = [
  ...new Set(Object.values({ ...WORKER_SHAPES, ...MASTER_SHAPES }).flatMap((s) => Object.keys(s))),
];

/** How a frame was refused; fails if by anything but the two codes allowed. */
function codeOf(frame: Uint8Array): string | undefined {
  try {
    decodeFrame(frame);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof GimmeError, `threw ${String(error)}`);
    assert.ok(error.code === 'bad_message' || error.code === 'too_large', error.code);
    return error.code;
  }
}

const gimme = (report: object): object => ({
  t: 'gimme',
  at: 1,
  term: 1,
  lastGrant: 1,
  level: 1,
  reports: [{ epic: 'e', term: 1, n: 1, ...report }],
});

function work(fields: Partial<Work>): Work {
  return { t: 'work', term: 1, n: 1, epic: 'e', work: 'w', brief: 'b', units: [], seal: '', ...fields };
}

/** One message of each kind, as plain JSON. */
const EXAMPLES: Record<string, Record<string, unknown>> = {
  hello: {
    t: 'hello',
    v: 1,
    at: 1,
    term: 1,
    lastGrant: 0,
    level: 4,
    name: 'n',
    labels: { area: 'north' },
    slots: 4,
    version: '0.1.0',
    sources: ['feed'],
    works: [{ name: 'w', hash: 'h', steps: [{ name: 's', effect: 'none' }] }],
    held: [{ epic: 'e', term: 1, n: 1, units: [0, 4], seal: 's', granted: [0, 9] }],
  },
  heartbeat: {
    t: 'heartbeat',
    at: 1,
    term: 1,
    lastGrant: 0,
    level: 4,
    held: [1],
    older: [0, 7],
    steps: { e: { s: { done: 1, failed: 0, retried: 0 } } },
  },
  gimme: { t: 'gimme', at: 1, term: 1, lastGrant: 0, level: 4, reports: [] },
  begin: { t: 'begin', at: 1, epic: 'e', term: 1, n: 1, units: [0, 1] },
  part: {
    ...{ t: 'part', epic: 'e', term: 1, n: 1, part: 0, last: true, to: [], labels: { area: 'north' } },
    ...{ cursor: '7', end: false, bad: [] },
  },
  'want-answers': { t: 'want-answers', epic: 'e', term: 1, n: 1, after: -1 },
  'want-brief': { t: 'want-brief', hash: 'h' },
  bye: { t: 'bye', reason: 'drained' },
  available: { t: 'available', v: 1, master: 'm', term: 1, works: ['w'] },
  work: {
    t: 'work',
    term: 1,
    n: 1,
    epic: 'e',
    work: 'w',
    brief: 'b',
    units: [],
    seal: 's',
    again: [{ unit: 1, attempt: 2, step: 1 }],
  },
  proceed: { t: 'proceed', term: 1, n: 1, at: 2, go: [0, 1], skip: [1, 2] },
  took: { t: 'took', term: 1, n: 1, part: 3 },
  answers: { t: 'answers', term: 1, n: 1, after: -1, units: [], missing: [], last: false },
  settled: { t: 'settled', term: 1, grants: [{ n: 1, units: [0, 1] }] },
  recall: { t: 'recall', term: 1, count: 3 },
  abort: { t: 'abort', term: 1, epic: 'e', units: [0, 1] },
  brief: { t: 'brief', hash: 'h', part: 0, parts: 1 },
  refused: { t: 'refused', code: 'protocol_version', message: 'm' },
};
/** What fits a field although it fits hardly any other. */
const FITS: Record<string, unknown> = { after: -1, last: true, end: true };
const payloadOf = (tag: string): Uint8Array[] => (tag === 'brief' ? [Buffer.from('{}')] : []);

test('every field is checked, and a refusal names it', () => {
  for (const [tag, shape] of Object.entries({ ...WORKER_SHAPES, ...MASTER_SHAPES })) {
    const example = EXAMPLES[tag];
    assert.ok(example, `no example of ${tag}`);
    assert.deepEqual(decodeFrame(frameOf(example, payloadOf(tag))).message, example as Message);
    for (const [field, check] of Object.entries(shape)) {
      if (field === 't') continue;
      const named = new RegExp(`^${tag}\\.${field} must `);
      // Nothing in the protocol is null, and none of these fits any field.
      for (const wrong of [null, -1, 1.5e300, true, { a: null }, [null], 'x'.repeat(2_001)]) {
        if (FITS[field] === wrong) continue;
        refused(
          frameOf({ ...example, [field]: wrong }, payloadOf(tag)),
          new RegExp(`^${tag}\\.${field}[. [(]`),
        );
      }
      const { [field]: _gone, ...without } = example;
      const optional = 'optional' in (check as object);
      if (optional) assert.equal(codeOf(frameOf(without, payloadOf(tag))), undefined);
      else refused(frameOf(without, payloadOf(tag)), named);
    }
  }
});

test('a refusal names the place in lists and records', () => {
  const fault = { unit: 1, code: 'c', message: 'm', step: '', attempt: 1 };
  refused(
    frameOf(gimme({ failed: [fault, { ...fault, unit: '7' }] })),
    /^gimme\.reports\[0\]\.failed\[1\]\.unit must be/,
  );
  refused(
    frameOf(gimme({ later: [{ unit: 1, attempt: 1, step: 32, delayMs: 0, code: 'c' }] })),
    /later\[0\]\.step must be below 32/,
  );
  const beat = { ...EXAMPLES['heartbeat'], steps: { e: { s: { done: 1, failed: 0 } } } };
  refused(frameOf(beat), /^heartbeat\.steps\.e\.s\.retried must be/);
});

test('unknown fields are left out, at any depth, and __proto__ reaches nobody', () => {
  const header = `{"t":"gimme","at":1,"term":1,"lastGrant":1,"level":1,"later":[],"__proto__":{"level":9},
    "reports":[{"epic":"e","term":1,"n":1,"__proto__":{"ok":[0,9]},"new":{"a":1}}]}`;
  const { message } = decodeFrame(frameOf(header));
  assert.deepEqual(message, gimme({}));
  const copy = Object.assign({}, (message as GimmeWork).reports[0]);
  assert.equal(copy.ok, undefined);
  assert.equal(Object.getPrototypeOf(copy), Object.prototype);
});

test('names that every object has are no ids and no keys', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    refused(frameOf({ t: name }), /^t must be/);
    refused(frameOf(`{"t":"want-brief","hash":"${name}"}`), /^want-brief\.hash must be an id/);
    const steps = `{"${name}":{"s":{"done":1,"failed":0,"retried":0}}}`;
    refused(
      frameOf(`{"t":"heartbeat","at":1,"term":1,"lastGrant":0,"level":0,"held":[],"steps":${steps}}`),
      /steps \(a key\) must be an id/,
    );
  }
});

// Broke: after the largest whole number a master gave one number to two grants, and ended at the report of the first.
test('a grant number leaves room for those after it', () => {
  const beat = (lastGrant: number): Uint8Array => frameOf({ ...EXAMPLES['heartbeat'], lastGrant });
  assert.equal(codeOf(beat(GRANT_NUMBERS_MAX - 1)), undefined);
  refused(beat(GRANT_NUMBERS_MAX), /^heartbeat\.lastGrant must be below 2147483648/);
});

test('lists and ranges are bounded, also the number of units that few edges name', () => {
  const fault = { unit: 1, code: 'c', message: '', step: '', attempt: 1 };
  const faults = (count: number): object => gimme({ failed: Array.from({ length: count }, () => fault) });
  assert.equal(codeOf(frameOf(faults(REPORT_UNITS_MAX))), undefined);
  refused(frameOf(faults(REPORT_UNITS_MAX + 1)), /failed must have at most 512 items/);
  assert.equal(codeOf(frameOf(gimme({ ok: [5, 5 + GRANT_UNITS_MAX] }))), undefined);
  refused(frameOf(gimme({ ok: [0, Number.MAX_SAFE_INTEGER] })), /ok must name at most 16384 units/);
  const isolated = (pairs: number): number[] => Array.from({ length: 2 * pairs }, (_, i) => i);
  refused(frameOf(gimme({ ok: isolated(8_192).map((n) => n * 3) })), /ok must name at most 16384 units/);
  assert.equal(codeOf(frameOf(gimme({ ok: isolated(8_192) }))), undefined);
  refused(frameOf(gimme({ ok: isolated(8_193) })), /ok must have at most 8192 ranges/);
});

test('a part names a responder for each of its items, and a report brings an answer for each it lists', () => {
  const part = { ...EXAMPLES['part'], to: ['a', ''] };
  const item = Buffer.from('1');
  assert.equal(codeOf(frameOf(part, [item, item])), undefined);
  refused(frameOf(part, [item]), /part\.to must name one for each item/);
  const answered = gimme({ ok: [1, 2], answers: [{ unit: 1, brings: 1 }] });
  assert.equal(codeOf(frameOf(answered, [item])), undefined);
  refused(frameOf(answered), /gimme says that 1 items are in its payload, not 0/);
});

test('the payload must be the units that the header names', () => {
  const unit = Buffer.from('u');
  const frame = (units: number[], count: number): Uint8Array =>
    frameOf(work({ units }), new Array(count).fill(unit));
  assert.equal(codeOf(frame([3, 5], 2)), undefined);
  refused(frame([3, 5], 1), /names 2 units, the payload has 1/);
  refused(frame([3, 5], 3), /names 2 units, the payload has 3/);
  refused(frameOf(work({ units: [0, 1], brief: '' }), [unit]), /^work\.brief must be/);
  assert.equal(codeOf(frameOf(work({ brief: '' }))), undefined);
  refused(frameOf(EXAMPLES['recall'], [unit]), /^recall must have no payload/);
  refused(frameOf(EXAMPLES['brief']), /^brief must have one part/);
  refused(frameOf({ ...EXAMPLES['brief'], part: 1 }, [unit]), /^brief\.part must be below brief\.parts/);
});

test('frames over the limit are refused on both sides', () => {
  const fits = MESSAGE_BYTES_MAX - encodeFrame(work({ units: [0, 2] })).length - 8;
  const units = [new Uint8Array(UNIT_BYTES_MAX), new Uint8Array(fits - UNIT_BYTES_MAX)];
  const largest = encode({ message: work({ units: [0, 2] }), units });
  assert.equal(largest.length, MESSAGE_BYTES_MAX);
  assert.equal(decodeFrame(largest).units.at(1).length, fits - UNIT_BYTES_MAX);
  const over = [units[0] as Uint8Array, new Uint8Array(fits - UNIT_BYTES_MAX + 1)];
  assert.throws(
    () => encode({ message: work({ units: [0, 2] }), units: over }),
    (error) => error instanceof GimmeError && error.code === 'too_large',
  );
  assert.equal(refusal(new Uint8Array(MESSAGE_BYTES_MAX + 1)).code, 'too_large');
});

test('units are views at their lengths, and lengths that do not fit are refused', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 30 })), (list) => {
      const payload = Buffer.concat(list.map(prefixed));
      const units = unitsOf(payload);
      assert.equal(units.count, list.length);
      for (let i = 0; i < list.length; i++) {
        assert.deepEqual(Uint8Array.from(units.at(i)), list[i]);
        assert.equal(units.at(i).buffer, payload.buffer, 'a view (F3)');
      }
      assert.throws(() => units.at(list.length), RangeError);
      assert.throws(() => units.at(-1), RangeError);
      if (payload.length > 0) assert.throws(() => unitsOf(payload.subarray(0, -1)), GimmeError);
    }),
  );
  assert.throws(() => unitsOf(Buffer.from([0, 0, 0])), /inside the length of a unit/);
  assert.throws(() => unitsOf(Buffer.from([0xff, 0xff, 0xff, 0xff, 1])), /has 4294967295 bytes, over/);
  assert.throws(() => unitsOf(prefixed(new Uint8Array(UNIT_BYTES_MAX + 1))), /bytes, over/);
  assert.equal(unitsOf(prefixed(new Uint8Array(BRIEF_PART_BYTES)), BRIEF_PART_BYTES).count, 1);
  assert.equal(unitsOf(new Uint8Array(0)).count, 0);
});

test('the header must be JSON in UTF-8, whole', () => {
  refused(new Uint8Array(3), /inside the length of its header/);
  refused(Buffer.from([0, 0, 0, 9, 0x7b]), /inside its header/);
  refused(Buffer.from([0, 0, 0, 0]), /not JSON in UTF-8/);
  refused(frameOf('{"t":"bye"'), /not JSON in UTF-8/);
  refused(prefixed(Buffer.from('{"t":"bye","reason":"\xff"}', 'latin1')), /not JSON in UTF-8/);
  for (const header of ['null', '[]', '"bye"', '7', '{}', '{"t":["bye"]}'])
    refused(frameOf(header), /^t must be/);
  refused(frameOf('['.repeat(400_000)), /not JSON in UTF-8/);
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  assert.equal(codeOf(frameOf(`{"t":"bye","reason":"","x":${deep}}`)), undefined);
});
