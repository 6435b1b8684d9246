/** What the tests of deploy/ have in common: reading a command as the program would, and a folder of their own. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { natsOf } from '../../cli/natsSettings.ts';
import { MASTER, WORKER } from '../../cli/settings.ts';
import { flagOf, readConfig, type Settings } from '../../shared/io/config.ts';

/** The settings of each daemon, by its command. */
export const TABLES: Record<string, Settings> = { master: MASTER, worker: WORKER };

/** Reads a command as the program would, with these variables; throws for what it would refuse. */
export function assertUnderstood(command: readonly string[], env: Record<string, string>): void {
  const [name = '', ...args] = command;
  const table = TABLES[name];
  assert.ok(table, `there is no daemon ${name}`);
  const flags: Record<string, unknown> = {};
  for (let i = 0; i < args.length; i += 2) {
    const found = Object.entries(table).find(([, setting]) => setting.flag && flagOf(setting) === args[i]);
    assert.ok(found, `gimme ${name} has no ${args[i]}`);
    const [row, { kind }] = found;
    flags[row] = kind === 'texts' || kind === 'labels' ? [args[i + 1]] : args[i + 1];
  }
  const known = variablesOf(table);
  for (const variable of Object.keys(env)) assert.ok(known.has(variable), `gimme ${name} has no ${variable}`);
  const values = readConfig(table, flags, env);
  natsOf(values as Parameters<typeof natsOf>[0], flags);
}

/** Variables that a daemon reads. */
export function variablesOf(table: Settings): Set<string> {
  const rows = Object.values(table).filter(({ env }) => env !== undefined);
  return new Set(rows.flatMap(({ env, secret }) => (secret ? [env, `${env}_FILE`] : [env])) as string[]);
}

/** A folder that is gone after the test. */
export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'gimmework-deploy-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
