/** What `npm run example:fleet-report` claims. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reissued } from '../../examples/fleet-report/gather.ts';
import { MAIL, recipientOf } from '../../examples/fleet-report/mail.ts';
import {
  type Delivered,
  type Fleet,
  faulty,
  forgetful,
  inTurn,
  OWNER,
  withFleet,
} from '../../examples/fleet-report/run.ts';
import { logOf, mannersOf } from '../../examples/fleet-report/vehicles.ts';
import { checkBrief } from '../../works/newsletter/index.ts';

const DEADLINE_MS = 10_000;
const TIMES = { promptMs: 100, slowMs: 2 * DEADLINE_MS };

test('two overlapping reports of 200 vehicles: the right 40 are missing, on time, apart, one mail each', async () => {
  await withFleet(mannersOf(200, faulty), TIMES, async (fleet) => {
    const deadline = `${DEADLINE_MS}ms`;
    const reports = await Promise.all([
      fleet.deliver('2026-10', deadline),
      fleet.deliver('2026-11', deadline),
    ]);
    const missing = fleet.vehicles.names.filter((_, i) => i % 10 === 3 || i % 10 === 7);
    assert.equal(missing.length, 40);
    for (const report of reports) {
      assert.deepEqual(report.value.missing, missing);
      assert.equal(report.complete, false);
      assert.equal(report.end.totals.missing, 40);
      const late = report.ms / DEADLINE_MS - 1;
      // It waits for no vehicle that is slow: those answer after twice the deadline.
      assert.ok(late >= 0 && late <= 0.5, `out after ${report.ms} ms`);
      assertOwn(fleet, report);
      assertMail(fleet, report);
    }
    assert.notEqual(reports[0].value.report, reports[1].value.report);

    const again = await fleet.deliver('2026-10', deadline);
    assert.deepEqual(again.value, reports[0].value);
    assert.equal(again.mail.id, reports[0].mail.id);
    const { distinct, duplicates } = fleet.mails();
    assert.deepEqual({ distinct, duplicates }, { distinct: 2, duplicates: 0 });
  });
});

test('a report of one vehicle waits for nobody', async () => {
  await withFleet(
    mannersOf(1, () => 'prompt'),
    TIMES,
    async (fleet) => {
      const report = await fleet.deliver('2026-10', '2m');
      assert.ok(report.complete);
      assert.deepEqual(report.value.missing, []);
      assert.ok(report.ms < 60_000, `${report.ms} ms; its deadline is 2 min`);
      assertOwn(fleet, report);
    },
  );
});

test('with reissueAfter a request that was lost is made again while the first is waited for; only the dead are missing', async () => {
  await withFleet(mannersOf(60, forgetful), TIMES, async (fleet) => {
    const { value } = await fleet.deliver('2026-10', '9s', reissued);
    const named = (index: number): string => fleet.vehicles.names[index] as string;
    assert.deepEqual(value.missing, [3, 13, 23, 33, 43, 53].map(named));
    assert.equal(new Set(value.vehicles.map(({ vehicle }) => vehicle)).size, 54);
    for (const index of [7, 17, 27, 37, 47, 57]) {
      const requests = fleet.asked(value.report).filter(({ vehicle }) => vehicle === named(index));
      const answered = requests.map((it) => it.answered);
      assert.deepEqual(answered, [false, true]);
    }
  });
});

test('asked in turn, ten vehicles take longer than the gateway waits, and one dead vehicle blocks the others', async () => {
  const given = { dead: 0, promptMs: 300, gatewayMs: 2_500 };
  const few = await inTurn(2, given);
  const many = await inTurn(10, given);
  const blocked = await inTurn(3, { ...given, dead: 1 });
  assert.deepEqual([few.ok, many.ok, blocked.ok], [true, false, false]);
});

/** Its answers are its own, whole, and add up; vehicles were asked for its period under its number. */
function assertOwn(fleet: Fleet, { value }: Delivered): void {
  const { report, period, vehicles, totals, missing } = value;
  assert.equal(vehicles.length + missing.length, fleet.vehicles.names.length);
  const sums = { trips: 0, metres: 0, fillUps: 0, millilitres: 0, cents: 0 };
  for (const { totals: own, ...log } of vehicles) {
    assert.deepEqual(log, logOf(report, log.vehicle, period));
    for (const { metres } of log.trips) sums.metres += metres;
    for (const { millilitres, cents } of log.fillUps) {
      sums.millilitres += millilitres;
      sums.cents += cents;
    }
    sums.trips += log.trips.length;
    sums.fillUps += log.fillUps.length;
    assert.deepEqual([own.trips, own.fillUps], [log.trips.length, log.fillUps.length]);
  }
  assert.deepEqual(totals, sums);
  const asked = fleet.asked(report);
  assert.ok(asked.every((it) => it.period === period));
  assert.deepEqual([...new Set(asked.map((it) => it.vehicle))].sort(), fleet.vehicles.names);
}

/** It was sent, and says what the report says. */
function assertMail({ cluster }: Fleet, { value, mail }: Delivered): void {
  assert.equal(mail.state, 'finished');
  assert.equal(mail.totals.succeeded, 1);
  const recipient = recipientOf(cluster.client, OWNER, value);
  const { subject, html } = checkBrief(MAIL);
  const page = html.render(recipient);
  assert.equal(subject.render(recipient), `north, ${value.period}: 160 of 200 vehicles`);
  assert.ok(page.includes(`Not heard of in time: ${value.missing.join(', ')}</p>`), page.slice(0, 1_000));
  assert.ok(page.includes(`href="${cluster.client.master}/v1/epics/${value.report}/result"`));
  const { trips, metres, fillUps, millilitres, cents } = value.totals;
  const cells = [
    trips,
    (metres / 1_000).toFixed(1),
    fillUps,
    (millilitres / 1_000).toFixed(1),
    (cents / 100).toFixed(2),
  ];
  assert.ok(page.includes(`<th>north</th>${cells.map((it) => `<td>${it}</td>`).join('')}</tr></table>`));
  for (const { vehicle } of value.vehicles) assert.ok(page.includes(`<th>${vehicle}</th>`), vehicle);
}
