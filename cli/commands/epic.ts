/** `gimme epic`: the commands about epics. */
import type { Command } from 'commander';
import { example } from '../options.ts';
import { addCancel } from './epic-cancel.ts';
import { addGet } from './epic-get.ts';
import { addLs } from './epic-ls.ts';
import { addSubmit } from './epic-submit.ts';
import { addWait, addWatch } from './epic-watch.ts';

export function addEpic(program: Command, ended: (exitCode: number) => void): void {
  const epic = program.command('epic').summary('submit epics and see to them');
  example(epic, 'gimme epic submit resize --source images.ndjson');
  addSubmit(epic, ended);
  addLs(epic, ended);
  addGet(epic, ended);
  addWatch(epic, ended);
  addWait(epic, ended);
  addCancel(epic, ended);
}
