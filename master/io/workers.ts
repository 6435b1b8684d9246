/** What readers are told of workers. */
import { GimmeError } from '../../shared/core/errors.ts';
import type { WorkerView } from '../../shared/protocol/api.ts';
import type { MasterState } from '../core/state.ts';

/** Every worker with a live lease. */
export function workersOf({ sessions, settings }: MasterState, nowMs: number): WorkerView[] {
  return [...sessions.values()]
    .filter((session) => !session.expired)
    .map((session) => ({
      id: session.id,
      name: session.name,
      works: [...session.works.keys()],
      labels: { ...session.labels },
      slots: session.slots,
      version: session.version,
      state: session.condition(nowMs, settings.heartbeatMs),
      held: session.held,
      lastHeardMs: Math.round(nowMs - session.lastHeardMonoMs),
    }));
}

/** The worker with this id, or the only one of this name. Throws not_found, ambiguous_name. */
export function workerNamed(workers: readonly WorkerView[], idOrName: string): WorkerView {
  const found = workers.filter(({ id, name }) => id === idOrName || name === idOrName);
  const worker = found.find(({ id }) => id === idOrName) ?? found[0];
  if (!worker) throw new GimmeError('not_found', `there is no worker ${idOrName}`);
  if (found.length > 1 && worker.id !== idOrName) {
    throw new GimmeError('ambiguous_name', `${found.length} workers are named ${idOrName}; use the id`);
  }
  return worker;
}
