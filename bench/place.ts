/**
 * A place is where one benchmark runs: a folder of its own with a build of the sources as they are now,
 * and the processes started in it. Built code is measured, since that is what a user runs: a loader that
 * compiles on the fly adds calls of its own to every function.
 *
 * L1: whatever ends the benchmark, no process and no folder is left.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child, type ChildOptions } from './child.ts';

export const ROOT = fileURLToPath(new URL('../', import.meta.url));
/** Kept between runs; git and the tools ignore it. */
export const CACHE = join(ROOT, '.cache');

export class Place {
  readonly folder = join(CACHE, 'bench', String(process.pid));
  readonly #children: Child[] = [];
  readonly #shared: string[] = [];
  #folders = 0;

  constructor() {
    mkdirSync(this.folder, { recursive: true });
  }

  /** Builds the sources. Inside the repository, so that their packages are found. */
  build(): void {
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
    const args = ['-p', join(ROOT, 'bench', 'tsconfig.build.json'), '--outDir', this.built('')];
    const { status, stdout, error } = spawnSync(tsc, args, { encoding: 'utf8' });
    if (error) throw new Error(`cannot build: ${error.message}; run npm install`);
    if (status !== 0) throw new Error(`cannot build: ${stdout.trim().split('\n')[0]}`);
    copyFileSync(join(ROOT, 'package.json'), this.built('package.json'));
  }

  /** The path of something built. */
  built(path: string): string {
    return join(this.folder, 'build', path);
  }

  /** A new folder that is removed with the place. */
  newFolder(): string {
    this.#folders += 1;
    const path = join(this.folder, String(this.#folders));
    mkdirSync(path);
    return path;
  }

  /** The same where any user gets to it, which may be denied on the way to the sources. */
  sharedFolder(): string {
    const path = mkdtempSync(join(tmpdir(), 'gimmework-bench-'));
    this.#shared.push(path);
    return path;
  }

  start(options: ChildOptions): Child {
    const child = new Child(options);
    this.#children.push(child);
    return child;
  }

  /** Starts the built `gimme`. */
  gimme(name: string, args: readonly string[], nodeArgs: readonly string[] = []): Child {
    const entry = this.built('cli/main.js');
    return this.start({ name, command: process.execPath, args: [...nodeArgs, entry, ...args] });
  }

  /** L1: for any way out, since it waits for nothing. */
  leave(): void {
    for (const child of this.#children) child.kill();
    for (const path of [this.folder, ...this.#shared]) {
      rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}
