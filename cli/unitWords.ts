/** What the commands about units say alike. */
import { type EpicStatus, type FailureGroup, isOver } from '../client/index.ts';
import { oneLine } from './output.ts';

/** What may be done about the failures of an epic. */
export function failureHint(epic: EpicStatus, failures: readonly FailureGroup[]): string {
  const listed = failures.find(({ example }) => example !== undefined);
  const which = listed ? ` --code ${quoted(listed.code)}` : '';
  return `gimme epic units ${epic.id}${which}${retryHint(epic)}`;
}

/** A value as a shell takes it, on one harmless line. */
export function quoted(value: string): string {
  const line = oneLine(value);
  return /^[\w@.:+-]+$/.test(line) ? line : `'${line.replaceAll("'", "'\\''")}'`;
}

/** How units of an epic are tried again, behind another hint; empty where there are none, or it still runs. */
function retryHint({ id, name, state, totals }: EpicStatus): string {
  if (!isOver(state)) return '';
  if (totals.failed > 0) return ` | gimme epic retry ${id}`;
  return totals.unknown > 0 ? ` | gimme epic retry ${id} --state unknown --confirm ${name}` : '';
}
