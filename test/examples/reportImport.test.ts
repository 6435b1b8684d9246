/**
 * The example report-import: the command itself at a small size, what it prints, and what only a smaller cluster shows:
 * a rate-limited report holds no slot.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { retryAfterMs } from '../../examples/report-import/download.ts';
import {
  type Ended,
  FAULTS,
  type Faults,
  FlakyApi,
  reportOf,
} from '../../examples/report-import/flakyApi.ts';
import { clientName } from '../../examples/report-import/import.ts';
import { BusyObjects, refusedPuts } from '../../examples/report-import/objects.ts';
import { type ClientReport, convert } from '../../examples/report-import/report.ts';
import { measurePulled } from '../../examples/report-import/speed.ts';
import { waitsOf } from '../../examples/report-import/waits.ts';
import { Process } from '../processes/process.ts';

const MAIN = fileURLToPath(new URL('../../examples/report-import/main.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const REPORTS = 160;
const NO_FAULTS: Faults = { limited: 0, error: 0, reset: 0, dribble: 0, stall: 0 };
/** A healthy run needs an eighth of it. */
const TIMEOUT_MS = 200_000;

test('many times as fast as one by one, and no settled download again after five kills', {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const args = ['--clients', '10', '--days', '16', '--seed', '5'];
  const example = new Process({ name: 'report-import', entry: MAIN, args, cwd: ROOT });
  t.after(() => example.signal('SIGTERM'));
  const { code } = await example.ended;
  const text = example.out.join('\n');
  assert.equal(code, 0, example.lastWords());

  assert.match(text, /^serial +10 reports in /m);
  const ratio = Number(/^pulled +160 reports .*: ([\d.]+)x the serial version$/m.exec(text)?.[1]);
  assert.ok(ratio >= 5, `${ratio}x`);
  const requests = /requests (\d+) for 160 reports: downloaded 160, limited (\d+), error (\d+), reset (\d+)/;
  const [all = 0, ...faulty] = numbersOf(text, requests);
  assert.ok(all > REPORTS && faulty.every((count) => count > 0), text);
  const [downloads = 0, uploads = 0] = numbersOf(text, /tried again: download (\d+), upload (\d+)/);
  // What the store refuses is drawn from seed 5 alone; that 160 were downloaded says that none was for an upload.
  assert.ok(downloads > 0 && uploads > 0, text);
  const [most = 0, tooSoon, meanwhile = 0] = numbersOf(
    text,
    /come back later: (\d+) at once at most, (\d+) came too soon; (\d+) others/,
  );
  assert.ok(most > 0 && meanwhile > 0 && tooSoon === 0, text);

  const rows = [...text.matchAll(/^ +[\d.]+s +(\d+) +(\d+) +(\d+)$/gm)].map((row) =>
    row.slice(1).map(Number),
  );
  assert.ok(rows.length > 3, text);
  for (const row of rows) assert.equal(sum(row), REPORTS, `${row.join(' + ')} of ${REPORTS}`);
  assert.ok(rows.some(([downloadable = 0, , completed = 0]) => downloadable > 0 && completed > 0));

  assert.match(
    text,
    /killed worker at \d+, master at \d+, worker at \d+, master at \d+, both at \d+ completed/,
  );
  assert.match(
    text,
    /checkpoints settled 160, downloads \d+: \d+ repeated whose .*, 0 whose checkpoint was$/m,
  );
  const ends = [...text.matchAll(/read 160 = succeeded 160 \+ failed 0 /g)];
  assert.equal(ends.length, 2);
});

test('a rate-limited report waits without a slot: all others are completed before it', async () => {
  const slots = 1;
  const tight = clientName(0);
  const size = { clients: 5, days: 6, workers: 1, slots, seed: 3 };
  const { api, end, waits, wrong } = await measurePulled({
    ...size,
    ...{ perSecond: 1_000, limits: { [tight]: 1 }, latencyMs: 20 },
    faults: NO_FAULTS,
  });
  assert.deepEqual([end.totals.succeeded, wrong], [30, []]);
  const downloaded = api.log.filter(({ ended }) => ended === 'downloaded');
  const isTight = (report: string): boolean => report.startsWith(`${tight}/`);
  const lastOther = Math.max(...downloaded.filter((it) => !isTight(it.report)).map(({ endMs = 0 }) => endMs));
  const after = downloaded.filter(({ report, endMs = 0 }) => isTight(report) && endMs > lastOther);
  assert.ok(after.length > slots, `${after.length} waited when all others had been downloaded`);
  assert.ok(waits.most > slots, `${waits.most} waited at once`);
  assert.equal(waits.tooSoon, 0);
});

test('what goes wrong depends on the seed', async () => {
  // None stalls: whether a client waits long enough for one is a matter of time.
  const faults = { ...FAULTS, stall: 0 };
  const told = async (seed: number): Promise<(Ended | undefined)[]> => {
    const api = await FlakyApi.start({ seed, perSecond: 1_000, latencyMs: 1, faults });
    for (let day = 10; day < 60; day++) {
      const url = `${api.url}/clients/client-01/reports/2026-01-${day}`;
      await fetch(url)
        .then((it) => it.text())
        .catch(() => '');
    }
    await api.close(); // How the last answer ended is known by then.
    return api.log.map(({ ended }) => ended);
  };
  const [once, again, other] = await Promise.all([told(5), told(5), told(6)]);
  assert.deepEqual(once, again);
  assert.notDeepEqual(once, other);
  const name = { client: 'client-01', day: '2026-01-10' };
  assert.deepEqual(reportOf(name, 5), reportOf(name, 5));
});

test('which puts the object store is too busy for depends on the seed, the key and the attempt', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gimmework-busy-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const keys = Array.from({ length: 40 }, (_, i) => `report-${i}`);
  const told = async (seed: number, attempt: number, asked: readonly string[]): Promise<string[]> => {
    const out = join(folder, `${seed}-${attempt}-${asked[0]}`);
    const objects = new BusyObjects(out, { seed, share: 0.5, attempt });
    await Promise.allSettled(asked.map((key) => objects.put(key, 'body')));
    return (await refusedPuts(out)).sort();
  };
  const [first, backwards, second, other] = await Promise.all([
    told(7, 1, keys),
    told(7, 1, keys.toReversed()),
    told(7, 2, keys),
    told(8, 1, keys),
  ]);
  assert.deepEqual(first, backwards);
  assert.ok(first.length > 0 && first.length < keys.length, String(first));
  assert.notDeepEqual(first, second);
  assert.notDeepEqual(first, other);
});

test('an API that admits no more reports gives those it has begun, and the others once it admits them', async (t) => {
  const api = await FlakyApi.start({ seed: 5, perSecond: 1_000, latencyMs: 1, faults: NO_FAULTS });
  t.after(() => api.close());
  const statusOf = async (day: string): Promise<number> => {
    const response = await fetch(`${api.url}/clients/client-01/reports/2026-01-${day}`);
    await response.text();
    return response.status;
  };
  api.admit(1);
  assert.deepEqual([await statusOf('01'), await statusOf('02'), await statusOf('01')], [200, 429, 200]);
  api.admit(2);
  assert.equal(await statusOf('02'), 200);
});

test('units and currencies are converted, a currency without a rate is for a person', () => {
  const report: ClientReport = {
    ...{ client: 'c', day: '2026-01-01', currency: 'USD', distanceIn: 'mi', volumeIn: 'gal' },
    trips: [
      { vehicle: 'a', distance: 10 },
      { vehicle: 'b', distance: 0.5 },
      { vehicle: 'a', distance: 2.5 },
    ],
    fillUps: [{ vehicle: 'a', volume: 10, paid: 4_250 }],
  };
  assert.deepEqual(convert(report, { USD: 0.92 }), {
    ...{ client: 'c', day: '2026-01-01' },
    vehicles: {
      a: { metres: 20_116, millilitres: 37_854, cents: 3_910 },
      b: { metres: 805, millilitres: 0, cents: 0 },
    },
    ...{ metres: 20_921, millilitres: 37_854, cents: 3_910 },
  });
  const yen = { ...report, currency: 'JPY', distanceIn: 'km', volumeIn: 'l' } as const;
  assert.equal(convert(yen, { JPY: 0.0061 }).cents, 2_593, 'the yen has no smaller coin');
  assert.throws(() => convert(report, {}), { name: 'PermanentError', code: 'unknown_currency' });
});

test('Retry-After is seconds or a date, never shortened', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(
    retryAfterMs('2', nowMs, () => 0),
    2_000,
  );
  assert.equal(
    retryAfterMs('2', nowMs, () => 0.5),
    3_000,
  );
  assert.equal(
    retryAfterMs('Thu, 01 Jan 2026 00:00:05 GMT', nowMs, () => 0),
    5_000,
  );
  for (const none of [null, 'soon', 'Wed, 31 Dec 2025 00:00:00 GMT', '']) {
    assert.equal(retryAfterMs(none, nowMs), undefined, String(none));
  }
});

test('a report that is asked for too soon is found', () => {
  const limited = { report: 'a', wallMs: 0, atMs: 10, ended: 'limited', againMs: 1_010 } as const;
  const other = { report: 'b', wallMs: 0, atMs: 20, endMs: 30, ended: 'downloaded' } as const;
  const soon = { report: 'a', wallMs: 0, atMs: 1_009, endMs: 1_020, ended: 'downloaded' } as const;
  assert.deepEqual(waitsOf([limited, other, soon]), { tooSoon: 1, most: 1, meanwhile: 1 });
  assert.deepEqual(waitsOf([limited, other, { ...soon, atMs: 1_010 }]), {
    tooSoon: 0,
    most: 1,
    meanwhile: 1,
  });
});

function numbersOf(text: string, pattern: RegExp): number[] {
  const found = pattern.exec(text.replaceAll(/(?<=\d),(?=\d{3})/g, ''));
  assert.ok(found, `${pattern} is not in\n${text}`);
  return found.slice(1).map(Number);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
