/** The shell's part in reading sources: what is written, in which order, and what its worker is told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MasterInput } from '../../../master/core/master.ts';
import type { BlockUnits } from '../../../master/io/blocks.ts';
import { SourceReads } from '../../../master/io/sourceReads.ts';
import { GimmeError } from '../../../shared/core/errors.ts';
import { GRANT_UNITS_MAX } from '../../../shared/core/limits.ts';
import { silentLog } from '../../../shared/io/log.ts';
import { prefixed, unitsOf } from '../../../shared/protocol/codec.ts';
import { CONTROL_UNIT, type MasterMessage, type Part } from '../../../shared/protocol/messages.ts';
import { LEASE_MS, Rig, work } from './core/rig.ts';

type Write = { offset: number; units: BlockUnits; done: (error?: Error) => void };

/** An epic of a source, and a disk that writes when the test says so. */
class Shell {
  readonly rig = new Rig({ lookAheadUnits: 100 });
  readonly writes: Write[] = [];
  readonly sent: MasterMessage[] = [];
  readonly reads: SourceReads;

  constructor() {
    const source = { type: 'named', id: 's', name: 'feed', args: 'null' } as const;
    this.rig.step({ type: 'submit', epic: { epic: 'e', name: 'e', work: 'job', source, brief: 'b' } });
    this.reads = new SourceReads({
      state: this.rig.core.state,
      spool: {
        append: (_source, offset, units) =>
          new Promise((resolve, reject) => {
            const done = (error?: Error): void => (error ? reject(error) : resolve(offset + units.count));
            this.writes.push({ offset, units, done });
          }),
      },
      log: silentLog,
      settled: () => Promise.resolve(),
      step: (input: MasterInput) => void this.rig.step(input),
      send: (_session, message) => void this.sent.push(message),
    });
  }

  /** Grants the read to a new session; returns the number of its grant. */
  grant(session = 'w'): number {
    this.rig.hello(session, [work('job')], 1, { sources: ['feed'] });
    const [read] = this.rig.sent('work', session).filter(({ control }) => control === 'read');
    assert.ok(read, 'a read was granted');
    return read.n;
  }

  part(n: number, part: number, units: readonly string[], more: Partial<Part> = {}, session = 'w'): void {
    const message: Part = {
      t: 'part',
      epic: 'e',
      term: 7,
      n,
      part,
      last: false,
      cursor: `"${part}"`,
      ...more,
    };
    const bytes = unitsOf(Buffer.concat(units.map((unit) => prefixed(Buffer.from(unit)))));
    this.reads.take({ session, epic: 'e', term: 7, n }, message, bytes);
  }

  /** Ends the oldest write under way. */
  async written(error?: Error): Promise<Write> {
    await turns();
    const write = this.writes.shift();
    assert.ok(write, 'something is written');
    write.done(error);
    await turns();
    return write;
  }

  get told(): string[] {
    return this.sent.map((message) => (message.t === 'took' ? `took ${message.part}` : message.t));
  }

  get stands(): [read: number, cursor: string | undefined] {
    const { read, cursor } = this.rig.epic('e');
    return [read, cursor];
  }
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
};

describe('a part of a read', () => {
  test('is answered once it is written and recorded with its cursor; one that comes again changes nothing', async () => {
    const shell = new Shell();
    const n = shell.grant();
    shell.part(n, 0, ['1', '2']);
    shell.part(n, 0, ['1', '2']); // While it is being written.
    await turns();
    assert.deepEqual([shell.told, shell.stands], [[], [0, undefined]]);
    const { offset, units } = await shell.written();
    assert.deepEqual([offset, units.first, units.count], [0, 0, 2]);
    assert.deepEqual([shell.told, shell.stands], [['took 0'], [2, '"0"']]);
    shell.part(n, 0, ['1', '2']);
    shell.part(n, 1, ['3'], { last: true });
    await shell.written();
    shell.part(n, 1, ['3'], { last: true });
    await turns();
    assert.deepEqual(shell.told, ['took 0', 'took 0', 'took 1', 'took 1']);
    assert.deepEqual([shell.writes.length, shell.stands], [0, [3, '"1"']]);
  });

  test('that follows one which was lost stops the read', async () => {
    const shell = new Shell();
    const n = shell.grant();
    shell.part(n, 1, ['2']);
    await turns();
    assert.deepEqual([shell.told, shell.writes.length], [['abort'], 0]);
    assert.deepEqual(shell.sent[0], {
      ...{ t: 'abort', term: 7, epic: 'e' },
      units: [CONTROL_UNIT, CONTROL_UNIT + 1],
    });
  });

  test('of a bad unit keeps its number and no bytes of it', async () => {
    const shell = new Shell();
    const n = shell.grant();
    const bad = [{ item: 1, code: 'unit_too_large', message: 'record 2' }];
    shell.part(n, 0, ['1', 'lies', '3'], { bad, end: true, last: true });
    const { units } = await shell.written();
    assert.deepEqual(units.bad, [{ unit: 1, code: 'unit_too_large', message: 'record 2' }]);
    assert.equal(units.framed.length, 4 + 1 + 4 + 0 + 4 + 1);
    assert.deepEqual(shell.rig.totals('e'), { read: 3, failed: 1, outstanding: 2 });
  });

  test('without units is not written', async () => {
    const shell = new Shell();
    const n = shell.grant();
    shell.part(n, 0, [], { end: true, last: true });
    await turns();
    assert.deepEqual(
      [shell.told, shell.writes.length, shell.rig.epic('e').state],
      [['took 0'], 0, 'finished'],
    );
  });

  test('that no honest worker sends fails the epic, and the master lives on', async () => {
    const many = Array.from({ length: GRANT_UNITS_MAX + 1 }, () => '');
    for (const [units, more] of [
      [['1'], { cursor: undefined }],
      [many, {}],
    ] as const) {
      const shell = new Shell();
      const { cursor: _, ...rest } = { cursor: '1', ...more };
      const n = shell.grant();
      const message = { t: 'part', epic: 'e', term: 7, n, part: 0, last: false, ...rest } as const;
      const told: Part = 'cursor' in more ? message : { ...message, cursor: '1' };
      const bytes = unitsOf(Buffer.concat(units.map((unit) => prefixed(Buffer.from(unit)))));
      shell.reads.take({ session: 'w', epic: 'e', term: 7, n }, told, bytes);
      await turns();
      assert.deepEqual([shell.writes.length, shell.rig.epic('e').fault?.code], [0, 'bad_message']);
    }
  });
});

describe('a write', () => {
  test('that fails stops the read, which begins anew where the last one that counts ended', async () => {
    const shell = new Shell();
    const n = shell.grant();
    shell.part(n, 0, ['1']);
    await shell.written();
    shell.part(n, 1, ['2']);
    await shell.written(new GimmeError('store_failed', 'the disk is full'));
    assert.deepEqual(
      [shell.told, shell.stands],
      [
        ['took 0', 'abort'],
        [1, '"0"'],
      ],
    );
  });

  test('of a read that was lost meanwhile counts for nothing, and the next one waits for it', async () => {
    // Both wrote at the same place: what came last spoiled what counted.
    const shell = new Shell();
    const n = shell.grant();
    shell.part(n, 0, ['"lost"']);
    await turns();
    shell.rig.pass(LEASE_MS + 100);
    const next = shell.grant('v');
    shell.part(next, 0, ['"a"', '"b"'], {}, 'v');
    await turns();
    assert.equal(shell.writes.length, 1);
    await shell.written();
    assert.deepEqual(shell.stands, [0, undefined]);
    const { offset, units } = await shell.written();
    assert.deepEqual([offset, units.count, shell.stands], [0, 2, [2, '"0"']]);
  });

  test('is not begun for a read that was lost while it waited', async () => {
    const shell = new Shell();
    const n = shell.grant();
    shell.part(n, 0, ['1']);
    shell.rig.step({ type: 'pause', epic: 'e', reason: 'lunch' });
    await turns();
    assert.deepEqual([shell.writes.length, shell.stands], [0, [0, undefined]]);
  });
});
