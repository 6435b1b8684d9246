/** Loads the works and sources that a worker offers: the bundled newsletter and the user's own modules. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { GimmeError } from '../shared/core/errors.ts';
import type { SourceDefinition } from '../shared/core/userSource.ts';
import type { WorkDefinition } from '../shared/core/work.ts';
import { badWorks, type Exported, loadModule } from '../shared/io/worksModule.ts';
import type { DkimOptions } from '../works/newsletter/main.ts';

export type MailSettings = {
  smtp: string | undefined;
  retryFirstMs: number | undefined;
  /** All of it or nothing. */
  dkim?: DkimSettings;
};
type DkimSettings = Record<'domain' | 'selector' | 'keyFile', string | undefined>;

export type LoadedWorks = {
  works: WorkDefinition[];
  sources: SourceDefinition[];
  /** By the name of a work, the module that exports it: threads load it again. */
  modules: Map<string, string>;
};

/** Every work and source that the modules export, each name once. Throws `bad_works` naming the module. */
export async function loadWorks(modules: readonly string[], mail: MailSettings): Promise<LoadedWorks> {
  const works = new Map<string, WorkDefinition>();
  const sources = new Map<string, SourceDefinition>();
  const from = new Map<string, string>();
  for (const module of modules) {
    const isBundled = module === 'newsletter';
    const found: Exported = isBundled
      ? { works: [await bundledNewsletter(mail)], sources: [] }
      : await loadModule(module);
    for (const work of found.works) {
      put(works, work, () => badWorks(module, `offers a second work named ${work.name}`));
      if (!isBundled) from.set(work.name, resolve(module));
    }
    for (const source of found.sources)
      put(sources, source, () => badWorks(module, `offers a second source named ${source.name}`));
  }
  return { works: [...works.values()], sources: [...sources.values()], modules: from };
}

function put<T extends { readonly name: string }>(all: Map<string, T>, one: T, second: () => Error): void {
  const other = all.get(one.name);
  if (other !== undefined && other !== one) throw second();
  all.set(one.name, one);
}

async function bundledNewsletter({ smtp, retryFirstMs, dkim }: MailSettings): Promise<WorkDefinition> {
  if (smtp === undefined)
    throw new GimmeError('bad_config', '--works newsletter needs --smtp or GIMMEWORK_SMTP_URL');
  const { newsletter } = await import('../works/newsletter/main.ts');
  const retryFirst = retryFirstMs === undefined ? {} : { retryFirst: retryFirstMs };
  return newsletter({ smtp, ...retryFirst, dkim: dkim && dkimOf(dkim) }) as WorkDefinition;
}

function dkimOf({ domain, selector, keyFile }: DkimSettings): DkimOptions | undefined {
  const missing = Object.entries({
    '--dkim-domain': domain,
    '--dkim-selector': selector,
    '--dkim-key-file': keyFile,
  })
    .filter(([, value]) => value === undefined)
    .map(([flag]) => flag);
  if (domain === undefined || selector === undefined || keyFile === undefined) {
    if (missing.length === 3) return undefined;
    throw new GimmeError('bad_config', `DKIM needs ${missing.join(' and ')} too`);
  }
  try {
    return { domain, selector, key: readFileSync(keyFile, 'utf8') };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new GimmeError('bad_config', `--dkim-key-file ${keyFile} cannot be read (${code})`, { cause });
  }
}
