/** A gather on a worker's shell, with a master by hand that loses messages: scatter, units with answers, fold. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineGather } from '../../../shared/core/gather.ts';
import { UNIT_BYTES_MAX } from '../../../shared/core/limits.ts';
import { skip, type WorkDefinition } from '../../../shared/core/work.ts';
import { CONTROL_UNIT, type Control, type GrantReport } from '../../../shared/protocol/messages.ts';
import { HandMaster, type Heard, reports, says, text } from './handMaster.ts';

const UNITS = [CONTROL_UNIT, CONTROL_UNIT + 1];
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const fleet = defineGather<{ vehicles: string[] }, object, unknown>('fleet')
  .scatter(({ vehicles }) => vehicles.map((vehicle) => ({ data: vehicle, to: vehicle })))
  .step('compile', (vehicle, ctx) => {
    if (vehicle === 'silent') return skip('nothing to tell');
    if (vehicle === 'huge') return { all: 'x'.repeat(UNIT_BYTES_MAX) };
    if (vehicle === 'odd') return { at: 1n };
    return { vehicle, of: ctx.brief.vehicles.length };
  })
  .gather({ deadline: '1m' }, (found, { missing, failed, brief }) => ({ found, missing, failed, brief }));
const REQUEST = { vehicles: ['a', 'silent', 'huge', 'odd'] };

async function started(work: unknown = fleet): Promise<HandMaster> {
  const master = new HandMaster(work as WorkDefinition, REQUEST);
  master.worker('w1');
  await master.until(says('w1', 'hello'));
  return master;
}

function control(master: HandMaster, kind: Control, n: number, input: unknown = null): void {
  master.grant('w1', { n, units: UNITS, control: kind }, [json(input)]);
}

const took = (master: HandMaster, n: number, part: number): void =>
  master.say('w1', { t: 'took', term: 1, n, part });

/** What a report in this message says of the grant. */
function reportOf({ message }: Heard): GrantReport {
  assert.ok(message.t === 'gimme');
  const report = message.reports.find(({ failed, ok, later }) => failed ?? ok ?? later);
  assert.ok(report);
  return report;
}

test('a scatter gives the items of its request, again where nobody heard, and then reports', async () => {
  const master = await started();
  control(master, 'scatter', 1);
  const lost = await master.until(says('w1', 'part'));
  const again = await master.until(says('w1', 'part'));
  assert.deepEqual(again.message, lost.message);
  assert.equal(text(again.payload), text(lost.payload));
  assert.ok(again.message.t === 'part' && again.message.last);
  assert.deepEqual(again.message.to, REQUEST.vehicles);
  assert.equal(text(again.units.at(1)), '"silent"');
  assert.ok(!master.heard.some(reports('w1', 'ok')), 'it is not done before its part is taken');
  took(master, 1, 0);
  assert.deepEqual(reportOf(await master.until(reports('w1', 'ok'))).ok, UNITS);
});

test('a unit answers by what its last step returned, and declines by a skip; what is no answer fails', async () => {
  const master = await started();
  master.grant('w1', { units: [0, 4] }, REQUEST.vehicles.map(json));
  const heard = await master.until(reports('w1', 'ok'));
  const { ok, skipped, failed, answers } = reportOf(heard);
  assert.deepEqual([ok, skipped, answers], [[0, 1], [1, 2], [{ unit: 0, brings: 1 }]]);
  assert.deepEqual(
    failed?.map(({ unit, code, step }) => [unit, code, step]),
    [
      [2, 'result_too_large', 'compile'],
      [3, 'result_not_json', 'compile'],
    ],
  );
  assert.equal(text(heard.units.at(heard.units.count - 1)), '{"vehicle":"a","of":4}');
});

test('what cannot be told of an effect that must not be repeated is in doubt, not failed', async () => {
  const charge = defineGather<{ vehicles: string[] }>('charge')
    .scatter(({ vehicles }) => vehicles)
    .step('charge', { effect: 'at-most-once' }, () => 1n)
    .gather({ deadline: '1m' }, () => 1);
  const master = await started(charge);
  master.grant('w1', {}, [json('a')]);
  const begin = await master.until(says('w1', 'begin'));
  assert.ok(begin.message.t === 'begin');
  master.say('w1', { t: 'proceed', term: 1, n: 1, at: begin.message.at, go: [0, 1], skip: [] });
  const heard = await master.until(
    ({ message }) => message.t === 'gimme' && message.reports.some(({ unknown }) => unknown),
  );
  assert.ok(heard.message.t === 'gimme');
  assert.equal(heard.message.reports[0]?.unknown?.[0]?.code, 'result_not_json');
});

test('a fold asks page by page, again where a page was lost, and gives what it makes of them', async () => {
  const master = await started();
  control(master, 'fold', 1, { failed: 1, unknown: 0, items: 4 });
  const first = await master.until(says('w1', 'want-answers'));
  const again = await master.until(says('w1', 'want-answers'));
  assert.deepEqual(first.message, { t: 'want-answers', epic: 'e', term: 1, n: 1, after: -1 });
  assert.deepEqual(again.message, first.message);
  const page = { t: 'answers', term: 1, n: 1 } as const;
  master.say('w1', { ...page, after: -1, units: [0, 1], missing: [1, 2], last: false }, [json('first')]);
  const next = await master.until(says('w1', 'want-answers'));
  assert.ok(next.message.t === 'want-answers' && next.message.after === 1);
  // The first page, doubled, is not taken for the second.
  master.say('w1', { ...page, after: -1, units: [0, 1], missing: [1, 2], last: false }, [json('first')]);
  master.say('w1', { ...page, after: 1, units: [3, 4], missing: [2, 3], last: true }, [json('second')]);
  const part = await master.until(says('w1', 'part'));
  assert.deepEqual(JSON.parse(text(part.units.at(0))), {
    found: ['first', 'second'],
    missing: [1, 3],
    failed: 1,
    brief: REQUEST,
  });
  took(master, 1, 0);
  assert.deepEqual(reportOf(await master.until(reports('w1', 'ok'))).ok, UNITS);
});

describe('a control run that cannot go on', () => {
  test('is handed back when it is aborted, and its slot is free', async () => {
    const master = await started();
    for (let n = 1; n <= 4; n++) control(master, 'scatter', n);
    await master.until(({ message }) => message.t === 'part' && message.n === 4);
    master.grant('w1', { n: 5, units: [0, 1] }, [json('a')]);
    master.say('w1', { t: 'abort', term: 1, epic: 'e', units: UNITS });
    const { later } = reportOf(await master.until(reports('w1', 'later')));
    assert.deepEqual([later?.[0]?.unit, later?.[0]?.code, later?.[0]?.attempt], [CONTROL_UNIT, 'stopped', 1]);
    const answered = await master.until(reports('w1', 'ok'));
    assert.ok(answered, 'the unit that waited for a slot is run');
  });

  test('goes on where its worker drains meanwhile', async () => {
    const master = new HandMaster(fleet as unknown as WorkDefinition, REQUEST);
    const worker = master.worker('w1');
    await master.until(says('w1', 'hello'));
    control(master, 'scatter', 1);
    await master.until(says('w1', 'part'));
    const ended = worker.drain('a test', 20_000);
    await master.until(says('w1', 'bye'));
    took(master, 1, 0);
    await master.until(reports('w1', 'ok'));
    master.say('w1', { t: 'settled', term: 1, grants: [{ n: 1, units: UNITS }] });
    await master.until(says('w1', 'bye'));
    await ended;
  });

  test('fails where its worker knows no such gather, or refuses the request', async () => {
    const work = { name: 'job', options: {}, steps: [{ name: 's', effect: 'none' }] };
    const prepare = (): never => {
      throw new Error('no vehicles');
    };
    const refusing = { name: 'fleet', steps: fleet.steps, gather: fleet.gather, options: { prepare } };
    for (const [gather, code, message] of [
      [work, 'scatter_failed', /job is no gather on this worker/],
      [refusing, 'bad_brief', /no vehicles/],
    ] as const) {
      const master = await started(gather);
      control(master, 'scatter', 1);
      const [fault] = reportOf(await master.until(reports('w1', 'failed'))).failed ?? [];
      assert.equal(fault?.code, code);
      assert.match(fault?.message ?? '', message);
    }
  });
});
