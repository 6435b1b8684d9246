/** Arbitrary valid messages of every kind, with the units that go with them, for the codec's properties. */
import fc from 'fast-check';
import { countOf } from '../../../../shared/core/intervalSet.ts';
import { broughtBy } from '../../../../shared/protocol/codec.ts';
import type {
  GatherManifest,
  GrantReport,
  HeldGrant,
  MasterMessage,
  Message,
  Ranges,
  WorkerMessage,
  WorkManifest,
} from '../../../../shared/protocol/messages.ts';

export type Sample<M extends Message = Message> = { message: M; units: Uint8Array[] };

/** Objects as JSON makes them: never without a prototype. */
const plain = <T extends object>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(shape, { noNullPrototype: true }) as fc.Arbitrary<T>;

const whole = fc.oneof(fc.nat(), fc.maxSafeNat());
const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => !(text in Object.prototype));
/** Any UTF-16, lone surrogates and line breaks included. */
const text = fc.string({
  unit: fc.oneof(fc.integer({ min: 0, max: 0xffff }).map((n) => String.fromCharCode(n))),
});
const stepNumber = fc.nat({ max: 31 });
const record = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.dictionary(id, value, { maxKeys: 4, noNullPrototype: true });
const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(value, { maxLength: 4 });

/** Up to eight ranges of up to nine units: far from zero as well as near. */
const ranges: fc.Arbitrary<Ranges> = fc
  .tuple(
    fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 2 ** 50 })),
    fc.array(fc.tuple(fc.nat({ max: 9 }), fc.integer({ min: 1, max: 9 })), { maxLength: 8 }),
  )
  .map(([start, steps]) => {
    const edges: number[] = [];
    let at = start;
    for (const [gap, length] of steps) {
      edges.push(at + gap, at + gap + length);
      at += gap + length;
    }
    return edges;
  });

const demand = { at: whole, term: whole, lastGrant: fc.nat(), level: whole };
/** As far as the range of one unit goes. */
const unit = fc.oneof(
  fc.nat({ max: 40 }),
  fc.maxSafeNat().map((n) => Math.min(n, Number.MAX_SAFE_INTEGER - 1)),
);
const brings = fc.constantFrom(0 as const, 1 as const, 2 as const);
const fault = fc.record(
  {
    unit,
    code: id,
    message: text,
    step: fc.oneof(id, fc.constant('')),
    attempt: whole,
    key: text,
    brings,
  },
  { requiredKeys: ['unit', 'code', 'message', 'step', 'attempt'], noNullPrototype: true },
);
const later = fc.record(
  {
    unit,
    attempt: whole,
    step: stepNumber,
    delayMs: fc.oneof(whole, fc.double({ min: 0.001, max: 1e9, noNaN: true })),
    code: id,
    key: text,
    brings,
  },
  { requiredKeys: ['unit', 'attempt', 'step', 'delayMs', 'code'], noNullPrototype: true },
);
const saved = fc.record(
  { unit, step: stepNumber, key: text, brings },
  { requiredKeys: ['unit', 'step', 'brings'], noNullPrototype: true },
);
const report: fc.Arbitrary<GrantReport> = fc.record(
  {
    epic: id,
    term: whole,
    n: whole,
    ok: ranges,
    skipped: ranges,
    failed: some(fault),
    unknown: some(fault),
    back: ranges,
    later: some(later),
    answers: some(plain({ unit, brings })),
    cleared: ranges,
  },
  { requiredKeys: ['epic', 'term', 'n'], noNullPrototype: true },
);
const gather: fc.Arbitrary<GatherManifest> = fc.record(
  {
    scatter: fc.constantFrom('items' as const, 'labels' as const),
    deadlineMs: whole,
    enough: whole,
    quorum: whole,
    reissueAfterMs: whole,
  },
  { requiredKeys: ['scatter', 'deadlineMs'], noNullPrototype: true },
);
const steps = some(
  plain({
    name: id,
    effect: fc.constantFrom('none' as const, 'at-least-once' as const, 'at-most-once' as const),
  }),
);
const manifest: fc.Arbitrary<WorkManifest> = fc.record(
  { name: id, hash: id, steps, gather },
  { requiredKeys: ['name', 'hash', 'steps'], noNullPrototype: true },
);

const seal = fc.oneof(id, fc.constant(''));
const held: fc.Arbitrary<HeldGrant> = fc.record(
  { epic: id, term: whole, n: whole, units: ranges, seal, granted: ranges },
  { requiredKeys: ['epic', 'term', 'n', 'units', 'seal'], noNullPrototype: true },
);

const bare = <M extends Message>(shape: { [K in keyof M]: fc.Arbitrary<M[K]> }): fc.Arbitrary<Sample<M>> =>
  plain<M>(shape).map((message) => ({ message, units: [] }));
type Of<M extends Message, T extends M['t']> = Extract<M, { t: T }>;
type From<M extends Message> = { [T in M['t']]: fc.Arbitrary<Sample<Of<M, T>>> };

const items = (count: number): fc.Arbitrary<Uint8Array[]> =>
  fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: count, maxLength: count });

const part: From<WorkerMessage>['part'] = fc
  .record(
    {
      t: fc.constant('part' as const),
      epic: id,
      term: whole,
      n: whole,
      part: whole,
      last: fc.boolean(),
      to: some(fc.oneof(id, fc.constant(''))),
      labels: record(text),
    },
    { requiredKeys: ['t', 'epic', 'term', 'n', 'part', 'last'], noNullPrototype: true },
  )
  .chain((message) => {
    const count = message.to ? fc.constant(message.to.length) : fc.nat({ max: 4 });
    return count.chain(items).map((units) => ({ message, units }));
  });

export const fromWorker: From<WorkerMessage> = {
  hello: bare({
    t: fc.constant('hello'),
    v: whole,
    ...demand,
    name: id,
    works: some(manifest),
    labels: record(text),
    slots: whole,
    version: text,
    held: some(held),
  }),
  heartbeat: fc
    .record(
      {
        t: fc.constant('heartbeat' as const),
        ...demand,
        held: some(whole),
        older: some(whole),
        steps: record(record(plain({ done: whole, failed: whole, retried: whole }))),
      },
      { requiredKeys: ['t', 'at', 'term', 'lastGrant', 'level', 'held', 'steps'], noNullPrototype: true },
    )
    .map((message) => ({ message, units: [] })),
  gimme: plain({ t: fc.constant('gimme' as const), ...demand, reports: some(report) }).chain((message) => {
    const count = message.reports.reduce((sum, report) => sum + broughtBy(report), 0);
    return items(count).map((units) => ({ message, units }));
  }),
  begin: fc
    .record(
      {
        t: fc.constant('begin' as const),
        at: whole,
        epic: id,
        term: whole,
        n: whole,
        units: ranges,
        saved: some(saved),
      },
      { requiredKeys: ['t', 'at', 'epic', 'term', 'n', 'units'], noNullPrototype: true },
    )
    .chain((message) => {
      const count = (message.saved ?? []).reduce((sum, { brings }) => sum + brings, 0);
      return items(count).map((units) => ({ message, units }));
    }),
  part,
  'want-answers': bare({
    t: fc.constant('want-answers'),
    epic: id,
    term: whole,
    n: whole,
    after: fc.oneof(fc.constant(-1), whole),
  }),
  'want-brief': bare({ t: fc.constant('want-brief'), hash: id }),
  bye: bare({ t: fc.constant('bye'), reason: text }),
};

const work: From<MasterMessage>['work'] = fc
  .record(
    {
      t: fc.constant('work' as const),
      term: whole,
      n: whole,
      epic: id,
      work: id,
      brief: id,
      units: ranges,
      seal,
      again: some(plain({ unit, attempt: whole, step: stepNumber })),
      control: fc.constantFrom('scatter' as const, 'fold' as const),
    },
    { requiredKeys: ['t', 'term', 'n', 'epic', 'work', 'brief', 'units', 'seal'], noNullPrototype: true },
  )
  .chain((message) => items(countOf(message.units)).map((units) => ({ message, units })));

const answers: From<MasterMessage>['answers'] = plain({
  t: fc.constant('answers' as const),
  term: whole,
  n: whole,
  after: fc.oneof(fc.constant(-1), whole),
  units: ranges,
  missing: ranges,
  last: fc.boolean(),
}).chain((message) => items(countOf(message.units)).map((units) => ({ message, units })));

const brief: From<MasterMessage>['brief'] = fc
  .record({
    hash: id,
    part: fc.nat({ max: 50 }),
    after: fc.integer({ min: 1, max: 50 }),
    bytes: fc.uint8Array(),
  })
  .map(({ hash, part, after, bytes }) => ({
    message: { t: 'brief', hash, part, parts: part + after },
    units: [bytes],
  }));

export const fromMaster: From<MasterMessage> = {
  available: bare({ t: fc.constant('available'), v: whole, master: id, term: whole, works: some(id) }),
  work,
  proceed: bare({ t: fc.constant('proceed'), term: whole, n: whole, at: whole, go: ranges, skip: ranges }),
  took: bare({ t: fc.constant('took'), term: whole, n: whole, part: whole }),
  answers,
  settled: bare({
    t: fc.constant('settled'),
    term: whole,
    grants: some(plain({ n: whole, units: ranges })),
  }),
  recall: fc
    .record(
      { t: fc.constant('recall' as const), term: whole, count: whole, next: fc.constant('end' as const) },
      { requiredKeys: ['t', 'term', 'count'], noNullPrototype: true },
    )
    .map((message) => ({ message, units: [] })),
  abort: fc
    .record(
      { t: fc.constant('abort' as const), term: whole, epic: id, units: ranges },
      { requiredKeys: ['t', 'term', 'epic'], noNullPrototype: true },
    )
    .map((message) => ({ message, units: [] })),
  brief,
  refused: bare({ t: fc.constant('refused'), code: id, message: text }),
};

export const anyFromWorker: fc.Arbitrary<Sample<WorkerMessage>> = fc.oneof(...Object.values(fromWorker));
export const anyFromMaster: fc.Arbitrary<Sample<MasterMessage>> = fc.oneof(...Object.values(fromMaster));
export const anyMessage: fc.Arbitrary<Sample> = fc.oneof(anyFromWorker, anyFromMaster);
