/** Loads the works that a worker offers: the bundled newsletter and the user's own modules. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GimmeError } from '../shared/core/errors.ts';
import type { WorkDefinition } from '../shared/core/work.ts';

export type MailSettings = { smtp: string | undefined; retryFirstMs: number | undefined };

/** Every work that the modules export, each name once. Throws `bad_works` naming the module. */
export async function loadWorks(modules: readonly string[], mail: MailSettings): Promise<WorkDefinition[]> {
  const works = new Map<string, WorkDefinition>();
  for (const module of modules) {
    const found = module === 'newsletter' ? [await bundledNewsletter(mail)] : await exportedWorks(module);
    for (const work of found) {
      const other = works.get(work.name);
      if (other !== undefined && other !== work) throw bad(module, `offers a second work named ${work.name}`);
      works.set(work.name, work);
    }
  }
  return [...works.values()];
}

async function bundledNewsletter({ smtp, retryFirstMs }: MailSettings): Promise<WorkDefinition> {
  if (smtp === undefined)
    throw new GimmeError('bad_config', '--works newsletter needs --smtp or GIMMEWORK_SMTP_URL');
  const { newsletter } = await import('../works/newsletter/main.ts');
  const retryFirst = retryFirstMs === undefined ? {} : { retryFirst: retryFirstMs };
  return newsletter({ smtp, ...retryFirst }) as WorkDefinition;
}

async function exportedWorks(module: string): Promise<WorkDefinition[]> {
  if (/\.[cm]?tsx?$/.test(module)) await readTypeScript();
  if (!existsSync(resolve(module))) throw bad(module, 'does not exist');
  let exported: Record<string, unknown>;
  try {
    exported = (await import(pathToFileURL(resolve(module)).href)) as Record<string, unknown>;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw bad(module, `does not load: ${why}`, cause);
  }
  // What CommonJS exports is found below `default` where its names cannot be told before it runs.
  const below = exported['default'];
  const inner: unknown[] = below instanceof Object && !isWork(below) ? Object.values(below) : [];
  const values = [...Object.values(exported), ...inner];
  const works = [...new Set(values.filter(isWork))];
  if (works.length === 0) throw bad(module, 'exports no work; export what defineWork(...).step(...) returns');
  const empty = works.find((work) => work.steps.length === 0);
  if (empty) throw bad(module, `exports ${empty.name} without steps; add one with .step(...)`);
  return works;
}

let readsTypeScript = process.execArgv.some((argument) => argument.includes('tsx'));

async function readTypeScript(): Promise<void> {
  if (readsTypeScript) return;
  // Both, as `--import tsx` does: a folder without `"type": "module"` is loaded as CommonJS.
  (await import('tsx/cjs/api')).register();
  (await import('tsx/esm/api')).register();
  readsTypeScript = true;
}

/** A module may bring its own copy of this package, so the shape decides, not the class. */
function isWork(value: unknown): value is WorkDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, steps, options } = value as Partial<WorkDefinition>;
  return typeof name === 'string' && Array.isArray(steps) && typeof options === 'object';
}

function bad(module: string, what: string, cause?: unknown): GimmeError {
  return new GimmeError('bad_works', `works module ${module} ${what}`, { cause });
}
