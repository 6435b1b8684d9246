/**
 * Data directories that a master cannot use, through the real command: it ends with exit 1 and one line that names
 * the directory, the cause and the cure; nothing in it is changed; and once it is cured it serves.
 * One that is in use: `durable.test.ts`.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import Database from 'better-sqlite3';
import { range } from '../../client/index.ts';
import { SqliteStore } from '../../master/io/stores/sqlite.ts';
import { type Cluster, withCluster } from '../processes/cluster.ts';
import { canMount, fillUp, mount, remount, unmount } from '../processes/mount.ts';

const MOUNTED_MB = 1;

describe('a data directory', { concurrency: 3 }, () => {
  test(
    'of a newer version is refused, and not a byte of it is changed',
    withCluster(async (c) => {
      await used(c);
      change(c, (database) => database.pragma('user_version = 999'));
      const before = await readFile(c.path('data/journal.db'));
      await refused(c, /was written by a newer version \(schema 999, .*run that version or another --data/);
      assert.ok(before.equals(await readFile(c.path('data/journal.db'))));
    }),
  );

  test(
    'that is damaged is refused, whatever the damage: restore it, or take another',
    withCluster(async (c) => {
      await used(c);
      const whole = await readFile(c.path('data/journal.db'));
      const damages = [
        () =>
          writeFile(
            c.path('data/journal.db'),
            'not a database, but long enough to be taken for one'.repeat(99),
          ),
        () => truncate(c.path('data/journal.db'), whole.length / 2),
        async () => change(c, (database) => database.exec(`UPDATE journal SET records = '[{"k":"clos'`)),
      ];
      for (const damage of damages) {
        await writeFile(c.path('data/journal.db'), whole);
        await damage();
        await refused(
          c,
          /the journal in .* is damaged \(.*\): restore it from a backup or choose another --data/,
        );
      }
      await writeFile(c.path('data/journal.db'), whole);
      await serves(c, 1);
    }),
  );

  test(
    'that is none: a file in its place, or something else in the place of the journal',
    withCluster(async (c) => {
      await writeFile(c.path('data'), '');
      await refused(c, /cannot use the data directory .*a file is in its place; .*--data/);
      await rm(c.path('data'));
      await mkdir(c.path('data/journal.db'), { recursive: true });
      await refused(c, /cannot open the journal in .*: correct its owner and mode, or choose another --data/);
      await rm(c.path('data/journal.db'), { recursive: true });
      await serves(c, 0);
    }),
  );

  if (canMount()) {
    test(
      'on a read-only disk is refused, new or used; it serves once it can be written',
      withCluster(async (c) => {
        await onMount(c, async () => {
          remount(c.path('data'), 'ro');
          await refused(c, /the file system is read-only; choose another with --data/);
          remount(c.path('data'), 'rw');
          await used(c);
          remount(c.path('data'), 'ro');
          await refused(c, /the file system is read-only; choose another with --data/);
          remount(c.path('data'), 'rw');
          await serves(c, 1);
        });
      }),
    );

    test(
      'on a full disk is refused, new or used; it serves once there is room',
      withCluster(async (c) => {
        await onMount(c, async () => {
          const ballast = c.path('data/ballast');
          await fillUp(ballast);
          await refused(c, /the disk of .* is full: make room/);
          await rm(ballast);
          await used(c);
          await fillUp(ballast);
          await refused(c, /the disk of .* is full: make room/);
          await rm(ballast);
          await serves(c, 1);
        });
      }),
    );
  }

  if (process.getuid?.() !== 0) {
    test(
      'that belongs to another is refused',
      withCluster(async (c) => {
        mkdirSync(c.path('data'));
        chmodSync(c.path('data'), 0o500);
        await refused(c, /permission denied; correct the owner or choose another with --data/);
        chmodSync(c.path('data'), 0o700);
        await serves(c, 0);
      }),
    );
  }
});

/** Has the directory hold one epic, as a master leaves it. */
async function used(c: Cluster): Promise<void> {
  await mkdir(c.path('data'), { recursive: true });
  const store = new SqliteStore(c.path('data'));
  await store.open();
  const source = { type: 'range', from: 0, to: 5 } as const;
  const epic = { epic: 'e', name: 'e', work: 'nothing', source, brief: 'b', wallMs: Date.now() };
  await store.append([{ k: 'epic-submitted', ...epic }]);
  await store.close();
}

/** A master on the directory takes epics, and knows those of before. */
async function serves(c: Cluster, epics: number): Promise<void> {
  const master = await c.master();
  assert.equal((await c.client.epics()).epics.length, epics);
  assert.deepEqual(await c.client.readiness(), { ready: true });
  await c.client.submit({ work: 'nothing', source: range(0, 5) });
  assert.equal((await master.end('SIGTERM')).code, 0, master.lastWords());
}

async function refused(c: Cluster, says: RegExp): Promise<void> {
  const master = c.gimme('master', '--listen', '127.0.0.1:0', '--data', c.path('data'));
  const { code } = await master.gone('by itself');
  assert.equal(code, 1, master.lastWords());
  assert.deepEqual(master.out, []);
  assert.equal(master.err.length, 1, master.lastWords());
  assert.match(master.err[0] as string, says);
  assert.ok(master.err[0]?.includes(c.path('data')), `${master.err[0]} does not name the directory`);
}

function change(c: Cluster, act: (database: Database.Database) => unknown): void {
  const database = new Database(c.path('data/journal.db'));
  act(database);
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.pragma('journal_mode = DELETE');
  database.close();
}

async function onMount(c: Cluster, body: () => Promise<void>): Promise<void> {
  mkdirSync(c.path('data'));
  mount(c.path('data'), MOUNTED_MB);
  try {
    await body();
  } finally {
    unmount(c.path('data'));
  }
}
