/** Asks one vehicle for its log of a period, under the correlation number of a report. */
import type { ReportRequest, VehicleLog } from './report.ts';

/** Throws what `fetch` throws, and for an answer that belongs to another report. */
export async function askVehicle(
  report: string,
  vehicle: string,
  { api, period }: Pick<ReportRequest, 'api' | 'period'>,
  signal: AbortSignal,
): Promise<VehicleLog> {
  const query = new URLSearchParams({ report, period });
  const response = await fetch(`${api}/vehicles/${vehicle}/log?${query.toString()}`, { signal });
  if (!response.ok) throw new Error(`${vehicle} answered ${response.status}`);
  const log = (await response.json()) as VehicleLog;
  if (log.report !== report || log.vehicle !== vehicle)
    throw new Error(`${vehicle} was asked for ${report}; ${log.vehicle} answered for ${log.report}`);
  return log;
}
