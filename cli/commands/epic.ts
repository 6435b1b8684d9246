/** `gimme epic`: the commands about epics. */
import type { Command } from 'commander';
import { example } from '../options.ts';
import { addCancel } from './epic-cancel.ts';
import { addFailures } from './epic-failures.ts';
import { addGet } from './epic-get.ts';
import { addLs } from './epic-ls.ts';
import { addPause } from './epic-pause.ts';
import { addResults } from './epic-results.ts';
import { addResume } from './epic-resume.ts';
import { addRetry } from './epic-retry.ts';
import { addSubmit } from './epic-submit.ts';
import { addUnits } from './epic-units.ts';
import { addWait, addWatch } from './epic-watch.ts';
import { addWhy } from './epic-why.ts';

export function addEpic(program: Command, ended: (exitCode: number) => void): void {
  const epic = program.command('epic').summary('submit epics and see to them');
  example(epic, 'gimme epic submit resize --source images.ndjson');
  addSubmit(epic, ended);
  addLs(epic, ended);
  addGet(epic, ended);
  addWatch(epic, ended);
  addWait(epic, ended);
  addWhy(epic, ended);
  addFailures(epic, ended);
  addUnits(epic, ended);
  addResults(epic, ended);
  addPause(epic, ended);
  addResume(epic, ended);
  addRetry(epic, ended);
  addCancel(epic, ended);
}
