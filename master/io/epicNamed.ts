/** The epic that a request names, by its id or by its name. */
import { GimmeError } from '../../shared/core/errors.ts';
import type { EpicStatus } from '../../shared/protocol/api.ts';
import type { MasterApi } from './api.ts';

/** The epic of this id, or the newest of this name. Throws not_found. */
export function epicOf(api: MasterApi, idOrName: string): EpicStatus {
  const epic = api.epic(idOrName);
  if (!epic) throw new GimmeError('not_found', `no epic has the id or name ${idOrName}`);
  return epic;
}

/** The same for a call that changes something: a name that several epics have is refused as ambiguous_name. */
export function onlyEpicOf(api: MasterApi, idOrName: string): EpicStatus {
  const epic = epicOf(api, idOrName);
  if (epic.id === idOrName) return epic;
  const count = api.named(idOrName);
  if (count > 1) throw new GimmeError('ambiguous_name', `${count} epics are named ${idOrName}; use the id`);
  return epic;
}
