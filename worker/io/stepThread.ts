/**
 * A thread of the pool: runs one step after the other, each for one unit. It loads the works modules and prepares the
 * briefs for itself, the first time that a task needs them. `start` and `stop` of a work are not run here.
 */

import { THREAD_BRIEFS_MAX } from '../../shared/core/limits.ts';
import { isSkip, PermanentError, type StepContext, type WorkDefinition } from '../../shared/core/work.ts';
import { loadModule } from '../../shared/io/worksModule.ts';
import type { BriefEnvelope } from '../../shared/protocol/api.ts';
import {
  notCloneable,
  read,
  type ThreadAbort,
  type ThreadNews,
  type ThreadReply,
  type ThreadTask,
  write,
  writeError,
} from './threadTask.ts';

const modules = new Map<string, Promise<WorkDefinition[]>>();
/** By work and hash, the one used last at the end. */
const briefs = new Map<string, Promise<unknown>>();

/** Runs the step of a task; never rejects: what is thrown is part of the reply. */
export async function run(task: ThreadTask): Promise<ThreadReply> {
  try {
    return await carryOut(task);
  } catch (error) {
    return { kind: 'threw', error: writeError(error) };
  } finally {
    task.port.close();
  }
}

async function carryOut(task: ThreadTask): Promise<ThreadReply> {
  const { port } = task;
  const controller = new AbortController();
  port.on('message', ({ reason }: ThreadAbort) => controller.abort(new Error(reason)));
  const work = await workOf(task);
  const step = work.steps.find(({ name }) => name === task.step);
  if (!step) throw new Error(`${task.module} has a work ${task.work}, but no step ${task.step}`);
  const { epic, unit, attempt, effectKey } = task;
  const brief = await briefOf(task, work);
  const context: StepContext = {
    epic,
    unit,
    attempt,
    effectKey,
    brief,
    signal: controller.signal,
    log: (message, fields) => tell(port, { type: 'log', message: String(message), fields }),
  };
  const input = read(task.input);
  tell(port, { type: 'begun' });
  const output: unknown = await step.run(input, context);
  if (isSkip(output)) return { kind: 'skip', reason: String(output.reason) };
  try {
    return { kind: 'done', output: write(output) };
  } catch (cause) {
    throw notCloneable(step.name, 'output', cause);
  }
}

async function workOf({ module, work: name }: ThreadTask): Promise<WorkDefinition> {
  let loading = modules.get(module);
  if (!loading) {
    loading = loadModule(module).then(({ works }) => works);
    modules.set(module, loading);
    // It may load at the next try: a file that was being replaced, too many files open.
    loading.catch(() => modules.delete(module));
  }
  const work = (await loading).find((it) => it.name === name);
  if (!work) throw new Error(`${module} exports no work ${name} in a thread, though it did in the worker`);
  return work;
}

function briefOf({ brief: hash, envelope }: ThreadTask, work: WorkDefinition): Promise<unknown> {
  const key = `${work.name} ${hash}`;
  const brief = briefs.get(key) ?? prepared(envelope, work);
  briefs.delete(key);
  briefs.set(key, brief);
  const [oldest] = briefs.keys();
  if (briefs.size > THREAD_BRIEFS_MAX && oldest !== undefined) briefs.delete(oldest);
  return brief;
}

async function prepared(envelope: SharedArrayBuffer, work: WorkDefinition): Promise<unknown> {
  try {
    const { brief } = JSON.parse(Buffer.from(envelope).toString()) as BriefEnvelope;
    const { prepare } = work.options;
    return prepare ? await prepare(brief) : brief;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PermanentError(why, { code: 'bad_brief', cause });
  }
}

function tell(port: ThreadTask['port'], news: ThreadNews): void {
  try {
    port.postMessage(news);
  } catch {
    // What cannot be copied is not worth a unit: the line goes without its fields.
    if (news.type === 'log') port.postMessage({ ...news, fields: { fields: '(not printable)' } });
  }
}
