/** One import from its start to its end: API, folder of objects, processes, epic. Owns that all of it is ended. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Epic, type EpicStatus, units } from '../../client/index.ts';
import { Cluster } from '../cluster.ts';
import { type Faults, FlakyApi, reportOf } from './flakyApi.ts';
import { FolderObjects } from './objects.ts';
import { convert, keyOf, type Rates, type ReportName } from './report.ts';
import { type ImportBrief, reportImport } from './works.ts';

export type ImportOptions = {
  clients: number;
  days: number;
  seed: number;
  workers: number;
  slots: number;
  /** What the API allows each client. */
  perSecond: number;
  /** The same for clients with a limit of their own. */
  limits?: Record<string, number>;
  latencyMs: number;
  /** As in `ApiOptions`. */
  faults?: Faults;
  leaseMs?: number;
};

export type Import = {
  api: FlakyApi;
  cluster: Cluster;
  brief: ImportBrief;
  /** By their unit numbers. */
  reports: readonly ReportName[];
  submit: () => Promise<Epic>;
  /** Reports whose object is not what it should be. */
  wrong: () => Promise<string[]>;
};

/** How many reports are in which state. */
export type States = { downloadable: number; uploadable: number; completed: number };

/** Euro for one of each. */
const RATES: Rates = { EUR: 1, USD: 0.92, GBP: 1.17, JPY: 0.0061, CHF: 1.04 };
const NAME = 'reports';
/** Share of the puts for which the object store is too busy. */
const BUSY = 0.03;
const FIRST_DAY_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;
const WORKS = fileURLToPath(new URL('./works.ts', import.meta.url));

/** Day by day, all clients of a day. */
export function reportsOf({ clients, days }: Pick<ImportOptions, 'clients' | 'days'>): ReportName[] {
  return Array.from({ length: clients * days }, (_, i) => {
    const day = new Date(FIRST_DAY_MS + Math.floor(i / clients) * DAY_MS);
    return { client: clientName(i % clients), day: day.toISOString().slice(0, 10) };
  });
}

export function clientName(index: number): string {
  return `client-${String(index).padStart(2, '0')}`;
}

/** Runs `body` with everything started, and ends all of it. */
export async function withImport<T>(options: ImportOptions, body: (it: Import) => Promise<T>): Promise<T> {
  const { seed, workers, slots, leaseMs } = options;
  const reports = reportsOf(options);
  const api = await FlakyApi.start(options);
  try {
    const cluster = await Cluster.start({ works: WORKS, workers, slots, ...(leaseMs && { leaseMs }) });
    try {
      const brief = briefFor(api, join(cluster.folder, 'objects'), seed);
      const submit = (): Promise<Epic> =>
        cluster.client.submit({ work: reportImport, name: NAME, source: units([...reports]), brief });
      const wrong = (): Promise<string[]> => wrongObjects(reports, brief, seed);
      return await body({ api, cluster, brief, reports, submit, wrong });
    } finally {
      await cluster.close();
    }
  } finally {
    await api.close();
  }
}

export function briefFor(api: FlakyApi, out: string, seed: number): ImportBrief {
  return { api: api.url, out, rates: RATES, busy: BUSY, seed };
}

/** A report is uploadable once it need not be downloaded again, whatever is lost. */
export function statesOf({ total, totals, states = {} }: EpicStatus): States {
  const { download = totals.outstanding, convert: converting = 0, upload = 0 } = states;
  return {
    downloadable: total - totals.read + download,
    uploadable: converting + upload,
    completed: totals.succeeded,
  };
}

async function wrongObjects(
  reports: readonly ReportName[],
  brief: ImportBrief,
  seed: number,
): Promise<string[]> {
  const objects = new FolderObjects(brief.out);
  const wrong: string[] = [];
  for (const name of reports) {
    const found = await objects.get(`${keyOf(name)}.json`).catch(() => 'nothing');
    if (found !== JSON.stringify(convert(reportOf(name, seed), brief.rates))) wrong.push(keyOf(name));
  }
  return wrong;
}
