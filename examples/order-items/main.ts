/**
 * `npm run example:order-items`: an order of 10,000 items that all answer at once, beside writers that share a versioned
 * row; then with a killed master, with a split that fails, and without items. Exit 0 only if every claim holds.
 */
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { count, print, say, span } from '../../cli/output.ts';
import { expected, type Summary } from './order.ts';
import { type Answered, allOrNothing, answerAtOnce, WORKERS } from './run.ts';
import { aggregateVersioned } from './versioned.ts';

const WRITERS = 4;

const { values } = parseArgs({ options: { items: { type: 'string', default: '10000' } } });
const items = Number(values.items);

print(`order     ${count(items)} items, all of which answer at once; ${WORKERS} workers`);
const faults = [...(await pulled()), ...(await versioned()), ...(await killed()), ...(await refused())];
for (const fault of faults) say(`✗ ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);

async function pulled(): Promise<string[]> {
  const run = await answerAtOnce(items, false);
  print(`gathered  ${told(run)}`);
  return failing('gathered', claimsOf(run));
}

async function versioned(): Promise<string[]> {
  const { summary, ms, conflicts, retries, events, writers } = await aggregateVersioned(
    'order-1',
    items,
    WRITERS,
  );
  print(
    `versioned ${count(items)} answers in ${span(ms)} by ${writers} writers of one row: ` +
      `${count(conflicts)} conflicts, ${count(retries)} retries, ${events} order processed`,
  );
  return failing('versioned', { 'the sum is right': isRight(summary), 'it meets conflicts': conflicts > 0 });
}

async function killed(): Promise<string[]> {
  const run = await answerAtOnce(items, true);
  print(`killed    master at ${count(run.killedAt ?? 0)} answers; ${told(run)}`);
  return failing('killed', claimsOf(run));
}

async function refused(): Promise<string[]> {
  const { broken, sent, empty, emptyMs, emptyValue } = await allOrNothing(items);
  const { code, message } = broken.fault ?? { code: 'none', message: '' };
  print(`broken    ${broken.state}: ${code}: ${message}; ${sent} items sent`);
  print(`empty     ${empty.state} in ${span(emptyMs)} with ${empty.totals.read} items`);
  return failing('all or nothing', {
    'the broken order fails': broken.state === 'failed' && code === 'unknown_article',
    'no item of it is sent': sent === 0 && broken.totals.read === 0,
    'the empty order finishes': empty.state === 'finished' && empty.gather?.complete === true,
    'it is empty': emptyValue === null && empty.totals.read === 0,
  });
}

function told({ ms, conflicts, retries, events, journal }: Answered): string {
  return (
    `${count(journal.answered)} answers in ${span(ms)} by one writer in ${count(journal.appends)} appends: ` +
    `${conflicts} conflicts, ${retries} retries, ${events} order processed`
  );
}

function claimsOf({
  summary,
  conflicts,
  retries,
  events,
  same,
  journal,
  end,
}: Answered): Record<string, boolean> {
  const { answered, twice, folded, finished } = journal;
  return {
    'the sum is right': isRight(summary),
    'every item is answered': end.totals.succeeded === items && answered === items,
    'no answer is refused or counted twice': conflicts === 0 && twice === 0,
    'no item is run again': retries === 0,
    'it is aggregated once': folded === 1,
    'there is one event': events === 1 && finished === 1,
    'sent again it is the same order': same,
  };
}

function isRight(summary: Summary): boolean {
  return isDeepStrictEqual(summary, expected({ id: 'order-1', items }));
}

function failing(where: string, claims: Record<string, boolean>): string[] {
  return Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [`${where}: ${claim}`]));
}
