/**
 * A works module: a file of the user's that exports what `defineWork` and `defineSource` return. Owns loading it, also where it is
 * TypeScript; which modules a worker offers is the command line's business, which works it runs the worker's.
 */
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { GimmeError } from '../core/errors.ts';
import { isSource, type SourceDefinition } from '../core/userSource.ts';
import type { WorkDefinition } from '../core/work.ts';

export type Exported = { works: WorkDefinition[]; sources: SourceDefinition[] };

/** Every work and every source that a module exports, each once. Throws `bad_works` naming the module. */
export async function loadModule(module: string): Promise<Exported> {
  if (/\.[cm]?tsx?$/.test(module)) await readTypeScript();
  offerOwnPackage();
  if (!existsSync(resolve(module))) throw badWorks(module, 'does not exist');
  let exported: Record<string, unknown>;
  try {
    exported = (await import(pathToFileURL(resolve(module)).href)) as Record<string, unknown>;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw badWorks(module, `does not load: ${why}`, cause);
  }
  // What CommonJS exports is found below `default` where its names cannot be told before it runs.
  const below = exported['default'];
  const inner: unknown[] = below instanceof Object && !isWork(below) ? Object.values(below) : [];
  const values = [...Object.values(exported), ...inner];
  const works = [...new Set(values.filter(isWork))];
  const sources = [...new Set(values.filter(isSource))];
  if (works.length + sources.length === 0)
    throw badWorks(
      module,
      'exports no work; export what defineWork(...).step(...), defineGather(...)….gather(...) or defineSource(...) returns',
    );
  const empty = works.find((work) => work.steps.length === 0);
  if (empty) throw badWorks(module, `exports ${empty.name} without steps; add one with .step(...)`);
  return { works, sources };
}

/** On Node 20 `--import tsx` reaches what a thread requires, but not what it imports. */
const told = process.execArgv.some((argument) => argument.includes('tsx'));
const reads = { required: told, imported: told && isMainThread };

/** Both: a folder without `"type": "module"` is loaded as CommonJS. */
async function readTypeScript(): Promise<void> {
  if (!reads.required) (await import('tsx/cjs/api')).register();
  reads.required = true;
  if (!reads.imported) (await import('tsx/esm/api')).register();
  reads.imported = true;
}

let isOffered = false;

/** A module that lies where `gimmework` is not installed gets the copy that runs it. */
function offerOwnPackage(): void {
  if (isOffered) return;
  isOffered = true;
  const url = (path: string): string =>
    new URL(`../../${path}${extname(import.meta.url)}`, import.meta.url).href;
  const own = { gimmework: url('client/index'), 'gimmework/newsletter': url('works/newsletter/index') };
  register(`data:text/javascript,${encodeURIComponent(RESOLVER)}`, { data: own });
}

/** Runs where Node resolves modules, and sees none of ours. */
const RESOLVER = `
let own = {};
export async function initialize(data) { own = data; }
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!Object.hasOwn(own, specifier)) throw error;
    return next(own[specifier], context);
  }
}`;

/** A module may bring its own copy of this package, so the shape decides, not the class. */
function isWork(value: unknown): value is WorkDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, steps, options } = value as Partial<WorkDefinition>;
  return typeof name === 'string' && Array.isArray(steps) && typeof options === 'object';
}

export function badWorks(module: string, what: string, cause?: unknown): GimmeError {
  return new GimmeError('bad_works', `works module ${module} ${what}`, { cause });
}
