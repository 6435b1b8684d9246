/**
 * An import whose processes are killed (`kill -9`) again and again while it runs, and what was downloaded twice for
 * it: the API's log is held against the journal, which says when each checkpoint was settled.
 */

import type { EpicStatus } from '../../client/index.ts';
import { SqliteStore } from '../../master/io/stores/sqlite.ts';
import type { Cluster } from '../cluster.ts';
import type { Asked } from './flakyApi.ts';
import { type Import, type ImportOptions, withImport } from './import.ts';
import { keyOf } from './report.ts';

export type Victim = 'worker' | 'master' | 'both';
export type Killed = {
  kills: { victim: Victim; completed: number }[];
  end: EpicStatus;
  /** Checkpoints that were settled. */
  saved: number;
  downloads: number;
  /** Downloads of a report that had been downloaded before. */
  repeated: number;
  /** Requests for a report whose checkpoint had been settled before: there must be none. */
  afterSettled: Asked[];
  wrong: string[];
};

const HISTORY_PAGE = 1_000;
/** Share of the reports that the API gives before the last kill, which comes when half of them are completed. */
const ADMITTED = 0.75;

/**
 * Kills these, one after the other, at equal shares of the first half: workers go on while there is no master, and
 * tell a new one of all they did meanwhile. Throws where there was nothing left to interrupt.
 */
export function importKilled(options: ImportOptions, victims: readonly Victim[]): Promise<Killed> {
  return withImport(options, async (it) => {
    const { api, cluster, reports, submit, wrong } = it;
    api.admit(Math.ceil(ADMITTED * reports.length));
    const epic = await submit();
    const kills: Killed['kills'] = [];
    const reaper = new Reaper(cluster, options.workers);
    let end = epic.first;
    for await (const status of epic.watch()) {
      end = status;
      const victim = victims[kills.length];
      const completed = status.totals.succeeded;
      const share = (kills.length + 1) / (2 * victims.length);
      if (victim === undefined || status.state !== 'running' || completed < share * reports.length) continue;
      kills.push({ victim, completed });
      await reaper.kill(victim);
      if (kills.length === victims.length) api.admit(reports.length);
    }
    await reaper.replaced();
    if (kills.length < victims.length) throw new Error(`it was over before kill ${kills.length + 1}`);
    await cluster.stop();
    const settledMs = await settledTimes(it);
    const downloads = api.count('downloaded');
    const distinct = new Set(
      api.log.filter(({ ended }) => ended === 'downloaded').map(({ report }) => report),
    );
    return {
      kills,
      end,
      saved: settledMs.size,
      downloads,
      repeated: downloads - distinct.size,
      afterSettled: api.log.filter(
        ({ report, wallMs }) => wallMs > (settledMs.get(report) ?? Number.POSITIVE_INFINITY),
      ),
      wrong: await wrong(),
    };
  });
}

/** Kills processes, workers by turns, and starts others in their place. */
class Reaper {
  readonly #cluster: Cluster;
  /** Workers that take the place of killed ones; all of them have been started once. */
  readonly #replacements: Promise<void>[];
  #turn = 0;

  constructor(cluster: Cluster, workers: number) {
    this.#cluster = cluster;
    this.#replacements = Array.from({ length: workers }, () => Promise.resolve());
  }

  async kill(victim: Victim): Promise<void> {
    if (victim !== 'master') await this.#killWorker();
    if (victim === 'worker') return;
    await this.#cluster.killMaster();
    await this.#cluster.startMaster();
  }

  async replaced(): Promise<void> {
    await Promise.all(this.#replacements);
  }

  /** The import goes on while the new one starts. */
  async #killWorker(): Promise<void> {
    const worker = this.#turn++ % this.#replacements.length;
    await this.#replacements[worker];
    await this.#cluster.killWorker(worker);
    this.#replacements[worker] = this.#cluster.startWorker(worker);
  }
}

/** When the download of each report was settled, by the journal of a master that is stopped. */
async function settledTimes({ cluster, reports }: Import): Promise<Map<string, number>> {
  const settledMs = new Map<string, number>();
  const store = new SqliteStore(cluster.dataDir);
  await store.open();
  try {
    for (let after = 0; ; ) {
      const page = await store.history({ after, limit: HISTORY_PAGE });
      for (const { wallMs, records } of page) {
        for (const record of records) {
          if (record.k !== 'saved') continue;
          for (const { unit } of record.units) {
            const name = reports[unit];
            if (name && !settledMs.has(keyOf(name))) settledMs.set(keyOf(name), wallMs);
          }
        }
      }
      const last = page.at(-1);
      if (!last) return settledMs;
      after = last.seq;
    }
  } finally {
    await store.close();
  }
}
