/** The shell's part in gathers: parts that come in order, twice, late, or without end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MasterInput } from '../../../master/core/master.ts';
import type { UnitRow } from '../../../master/core/rows.ts';
import { Gathers } from '../../../master/io/gathers.ts';
import { countOf, IntervalSet } from '../../../shared/core/intervalSet.ts';
import {
  BRIEF_BYTES_MAX,
  GATHER_BYTES_MAX,
  GATHER_SCATTER_BYTES_MAX,
  GRANT_BYTES_MAX,
  MESSAGE_BYTES_MAX,
} from '../../../shared/core/limits.ts';
import { silentLog } from '../../../shared/io/log.ts';
import { encodeFrame, prefixed, unitsOf } from '../../../shared/protocol/codec.ts';
import type { MasterMessage, Part } from '../../../shared/protocol/messages.ts';
import { answer, controlOf, done, gather, scattered } from './core/gatherRig.ts';
import { Rig } from './core/rig.ts';

/** A shell beside a core's rig: what it is told, what it sends, what it keeps. */
class Shell {
  readonly rig = new Rig({ leaseMs: 60_000 });
  readonly steps: MasterInput[] = [];
  readonly sent: MasterMessage[] = [];
  spooled = '';
  asked = 0;
  /** Ends a read of rows. */
  readonly reads: ((rows: UnitRow[]) => void)[] = [];
  readonly gathers: Gathers;

  constructor() {
    const written = { id: 's', format: 'ndjson', bytes: 0, hash: '', body: 0 } as const;
    this.gathers = new Gathers({
      state: this.rig.core.state,
      spool: {
        write: async (_format, chunks) => {
          for await (const chunk of chunks) this.spooled += Buffer.from(chunk).toString();
          return { type: 'spool', ...written };
        },
        append: () => Promise.reject(new Error('no source is read')),
        remove: () => Promise.resolve(),
      },
      briefs: {
        put: () => Promise.resolve('hash'),
        get: () => Promise.resolve(Buffer.from('{"brief":{"area":"north"}}')),
      },
      store: { units: () => new Promise((resolve) => this.reads.push(resolve)) },
      log: silentLog,
      settled: () => Promise.resolve(),
      step: (input) => {
        this.steps.push(input);
        this.rig.step(input);
      },
      send: (_session, message) => void this.sent.push(message),
    });
  }

  part(n: number, part: number, items: string[], more: Partial<Part> = {}): void {
    const units = unitsOf(Buffer.concat(items.map((item) => prefixed(Buffer.from(item)))));
    this.gathers.take('w', { t: 'part', epic: 'g', term: 7, n, part, last: false, ...more }, units);
  }

  /** Submits a gather; returns the number of its scatter's grant. */
  scatter(): number {
    const source = { type: 'scatter' } as const;
    this.rig.step({
      type: 'submit',
      epic: { epic: 'g', name: 'g', work: 'ask', source, brief: 'b', gather: {} },
    });
    this.rig.hello('w', [gather()], 100);
    return controlOf(this.rig, 'w').n;
  }

  /** Brings a gather to its fold; returns the number of its grant. */
  fold(): number {
    done(this.rig, scattered(this.rig, 1));
    answer(this.rig, 'w', [0], 2);
    return controlOf(this.rig, 'w').n;
  }

  get took(): number[] {
    return this.sent.flatMap((message) => (message.t === 'took' ? [message.part] : []));
  }
}

const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};

describe('parts', () => {
  test('that come twice are answered twice and count once, the last one too', async () => {
    const shell = new Shell();
    const n = shell.scatter();
    shell.part(n, 0, ['1', '2'], { to: ['', 'a'] });
    shell.part(n, 0, ['1', '2'], { to: ['', 'a'] });
    shell.part(n, 1, ['3'], { last: true });
    await turns();
    // Its answer was lost: nobody said again that it is there.
    shell.part(n, 1, ['3'], { last: true });
    await turns();
    assert.deepEqual(shell.took, [0, 0, 1, 1]);
    assert.equal(shell.spooled, '1\n2\n3\n');
    const scatters = shell.steps.filter(({ type }) => type === 'scattered');
    assert.equal(scatters.length, 1);
    const [{ items, to }] = scatters as [Extract<MasterInput, { type: 'scattered' }>];
    assert.deepEqual(
      [items, to],
      [
        3,
        [
          ['', [0, 1, 2, 3]],
          ['a', [1, 2]],
        ],
      ],
    );
    assert.equal(shell.gathers.bytes, 0);
  });

  test('of a scatter without end are refused with the one that goes over the limit', () => {
    // They were counted only when the last one came: a worker could fill the master's memory.
    const shell = new Shell();
    const n = shell.scatter();
    const item = JSON.stringify('x'.repeat(250_000));
    let part = 0;
    while (shell.rig.epic('g').state === 'running') shell.part(n, part++, [item]);
    assert.equal(part, Math.floor(GATHER_SCATTER_BYTES_MAX / item.length) + 1);
    assert.equal(shell.rig.epic('g').fault?.code, 'bad_scatter');
    assert.equal(shell.gathers.bytes, 0);
  });

  test('of a fold without end are refused with the one that goes over the limit', () => {
    const shell = new Shell();
    const n = shell.fold();
    const piece = 'x'.repeat(250_000);
    let part = 0;
    while (shell.rig.epic('g').state === 'running') shell.part(n, part++, [piece]);
    assert.equal(part, Math.floor(BRIEF_BYTES_MAX / piece.length) + 1);
    assert.equal(shell.rig.epic('g').fault?.code, 'fold_failed');
  });

  test('of many gathers at once wait where together they are too much, all but those of the first', async () => {
    // Each was bounded, and their number was not: a crowd of scatters could fill the master's memory.
    const shell = new Shell();
    const epics = ['g', 'h', 'i', 'j'];
    const source = { type: 'scatter' } as const;
    for (const epic of epics)
      shell.rig.step({
        type: 'submit',
        epic: { epic, name: epic, work: 'ask', source, brief: 'b', gather: {} },
      });
    shell.rig.hello('w', [gather()], 100);
    const grants = new Map(shell.rig.sent('work', 'w').map(({ epic, n }) => [epic, n]));
    const item = JSON.stringify('x'.repeat(250_000));
    const next = new Map(epics.map((epic) => [epic, 0]));
    const give = (epic: string, more: Partial<Part> = {}): boolean => {
      const before = shell.took.length;
      const part = next.get(epic) ?? 0;
      shell.part(grants.get(epic) ?? 0, part, [item], { epic, ...more });
      const isTaken = shell.took.length > before;
      if (isTaken) next.set(epic, part + 1);
      return isTaken;
    };
    while (epics.map((epic) => (next.get(epic) ?? 0) < 200 && give(epic)).includes(true));
    const { bytes } = shell.gathers;
    assert.ok(bytes >= GATHER_BYTES_MAX && bytes <= GATHER_BYTES_MAX + GATHER_SCATTER_BYTES_MAX, `${bytes}`);
    assert.deepEqual([next.get('g'), give('h'), give('i')], [200, false, false]);
    give('g', { last: true });
    await turns();
    assert.deepEqual([give('h'), give('i')], [true, true]);
  });

  test('of a broadcast ask each responder once', async () => {
    const shell = new Shell();
    shell.rig.hello('w2', [gather()], 0, { name: 'v', labels: { area: 'north' } });
    shell.rig.hello('w3', [gather()], 0, { name: 'v', labels: { area: 'north' } });
    const n = shell.scatter();
    shell.part(n, 0, [], { last: true, labels: { area: 'north' } });
    await turns();
    const [input] = shell.steps as [Extract<MasterInput, { type: 'scattered' }>];
    assert.deepEqual([input.items, input.to], [1, [['v', [0, 1]]]]);
    assert.equal(shell.spooled, '{"area":"north"}\n');
  });

  test('of a broadcast ask nobody who has another version of the gather, and could not be given it', async () => {
    // Whoever had one was asked and could not answer: the gather was never complete.
    const shell = new Shell();
    const labels = { area: 'north' };
    const n = shell.scatter();
    shell.rig.hello('w2', [{ ...gather(), hash: 'another version' }], 0, { name: 'u', labels });
    shell.rig.hello('w3', [gather()], 0, { name: 'v', labels });
    shell.part(n, 0, [], { last: true, labels });
    await turns();
    const [input] = shell.steps as [Extract<MasterInput, { type: 'scattered' }>];
    assert.deepEqual([input.items, input.to], [1, [['v', [0, 1]]]]);
  });
});

test('a fold is told of any number of missing units, in pages that are frames', async () => {
  const shell = new Shell();
  const n = shell.fold();
  const missing = shell.rig.epic('g').gather?.missing;
  const first = 900_000_000;
  for (let i = 0; i < 30_000; i++) missing?.add(first + 2 * i, first + 2 * i + 1);
  const told = new IntervalSet();
  let answers = 0;
  for (let after = -1, isOver = false; !isOver; ) {
    const page = shell.gathers.answer('w', { t: 'want-answers', epic: 'g', term: 7, n, after });
    await turns();
    // Two answers: one before all that is missing, one far behind it.
    const row = {
      epic: 'g',
      state: 'answered',
      code: '',
      message: '',
      attempt: 1,
      step: 0,
      dueWallMs: 0,
      key: '',
    } as const;
    const units = [0, first + 70_000].filter((unit) => unit > after);
    shell.reads.shift()?.(units.map((unit) => ({ ...row, unit, data: { bytes: Buffer.from('1') } })));
    await page;
    const message = shell.sent.pop();
    assert.ok(message?.t === 'answers');
    assert.ok(encodeFrame(message, []).length < MESSAGE_BYTES_MAX - GRANT_BYTES_MAX);
    told.addAll(message.missing);
    answers += countOf(message.units);
    after = Math.max((message.units.at(-1) ?? 0) - 1, (message.missing.at(-1) ?? 0) - 1);
    isOver = message.last;
  }
  assert.deepEqual([told.ranges(), answers], [missing?.ranges(), 2]);
});

test('a fold that asks again while its page is read has it read once', async () => {
  // Each time it asked, another page was read: a worker that did nothing else could fill the master's memory.
  const shell = new Shell();
  const n = shell.fold();
  const asked = { t: 'want-answers', epic: 'g', term: 7, n, after: -1 } as const;
  const first = shell.gathers.answer('w', asked);
  await turns();
  await shell.gathers.answer('w', asked);
  assert.equal(shell.reads.length, 1);
  shell.reads[0]?.([]);
  await first;
  assert.equal(shell.sent.filter(({ t }) => t === 'answers').length, 1);
});
