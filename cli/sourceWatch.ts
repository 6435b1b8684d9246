/**
 * Tells when the code beside a module changes: files of source below its folder, but for what is installed or
 * hidden. Owns the watchers. A folder made later is seen at the next `watchSources`.
 */
import { type FSWatcher, readdirSync, watch } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const SOURCE = /\.(?:[cm]?[jt]sx?|json)$/;
const LEFT_OUT = new Set(['node_modules', 'gimmework-data', 'dist']);
/** Folders watched at most; a larger tree is not a works module's own. */
const FOLDERS_MAX = 200;
/** An editor writes a file in several steps. */
const QUIET_MS = 100;

/** Calls `changed` a moment after the last of some changes, with one of their names. Returns what ends it. */
export function watchSources(module: string, changed: (file: string) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const hear = (file: string | null): void => {
    if (file === null || !SOURCE.test(file)) return;
    clearTimeout(timer);
    timer = setTimeout(() => changed(file), QUIET_MS);
  };
  const watchers: FSWatcher[] = [];
  for (const folder of foldersBelow(dirname(resolve(module)))) {
    const watcher = watch(folder, { persistent: false }, (_, file) => hear(file));
    watcher.on('error', () => watcher.close()); // The folder is gone.
    watchers.push(watcher);
  }
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

function foldersBelow(root: string): string[] {
  const found = [root];
  for (let at = 0; at < found.length && found.length < FOLDERS_MAX; at++) {
    const folder = found[at] as string;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && !entry.name.startsWith('.') && !LEFT_OUT.has(entry.name))
        found.push(join(folder, entry.name));
    }
  }
  return found.slice(0, FOLDERS_MAX);
}
