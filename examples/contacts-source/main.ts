/**
 * `npm run example:contacts`: a newsletter whose recipients are read from a database, while the worker that reads them
 * and the master are killed. Exit 0 only if every claim holds.
 */
import { parseArgs } from 'node:util';
import { count, print, say, story } from '../../cli/output.ts';
import { onStop } from '../../cli/signals.ts';
import { run, type Victim } from './run.ts';

const VICTIMS: Victim[] = ['reader', 'master', 'both'];

const { values } = parseArgs({
  options: {
    contacts: { type: 'string', default: '10000' },
    'look-ahead': { type: 'string', default: '1000' },
  },
});
const contacts = Number(values.contacts);
const lookAheadUnits = Number(values['look-ahead']);

onStop(() => process.exit(130));
print(
  `contacts ${count(contacts)} of a list, in a table among as many others; read by one worker, sent by two`,
);
const { end, kills, pages, rowsAgain, aheadFirst, aheadMost, lost, doubled } = await run({
  ...{ contacts, lookAheadUnits },
  victims: VICTIMS,
});
print(`kill -9  ${kills.map(({ victim, read }) => `${victim} at ${count(read)}`).join(', ')} read`);
print(
  `pages    ${count(pages)} read of 100 contacts each, ${count(rowsAgain)} contacts again after a kill or a pause`,
);
print(
  `ahead    ${count(aheadFirst)} units at most, of ${count(lookAheadUnits)} that there is room for; ${count(aheadMost)} ` +
    'where those from before a kill of the master waited for whoever might hold them',
);
print(`mails    ${lost} lost, ${doubled} doubled`);
for (const line of story(end)) print(line);
const claims = {
  'each contact is one unit': end.totals.read === contacts && end.totalExact,
  'each was sent its mail': end.state === 'finished' && end.totals.succeeded === contacts,
  'nobody is lost': lost === 0,
  'nobody gets two': doubled === 0,
  'no more is read ahead than there is room for': aheadFirst <= lookAheadUnits,
  'after a kill of the master as much again, and no more': aheadMost <= 2 * lookAheadUnits,
  'every kill came while there was more to read': kills.every(({ read }) => read < contacts),
};
const faults = Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [claim]));
for (const fault of faults) say(`✗ ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
