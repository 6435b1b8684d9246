/**
 * The gather: each vehicle of a fleet is asked, by whichever worker has room, and at the deadline the report goes out with
 * those that have answered; the others are named.
 */
import { defineGather, type GatherDefinition } from '../../client/index.ts';
import { askVehicle } from './ask.ts';
import {
  type FleetReport,
  fleetReport,
  type ReportRequest,
  type VehicleReport,
  vehicleReport,
} from './report.ts';

const DEADLINE = '2m';

/** One try for each vehicle, or as many as its errors ask for: one that says nothing is waited for. */
export const plain = gatherOf('fleet-report', {});
/** A vehicle that has not answered for this long is given out again, and the first answer counts. */
export const reissued = gatherOf('fleet-report-reissued', { reissueAfter: '2s' });

function gatherOf(
  name: string,
  options: { reissueAfter?: string },
): GatherDefinition<ReportRequest, VehicleReport, FleetReport> {
  return defineGather<ReportRequest, VehicleReport, FleetReport>(name)
    .scatter((request) => request.vehicles)
    .step(
      'ask',
      // One that refuses is asked again until the deadline: it may drive out of the tunnel.
      { timeout: DEADLINE, retry: { attempts: 1_000, backoff: { first: '500ms', factor: 2, max: '5s' } } },
      async (vehicle, ctx) => vehicleReport(await askVehicle(ctx.epic, vehicle, ctx.brief, ctx.signal)),
    )
    .gather({ deadline: DEADLINE, ...options }, (answers, ctx) =>
      fleetReport(ctx.epic, ctx.brief, answers, ctx.missing),
    );
}
