/**
 * A report of one client and one day: as the API tells it, in the client's own units and currency, and as it is
 * kept, in metres, millilitres and euro cents. Owns the conversion; it is a function of its inputs alone.
 */
import { PermanentError } from '../../client/index.ts';

/** A unit of the epic: which report. */
export type ReportName = { client: string; day: string };

/** Amounts are in the smallest coin of the currency. */
export type ClientReport = ReportName & {
  currency: string;
  distanceIn: 'km' | 'mi';
  volumeIn: 'l' | 'gal';
  trips: { vehicle: string; distance: number }[];
  fillUps: { vehicle: string; volume: number; paid: number }[];
};

export type KeptReport = ReportName & {
  vehicles: Record<string, { metres: number; millilitres: number; cents: number }>;
  metres: number;
  millilitres: number;
  cents: number;
};

/** Euro for one of each currency. */
export type Rates = Record<string, number>;

const METRES = { km: 1_000, mi: 1_609.344 };
const MILLILITRES = { l: 1_000, gal: 3_785.411_784 };
/** Currencies without a smaller coin (ISO 4217). */
const WHOLE = new Set(['JPY', 'KRW', 'ISK']);

export function keyOf({ client, day }: ReportName): string {
  return `${client}/${day}`;
}

/** Throws PermanentError for a currency without a rate: no second try would know it. */
export function convert(report: ClientReport, rates: Rates): KeptReport {
  const { client, day, currency, distanceIn, volumeIn } = report;
  const rate = Object.hasOwn(rates, currency) ? rates[currency] : undefined;
  if (rate === undefined) {
    throw new PermanentError(`there is no rate for ${currency}`, { code: 'unknown_currency' });
  }
  const perCoin = WHOLE.has(currency) ? rate * 100 : rate;
  const vehicles: KeptReport['vehicles'] = {};
  const of = (vehicle: string): { metres: number; millilitres: number; cents: number } => {
    vehicles[vehicle] ??= { metres: 0, millilitres: 0, cents: 0 };
    return vehicles[vehicle];
  };
  for (const { vehicle, distance } of report.trips) {
    of(vehicle).metres += Math.round(distance * METRES[distanceIn]);
  }
  for (const { vehicle, volume, paid } of report.fillUps) {
    const sum = of(vehicle);
    sum.millilitres += Math.round(volume * MILLILITRES[volumeIn]);
    sum.cents += Math.round(paid * perCoin);
  }
  const total = (part: 'metres' | 'millilitres' | 'cents'): number =>
    Object.values(vehicles).reduce((sum, vehicle) => sum + vehicle[part], 0);
  const totals = { metres: total('metres'), millilitres: total('millilitres'), cents: total('cents') };
  return { client, day, vehicles, ...totals };
}
