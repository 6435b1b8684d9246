/**
 * A fleet's report of one period: what is asked for, what a vehicle answers, and what the answers come to. Lengths are
 * metres, volumes millilitres, money euro cents. Owns the sums; they are functions of their inputs alone.
 */
import { eachOf } from '../../shared/core/intervalSet.ts';

/** What an owner asks of a fleet: the request of the gather. */
export type ReportRequest = {
  fleet: string;
  /** Such as `2026-10`. */
  period: string;
  vehicles: readonly string[];
  /** Where vehicles are asked. */
  api: string;
};
export type Trip = { day: number; metres: number };
export type FillUp = { day: number; millilitres: number; cents: number };
/** What a vehicle answers; `report` is the correlation number it was asked under. */
export type VehicleLog = {
  report: string;
  vehicle: string;
  period: string;
  trips: Trip[];
  fillUps: FillUp[];
};
export type Totals = { trips: number; metres: number; fillUps: number; millilitres: number; cents: number };
export type VehicleReport = VehicleLog & { totals: Totals };
export type FleetReport = {
  /** The correlation number: the id of the epic. */
  report: string;
  fleet: string;
  period: string;
  vehicles: VehicleReport[];
  totals: Totals;
  /** Vehicles that did not answer in time. */
  missing: string[];
};

const NONE: Totals = { trips: 0, metres: 0, fillUps: 0, millilitres: 0, cents: 0 };

export function vehicleReport(log: VehicleLog): VehicleReport {
  const totals = { ...NONE, trips: log.trips.length, fillUps: log.fillUps.length };
  for (const { metres } of log.trips) totals.metres += metres;
  for (const { millilitres, cents } of log.fillUps) {
    totals.millilitres += millilitres;
    totals.cents += cents;
  }
  return { ...log, totals };
}

/** `missing` are the places in the request of those that did not answer, as ranges. */
export function fleetReport(
  report: string,
  { fleet, period, vehicles }: Pick<ReportRequest, 'fleet' | 'period' | 'vehicles'>,
  answers: readonly VehicleReport[],
  missing: readonly number[],
): FleetReport {
  const names: string[] = [];
  eachOf(missing, (i) => names.push(vehicles[i] as string));
  const totals = answers.reduce((sum, answer) => plus(sum, answer.totals), NONE);
  return { report, fleet, period, vehicles: [...answers], totals, missing: names };
}

function plus(a: Totals, b: Totals): Totals {
  return {
    trips: a.trips + b.trips,
    metres: a.metres + b.metres,
    fillUps: a.fillUps + b.fillUps,
    millilitres: a.millilitres + b.millilitres,
    cents: a.cents + b.cents,
  };
}
