/** The same reports one after the other and by pulling, each against an API of its own that behaves alike. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EpicStatus } from '../../client/index.ts';
import { FlakyApi } from './flakyApi.ts';
import { briefFor, type ImportOptions, reportsOf, type States, statesOf, withImport } from './import.ts';
import { refusedPuts } from './objects.ts';
import { importSerially } from './serial.ts';
import { type Waits, waitsOf } from './waits.ts';

export type Measured = { reports: number; ms: number; perSecond: number };
export type Sample = States & { ms: number };
export type Pulled = Measured & {
  api: FlakyApi;
  /** Puts that the object store was too busy for. */
  refused: number;
  waits: Waits;
  /** As the master told them while it ran. */
  samples: Sample[];
  end: EpicStatus;
  wrong: string[];
};

/** Imports the first `count` reports one after the other. */
export async function measureSerial(options: ImportOptions, count: number): Promise<Measured> {
  const reports = reportsOf(options).slice(0, count);
  const api = await FlakyApi.start(options);
  const folder = await mkdtemp(join(tmpdir(), 'gimmework-serial-'));
  try {
    const startMs = performance.now();
    await importSerially(reports, briefFor(api, folder, options.seed));
    return measured(reports.length, performance.now() - startMs);
  } finally {
    await api.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Imports all reports by a master and its workers. */
export function measurePulled(options: ImportOptions): Promise<Pulled> {
  return withImport(options, async ({ api, brief, reports, submit, wrong }) => {
    const startMs = performance.now();
    const epic = await submit();
    const samples: Sample[] = [];
    let end = epic.first;
    for await (const status of epic.watch()) {
      end = status;
      // Before a worker has come nothing is read, and how many there are is not known.
      if (status.totalExact) samples.push({ ms: performance.now() - startMs, ...statesOf(status) });
    }
    const speed = measured(reports.length, performance.now() - startMs);
    const refused = (await refusedPuts(brief.out)).length;
    return { ...speed, api, refused, waits: waitsOf(api.log), samples, end, wrong: await wrong() };
  });
}

function measured(reports: number, ms: number): Measured {
  return { reports, ms, perSecond: (reports * 1_000) / ms };
}
