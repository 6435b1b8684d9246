/** The checker finds what it is there to find: a small story in which all is well, and one change for each rule. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpicRecord, Token } from '../../master/core/records.ts';
import type { EpicStatus, Totals } from '../../shared/protocol/api.ts';
import { type Mail, Mails } from '../processes/mails.ts';
import { judge } from './checker.ts';
import { Looks } from './looks.ts';
import type { Story } from './play.ts';

const UNITS = 6;
const A: Token = { session: 'a', term: 1, n: 1 };
const B: Token = { session: 'b', term: 2, n: 1 };
const PID = { a: 101, b: 102 };

/** Worker `a` is killed at 500 with units 2 (mail sent) and 3 (not sent) in its hands; then the master is, too. */
function story(effect: Story['effect']): Story {
  const lost =
    effect === 'at-most-once' ? { again: [4, 6], unknown: [2, 4] } : { again: [2, 6], unknown: [] };
  const rest = effect === 'at-most-once' ? [4, 6] : [2, 6];
  const records: [number, EpicRecord][] = [
    [1, { k: 'horizon', epic: 'e', to: UNITS, offset: 99, end: true }],
    [1, { k: 'begun', epic: 'e', by: A, units: [0, 4] }],
    [1, { k: 'settled', epic: 'e', by: A, succeeded: [0, 2] }],
    [1, { k: 'lease-expired', epic: 'e', session: 'a', ...lost, wallMs: 700 }],
    [2, { k: 'begun', epic: 'e', by: B, units: rest }],
    [2, { k: 'settled', epic: 'e', by: B, succeeded: rest }],
  ];
  const sent = (units: number[], pid: number, atMs: number) => units.map((unit) => ({ unit, pid, atMs }));
  const again = effect === 'at-most-once' ? [4, 5] : [2, 3, 4, 5];
  const sends = [...sent([0, 1, 2, 3], PID.a, 400), ...sent(again, PID.b, 900)];
  const mails = sends.filter(({ unit, pid }) => unit !== 3 || pid === PID.b);
  const unknown = effect === 'at-most-once' ? 2 : 0;
  const status = { state: 'finished', faults: {}, totals: totals({ succeeded: UNITS - unknown, unknown }) };
  const looks = new Looks('http://127.0.0.1:9', 'e');
  void looks.stop();
  return {
    epic: 'e',
    units: UNITS,
    effect,
    leaseMs: 200,
    planned: 2,
    during: 2,
    sessions: new Map([
      [PID.a, 'a'],
      [PID.b, 'b'],
    ]),
    done: [
      { what: 'kill', whom: 'worker', pid: PID.a, session: 'a', atMs: 500, awayMs: 0 },
      { what: 'kill', whom: 'master', pid: 100, atMs: 800, awayMs: 0 },
    ],
    unexpected: [],
    looks,
    mails: new Mails(mails.map(({ unit, atMs }) => mail(unit, atMs))),
    sends,
    kept: records.map(([term, record]) => ({ term, record })),
    final: status as EpicStatus,
    again: structuredClone(status) as EpicStatus,
    tookMs: 1_000,
  };
}

function mail(unit: number, at: number): Mail {
  return { epic: 'e', unit, to: `reader.${unit}@example.com`, at, n: unit === 2 && at > 500 ? 2 : 1 };
}

function totals(some: Partial<Totals>): Totals {
  const ended = { succeeded: 0, failed: 0, unknown: 0, skipped: 0, cancelled: 0, missing: 0 };
  return { read: UNITS, ...ended, outstanding: 0, ...some };
}

function found(told: Story): string {
  return judge(told).broken.join('\n');
}

test('a story in which all is well has no finding, in either mode', () => {
  assert.equal(found(story('at-most-once')), '');
  const twice = story('at-least-once');
  assert.equal(found(twice), '');
  assert.deepEqual(
    judge(twice).rows.filter(([name]) => name.includes('lease-expired list')),
    [['  kill of a worker, in its lease-expired list', '1']],
  );
});

test('a nats-server that stands still explains the leases lost meanwhile, and what was sent again', () => {
  const cut = story('at-least-once');
  cut.done.splice(0, 1, { what: 'stop', whom: 'nats', pid: 99, atMs: 350, awayMs: 300 });
  assert.equal(found(cut), '');
  const [reason] = judge(cut).rows.filter(([name]) => name.includes('lease-expired list'));
  assert.deepEqual(reason, ['  stop of nats-server, in its lease-expired list', '1']);
  cut.done.splice(0, 1, { what: 'stop', whom: 'nats', pid: 99, atMs: 100, awayMs: 100 });
  assert.match(found(cut), /H6: a lost its lease unhurt/);
});

type Change = { what: string; effect: Story['effect']; change: (s: Story) => void; finds: RegExp };
const ONCE = 'at-most-once';
const LEAST = 'at-least-once';

const CHANGES: Change[] = [
  {
    what: 'a unit settled twice',
    effect: ONCE,
    change: (s) => s.kept.push({ term: 2, record: { k: 'settled', epic: 'e', by: B, succeeded: [0, 1] } }),
    finds: /H1: unit 0 is succeeded, then succeeded/,
  },
  {
    what: 'an unknown unit resolved by a token that did not begin it',
    effect: ONCE,
    change: (s) => s.kept.push({ term: 2, record: { k: 'resolved', epic: 'e', by: B, succeeded: [2, 3] } }),
    finds: /H1: unit 2 is resolved by b 2\.1, which did not begin it/,
  },
  {
    what: 'a succeeded unit resolved',
    effect: ONCE,
    change: (s) => s.kept.push({ term: 2, record: { k: 'resolved', epic: 'e', by: A, succeeded: [0, 1] } }),
    finds: /H1: unit 0 is resolved, and was succeeded/,
  },
  {
    what: 'totals that are not those of the records',
    effect: ONCE,
    change: (s) => Object.assign(s.final, { totals: totals({ succeeded: UNITS }) }),
    finds: /H2: the records say .* the master /,
  },
  {
    what: 'totals that a restart changes',
    effect: ONCE,
    change: (s) => Object.assign(s.again, { totals: totals({ succeeded: 5, unknown: 1 }) }),
    finds: /H2: .*after its restart/,
  },
  {
    what: 'a succeeded unit without a mail',
    effect: ONCE,
    change: (s) => Object.assign(s, { mails: new Mails(s.mails.all.filter(({ unit }) => unit !== 5)) }),
    finds: /H3: unit 5 is lost: it succeeded unsent/,
  },
  {
    what: 'a unit without an outcome',
    effect: LEAST,
    change: (s) => s.kept.pop(),
    finds: /H3: unit 2 is lost: it has no outcome/,
  },
  {
    what: 'a duplicate, at most once',
    effect: ONCE,
    change: (s) => Object.assign(s, { mails: new Mails([...s.mails.all, { ...mail(0, 950), n: 2 }]) }),
    finds: /H4: unit 0 got mails at/,
  },
  {
    what: 'a mail before its Begun record',
    effect: ONCE,
    change: (s) => s.kept.splice(4, 1),
    finds: /H4: unit 4 was sent before it began/,
  },
  {
    what: 'a duplicate whose first sender was alive',
    effect: LEAST,
    change: (s) => Object.assign(s.done[0] as object, { pid: 103 }),
    finds: /H5: unit 2 got mails at/,
  },
  {
    what: 'a duplicate that no lease-expired record lists',
    effect: LEAST,
    change: (s) => Object.assign(s.kept[3]?.record as object, { again: [3, 6] }),
    finds: /H5: unit 2 got mails at/,
  },
  {
    what: 'a lease lost by a worker that nobody hurt',
    effect: LEAST,
    change: (s) => {
      const record = {
        k: 'lease-expired',
        epic: 'e',
        session: 'b',
        again: [],
        unknown: [],
        wallMs: 1,
      } as const;
      s.kept.push({ term: 2, record });
    },
    finds: /H6: b lost its lease unhurt/,
  },
  {
    what: 'a mail of a unit that is said to have none',
    effect: LEAST,
    change: (s) => {
      const { record } = s.kept[5] as { record: EpicRecord };
      const failed = [{ unit: 5, code: 'smtp_rejected', message: 'no' }];
      Object.assign(record, { succeeded: [2, 5], failed });
    },
    finds: /H3: unit 5 is failed, and has a mail/,
  },
  {
    what: 'a duplicate after a kill of nats-server, which nobody may notice',
    effect: LEAST,
    change: (s) => s.done.splice(0, 1, { what: 'kill', whom: 'nats', pid: 99, atMs: 500, awayMs: 100 }),
    finds: /H6: a lost its lease unhurt[^]*H5: unit 2 got mails at/,
  },
  {
    what: 'a unit beyond the horizon',
    effect: ONCE,
    change: (s) => Object.assign(s.kept[0]?.record as object, { to: 5 }),
    finds: /H7: unit 5 ran beyond the horizon 5/,
  },
  {
    what: 'a record of a deposed master',
    effect: ONCE,
    change: (s) => Object.assign(s.kept[5] as object, { term: 1 }),
    finds: /H7: a record of term 1 after one of 2/,
  },
  {
    what: 'a fault that was not made',
    effect: ONCE,
    change: (s) => Object.assign(s, { planned: 3 }),
    finds: /2 of 3 faults were made/,
  },
];

for (const { what, effect, change, finds } of CHANGES) {
  test(`found: ${what}`, () => {
    const told = story(effect);
    change(told);
    assert.match(found(told), finds);
  });
}

test('looks: what does not add up, and what is taken back, is found', async () => {
  const looks = new Looks('http://127.0.0.1:9', 'e');
  await looks.stop();
  const look = (some: Partial<Totals>): void =>
    looks.take({ state: 'running', totals: totals(some) } as EpicStatus);
  look({ succeeded: 3, outstanding: 3 });
  look({ succeeded: 3, unknown: 1, outstanding: 2 });
  assert.deepEqual(looks.faults, []);
  look({ succeeded: 3, outstanding: 3 });
  look({ succeeded: 2, outstanding: 4 });
  look({ succeeded: 6, outstanding: 1 });
  const words = looks.faults.join('\n');
  assert.match(words, /a settled unit is not any more/);
  assert.match(words, /an outcome was taken back/);
  assert.match(words, /the arithmetic is wrong/);
});
