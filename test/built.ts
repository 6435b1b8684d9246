/**
 * The project as JavaScript, for the processes that tests start: from source, each of them pays three times as much
 * for its start. Owns the build of one run and what becomes of it; the tests themselves run from source.
 *
 * B1: a build is made anew for each run and dies with it, so nothing stale is ever run.
 * B2: without a build everything runs from source; so does what lies outside of the project.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Names the folder of the build to the files of a run. */
export const BUILD_VARIABLE = 'GIMMEWORK_TEST_BUILD';
const ROOT = fileURLToPath(new URL('../', import.meta.url));
const BUILDS = join(ROOT, '.cache', 'build');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const TSX = import.meta.resolve('tsx');
/** What built code looks for beside itself. */
const BESIDE = ['package.json', '.cache', 'works/newsletter/sample'];
/** B2: also the examples: they start their neighbours by the names of the sources. */
const FROM_SOURCE = /^(\.\.|examples)\//;

/** Builds the project for the processes that this one starts, until it ends. Types are not checked. */
export function build(): void {
  clear();
  const folder = join(BUILDS, String(process.pid));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const options = ['--noEmit', 'false', '--noCheck', '--sourceMap', '--rootDir', ROOT, '--outDir', folder];
  const command = [TSC, '-p', join(ROOT, 'tsconfig.json'), ...options];
  const { status, stdout, error } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the project cannot be built: ${error?.message ?? stdout.trim()}`);
  for (const path of BESIDE) symlinkSync(join(ROOT, path), join(folder, path));
  process.env[BUILD_VARIABLE] = folder;
}

/** The file made from this source; the source itself where nothing is made from it. */
export function built(file: string): string {
  const folder = process.env[BUILD_VARIABLE];
  const path = relative(ROOT, file);
  if (folder === undefined || FROM_SOURCE.test(path) || !path.endsWith('.ts')) return file;
  return join(folder, `${path.slice(0, -'.ts'.length)}.js`);
}

/** Arguments for Node to run this file. */
export function nodeArguments(file: string): string[] {
  const made = built(file);
  return made.endsWith('.js') ? ['--enable-source-maps', made] : ['--import', TSX, file];
}

/** Removes what runs have left that were killed. */
function clear(): void {
  mkdirSync(BUILDS, { recursive: true });
  for (const pid of readdirSync(BUILDS)) {
    try {
      process.kill(Number(pid), 0);
    } catch {
      rmSync(join(BUILDS, pid), { recursive: true, force: true });
    }
  }
}
