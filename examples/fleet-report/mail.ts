/**
 * The mail of a report: what the owner reads, and how it is sent. The newsletter sends it: at most once, and what nobody
 * can know is `unknown`.
 *
 * M1: a report has one mail, however often it is asked for: its idempotency key is made of the report's number.
 */
import { type Client, type Epic, units } from '../../client/index.ts';
import type { NewsletterBrief, Recipient } from '../../works/newsletter/index.ts';
import type { FleetReport, Totals } from './report.ts';

export type Owner = { name: string; email: string };

const ROW = `<td>{{ t.trips }}</td><td>{{ t.km }}</td><td>{{ t.fillUps }}</td><td>{{ t.litres }}</td><td>{{ t.euro }}</td>`;

export const MAIL: NewsletterBrief = {
  from: 'Fleet reports <reports@fleet.example>',
  subject: '{{ fleet }}, {{ period }}: {{ answered }} of {{ asked }} vehicles',
  html: `<h1>{{ fleet }}, {{ period }}</h1>
<p>Dear {{ name }}, report {{ report }} has {{ answered }} of {{ asked }} vehicles. <a href="{{ link }}">All of it</a></p>
{% if missing.size > 0 %}<p>Not heard of in time: {{ missing | join: ', ' }}</p>{% endif %}
<table><tr><th></th><th>trips</th><th>km</th><th>fill-ups</th><th>litres</th><th>EUR</th></tr>
{% for v in vehicles %}<tr><th>{{ v.vehicle }}</th>{% assign t = v.totals %}${ROW}</tr>
<tr><td></td><td colspan="5">{% for trip in v.trips %}{{ trip.day }}: {{ trip.km }} km {% endfor %}
{% for fill in v.fillUps %}{{ fill.day }}: {{ fill.litres }} l for {{ fill.euro }} EUR {% endfor %}</td></tr>
{% endfor %}<tr><th>{{ fleet }}</th>{% assign t = totals %}${ROW}</tr></table>
`,
};

/** Sends the mail of a report, or finds the epic that does already (M1). */
export function sendMail(client: Client, owner: Owner, report: FleetReport): Promise<Epic> {
  const source = units([recipientOf(client, owner, report)]);
  const idempotencyKey = `mail-${report.report}`;
  return client.submit({ work: 'newsletter', name: idempotencyKey, source, brief: MAIL, idempotencyKey });
}

/** What the template is given. */
export function recipientOf(client: Client, owner: Owner, value: FleetReport): Recipient {
  const { report, fleet, period, missing, vehicles } = value;
  const answered = vehicles.length;
  return {
    ...owner,
    ...{ report, fleet, period, missing, answered, asked: answered + missing.length },
    link: `${client.master}/v1/epics/${report}/result`,
    vehicles: vehicles.map(({ vehicle, trips, fillUps, totals }) => ({
      vehicle,
      trips: trips.map(({ day, metres }) => ({ day, km: shown(metres, 1_000, 1) })),
      fillUps: fillUps.map(({ day, millilitres, cents }) => ({
        day,
        litres: shown(millilitres, 1_000, 1),
        euro: shown(cents, 100, 2),
      })),
      totals: totalsOf(totals),
    })),
    totals: totalsOf(value.totals),
  };
}

function totalsOf({ trips, metres, fillUps, millilitres, cents }: Totals): Record<string, string | number> {
  const [km, litres, euro] = [shown(metres, 1_000, 1), shown(millilitres, 1_000, 1), shown(cents, 100, 2)];
  return { trips, km, fillUps, litres, euro };
}

function shown(amount: number, of: number, digits: number): string {
  return (amount / of).toFixed(digits);
}
