/** A fleet with everything it takes: vehicles, mail server, master and workers; and its owner, who asks for reports. */
import { fileURLToPath } from 'node:url';
import type { Epic, EpicStatus } from '../../client/index.ts';
import { type StubCounts, startSmtpStub } from '../../works/newsletter/main.ts';
import { Cluster } from '../cluster.ts';
import { plain } from './gather.ts';
import { type Owner, sendMail } from './mail.ts';
import type { FleetReport, ReportRequest } from './report.ts';
import { askInTurn, type SyncAnswer } from './sync.ts';
import { type Asked, type Manner, mannersOf, Vehicles, type VehiclesOptions } from './vehicles.ts';

export type Delivered = {
  value: FleetReport;
  complete: boolean;
  end: EpicStatus;
  /** From its submit to its end, as the master says. */
  ms: number;
  mail: EpicStatus;
};
export type Fleet = {
  vehicles: Vehicles;
  cluster: Cluster;
  request: (period: string) => ReportRequest;
  /** Asks for a report, waits for it and has it sent; done again, it finds the same report and the same mail. */
  deliver: (period: string, deadline: string, gather?: typeof plain) => Promise<Delivered>;
  mails: () => StubCounts;
  /** Requests that vehicles had for this report. */
  asked: (report: string) => Asked[];
};

export const OWNER: Owner = { name: 'Owner', email: 'owner@fleet.example' };
const FLEET = 'north';
const WORKERS = 2;
/** Room for the vehicles of two reports on one worker: one that is waited for holds a slot and nothing else. */
const SLOTS = 512;
const WORKS = fileURLToPath(new URL('./works.ts', import.meta.url));

/** Of any ten vehicles one is dead (silent, or refusing) and one slower than any deadline here. */
export function faulty(index: number): Manner {
  if (index % 10 === 3) return index % 20 === 3 ? 'silent' : 'refusing';
  return index % 10 === 7 ? 'slow' : 'prompt';
}

/** Of any ten one is dead, and one loses what it is asked first. */
export function forgetful(index: number): Manner {
  const manner = faulty(index);
  return manner === 'slow' ? 'forgetful' : manner;
}

/** Runs `body` with everything started, and ends all of it. */
export async function withFleet<T>(
  manners: Map<string, Manner>,
  options: VehiclesOptions,
  body: (fleet: Fleet) => Promise<T>,
): Promise<T> {
  const vehicles = await Vehicles.start(manners, options);
  const stub = await startSmtpStub({ listen: { host: '127.0.0.1', port: 0 }, defer: 0, reject: 0 });
  try {
    const env = { FLEET_SMTP: `smtp://127.0.0.1:${stub.port}` };
    const cluster = await Cluster.start({ works: WORKS, workers: WORKERS, slots: SLOTS, env });
    try {
      const request = (period: string): ReportRequest => requestOf(vehicles, period);
      return await body({
        vehicles,
        cluster,
        request,
        deliver: (period, deadline, gather) => deliver(cluster, request(period), deadline, gather),
        mails: () => stub.counts(),
        asked: (report) => vehicles.log.filter((it) => it.report === report),
      });
    } finally {
      await cluster.close();
    }
  } finally {
    await stub.close();
    await vehicles.close();
  }
}

async function deliver(
  { client }: Cluster,
  request: ReportRequest,
  deadline: string,
  gather: typeof plain = plain,
): Promise<Delivered> {
  const idempotencyKey = `${request.fleet}-${request.period}`;
  const epic: Epic = await client.gather(gather, request, { name: idempotencyKey, deadline, idempotencyKey });
  const end = await epic.wait();
  const { value, complete } = await epic.result<FleetReport>();
  const mail = await (await sendMail(client, OWNER, value)).wait();
  const ms = Date.parse(end.finishedAt ?? '') - Date.parse(end.submittedAt);
  return { value, complete, end, ms, mail };
}

/** The synchronous version with this many vehicles, the last `dead` of which never answer. */
export async function inTurn(
  count: number,
  { dead, promptMs, gatewayMs }: { dead: number; promptMs: number; gatewayMs: number },
): Promise<SyncAnswer> {
  const manners = mannersOf(count, (i) => (i < count - dead ? 'prompt' : 'silent'));
  const vehicles = await Vehicles.start(manners, { promptMs, slowMs: promptMs });
  try {
    return await askInTurn(requestOf(vehicles, '2026-10'), gatewayMs);
  } finally {
    await vehicles.close();
  }
}

function requestOf(vehicles: Vehicles, period: string): ReportRequest {
  return { fleet: FLEET, period, vehicles: vehicles.names, api: vehicles.url };
}
