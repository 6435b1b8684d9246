/**
 * The work: a report is downloadable, then uploadable, then completed. Each transition is tried again by itself.
 *
 * I1: what was downloaded is durable before anything is done with it: no crash has it downloaded again.
 * I2: an upload that happened twice is one that happened once: the key is the report's own.
 */
import { defineWork } from '../../client/index.ts';
import { download } from './download.ts';
import { BusyObjects, type Objects } from './objects.ts';
import { convert, keyOf, type Rates, type ReportName } from './report.ts';

export type ImportBrief = {
  /** Address of the API. */
  api: string;
  /** Folder of the objects. */
  out: string;
  rates: Rates;
  /** Share of the puts for which the store is too busy, and what decides which ones. */
  busy: number;
  seed: number;
};

export const reportImport = defineWork<ReportName, ImportBrief>('report-import', { key: keyOf })
  .step(
    'download',
    {
      checkpoint: true, // I1
      timeout: '10s', // A report takes under a second; one that stalls is given up, one on a busy machine is not.
      // One that is told to come back later has not failed: it may have to more often than others.
      retry: { attempts: 200, backoff: { first: '200ms', factor: 2, max: '5s' } },
    },
    (name, ctx) => download(ctx.brief.api, name, ctx.signal),
  )
  .step('convert', (report, ctx) => convert(report, ctx.brief.rates))
  .step(
    'upload',
    {
      effect: 'at-least-once', // I2
      timeout: '10s',
      retry: { attempts: 20, backoff: { first: '100ms', factor: 2, max: '5s' } },
    },
    (report, ctx) => objectsOf(ctx.brief, ctx.attempt).put(`${keyOf(report)}.json`, JSON.stringify(report)),
  );

export function objectsOf({ out, busy, seed }: ImportBrief, attempt: number): Objects {
  return new BusyObjects(out, { seed, share: busy, attempt });
}
