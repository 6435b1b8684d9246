/** The package's version, from its package.json; this file lies one folder deeper once built. */
import { readFileSync } from 'node:fs';

export const VERSION: string = read();

function read(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), 'utf8');
      const { name, version } = JSON.parse(text) as { name?: string; version?: string };
      if (name === 'gimmework' && version) return version;
    } catch {
      // Not there: it is one folder up.
    }
  }
  throw new Error('package.json of gimmework is not beside its code');
}
