/** Loads the works that a worker offers: the bundled newsletter and the user's own modules. */
import { resolve } from 'node:path';
import { GimmeError } from '../shared/core/errors.ts';
import type { WorkDefinition } from '../shared/core/work.ts';
import { badWorks, exportedWorks } from '../shared/io/worksModule.ts';

export type MailSettings = { smtp: string | undefined; retryFirstMs: number | undefined };

export type LoadedWorks = {
  works: WorkDefinition[];
  /** By the name of a work, the module that exports it: threads load it again. */
  modules: Map<string, string>;
};

/** Every work that the modules export, each name once. Throws `bad_works` naming the module. */
export async function loadWorks(modules: readonly string[], mail: MailSettings): Promise<LoadedWorks> {
  const works = new Map<string, WorkDefinition>();
  const from = new Map<string, string>();
  for (const module of modules) {
    const isBundled = module === 'newsletter';
    for (const work of isBundled ? [await bundledNewsletter(mail)] : await exportedWorks(module)) {
      const other = works.get(work.name);
      if (other !== undefined && other !== work)
        throw badWorks(module, `offers a second work named ${work.name}`);
      works.set(work.name, work);
      if (!isBundled) from.set(work.name, resolve(module));
    }
  }
  return { works: [...works.values()], modules: from };
}

async function bundledNewsletter({ smtp, retryFirstMs }: MailSettings): Promise<WorkDefinition> {
  if (smtp === undefined)
    throw new GimmeError('bad_config', '--works newsletter needs --smtp or GIMMEWORK_SMTP_URL');
  const { newsletter } = await import('../works/newsletter/main.ts');
  const retryFirst = retryFirstMs === undefined ? {} : { retryFirst: retryFirstMs };
  return newsletter({ smtp, ...retryFirst }) as WorkDefinition;
}
