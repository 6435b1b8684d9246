/** The repository's own files and what they import, as text: what the tidy test looks at. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Folders whose code runs for a user; `test`, `bench` and `examples` only use it. */
export const PRODUCT = ['master', 'worker', 'shared', 'client', 'cli', 'works', 'testing'];

/** Made by tools or by running; never looked at. */
const MADE = new Set(['node_modules', 'dist', '.git', '.cache', 'gimmework-data', 'package-lock.json']);
/** Breaks the import law on purpose. */
const LAW = 'test/fixtures/law';

/** Paths from the root of all files under these folders (all of the repository without any), sorted. */
export function filesUnder(...folders: string[]): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (MADE.has(entry.name) || path === LAW) continue;
      if (entry.isDirectory()) walk(path);
      else found.push(path);
    }
  };
  for (const folder of folders.length === 0 ? [''] : folders)
    if (existsSync(join(ROOT, folder))) walk(folder);
  return found.sort();
}

/** The TypeScript files among them. */
export function codeUnder(...folders: string[]): string[] {
  return filesUnder(...folders).filter((file) => /\.tsx?$/.test(file));
}

export function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

const STATEMENT = /^\s*(?:import|export)\b[\s\w$*{},]*?\bfrom\s*['"]([^'"\n]+)['"]/gm;
const BARE_STATEMENT = /^\s*import\s*['"]([^'"\n]+)['"]/gm;
const CALL = /\bimport\(\s*['"]([^'"\n]+)['"]/g;
const FILE_URL = /\bnew URL\(\s*['"](\.[^'"\n]+)['"],\s*import\.meta\.url/g;

/** Everything that a text imports: statements and `import('…')`. */
export function importsOf(text: string): string[] {
  return matches(text, [STATEMENT, BARE_STATEMENT, CALL]);
}

/** The files that a text names by `new URL('./…', import.meta.url)`: threads and processes that it starts. */
export function fileUrlsOf(text: string): string[] {
  return matches(text, [FILE_URL]);
}

function matches(text: string, patterns: RegExp[]): string[] {
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] as string));
}

/** The path from the root that a relative import in this file leads to. */
export function target(file: string, specifier: string): string {
  return relative(ROOT, join(ROOT, dirname(file), specifier));
}

/** All files that these roots reach, themselves among them. */
export function reachable(roots: string[]): Set<string> {
  const reached = new Set<string>();
  const open = [...roots];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file) || !existsSync(join(ROOT, file)) || !/\.[mc]?[tj]sx?$/.test(file)) continue;
    reached.add(file);
    const text = textOf(file);
    for (const specifier of [...importsOf(text), ...fileUrlsOf(text)]) {
      if (specifier.startsWith('.')) open.push(target(file, specifier));
    }
  }
  return reached;
}
