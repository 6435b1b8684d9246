/**
 * The synchronous version, for comparison: a request for a report is answered once each vehicle in turn has been asked,
 * behind a gateway that gives a request so long and no longer.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { askVehicle } from './ask.ts';
import { fleetReport, type ReportRequest, vehicleReport } from './report.ts';

export type SyncAnswer = { vehicles: number; ok: boolean; ms: number };

/** Asks for one report of these vehicles. */
export async function askInTurn(request: ReportRequest, gatewayMs: number): Promise<SyncAnswer> {
  const gone = new AbortController();
  const server = createServer((_, response) => {
    reportInTurn(request, gone.signal).then(
      (report) => response.end(JSON.stringify(report)),
      () => response.writeHead(502).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const startMs = performance.now();
  const ok = await answers(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, gatewayMs);
  const ms = performance.now() - startMs;
  gone.abort();
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
  return { vehicles: request.vehicles.length, ok, ms };
}

async function reportInTurn(request: ReportRequest, signal: AbortSignal): Promise<unknown> {
  const answers = [];
  for (const vehicle of request.vehicles)
    answers.push(vehicleReport(await askVehicle('sync', vehicle, request, signal)));
  return fleetReport('sync', request, answers, []);
}

/** Whether it answers before the gateway gives it up (504). */
async function answers(url: string, gatewayMs: number): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(gatewayMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') return false;
    throw error;
  }
}
