/** The same import one report after the other, as a first version of it is written: what pulling is measured against. */
import { setTimeout as pause } from 'node:timers/promises';
import { RetryableError } from '../../client/index.ts';
import { download } from './download.ts';
import { convert, keyOf, type ReportName } from './report.ts';
import { type ImportBrief, objectsOf } from './works.ts';

const TIMEOUT_MS = 10_000;
const ATTEMPTS_MAX = 20;
const FIRST_WAIT_MS = 100;
const WAIT_MS_MAX = 5_000;

export async function importSerially(reports: readonly ReportName[], brief: ImportBrief): Promise<void> {
  for (const name of reports) {
    const report = await persist(() => download(brief.api, name, AbortSignal.timeout(TIMEOUT_MS)));
    const kept = convert(report, brief.rates);
    await persist((attempt) => objectsOf(brief, attempt).put(`${keyOf(kept)}.json`, JSON.stringify(kept)));
  }
}

/** Tries again, when it was told or by the same backoff as the work. */
async function persist<T>(act: (attempt: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act(attempt);
    } catch (error) {
      if (!(error instanceof RetryableError) || attempt === ATTEMPTS_MAX) throw error;
      const longest = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** (attempt - 1));
      await pause(error.afterMs ?? Math.random() * longest);
    }
  }
}
